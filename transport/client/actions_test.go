package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// acting makes a client with a token, of a handler behind a guard.
func acting(t *testing.T, cluster *testkit.Cluster, token string) *client.Client {
	g := testkit.NewGuard(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	h := testkit.MakeHandler(cluster, transport.HandlerOptions{Logger: testkit.Quiet(), Middleware: []func(http.Handler) http.Handler{g.Wrap}})
	return clientOf(t, h, client.Options{PoolOptions: client.PoolOptions{Token: testkit.Token(token)}})
}

func TestActions(t *testing.T) {
	cluster := testkit.NewCluster(t)
	c, reader := acting(t, cluster, testkit.WriteToken), acting(t, cluster, testkit.ReadToken)
	key := []byte("0123456789abcdef")
	for action, act := range map[string]func(c *client.Client, member string) (api.ActionResult, error){
		"drain":  func(c *client.Client, member string) (api.ActionResult, error) { return c.Drain(t.Context(), member) },
		"resume": func(c *client.Client, member string) (api.ActionResult, error) { return c.Resume(t.Context(), member) },
		"accept-loss": func(c *client.Client, member string) (api.ActionResult, error) {
			return c.AcceptLoss(t.Context(), member, 3)
		},
		"install-key": func(c *client.Client, member string) (api.ActionResult, error) {
			return c.InstallKey(t.Context(), member, key)
		},
		"use-key": func(c *client.Client, member string) (api.ActionResult, error) {
			return c.UseKey(t.Context(), member, key)
		},
		"remove-key": func(c *client.Client, member string) (api.ActionResult, error) {
			return c.RemoveKey(t.Context(), member, key)
		},
		"forget": func(c *client.Client, member string) (api.ActionResult, error) {
			if member == "n2" {
				member = ""
			}
			return c.Forget(t.Context(), member)
		},
	} {
		for range 2 {
			result, err := act(c, "n1")
			require.NoError(t, err, action)
			require.Equal(t, action, result.Action)
			require.Equal(t, "n1", result.NodeID)
			require.True(t, result.Done)
		}
		var refusal *api.Refusal
		_, err := act(c, "n2")
		require.ErrorAs(t, err, &refusal, action)
		_, err = act(reader, "n1")
		require.ErrorAs(t, err, &refusal, action)
		require.Equal(t, wire.Scope, refusal.Type)
		require.NotContains(t, err.Error(), testkit.ReadToken)
	}
	require.Equal(t, 14, cluster.Acts)
	_, err := c.InstallKey(t.Context(), "n1", key[1:])
	require.ErrorContains(t, err, "the key has 30 characters: must be 32, 48 or 64 hexadecimal digits")
	cluster.KeyError = errors.New("no such key")
	_, err = c.UseKey(t.Context(), "n1", key)
	require.ErrorContains(t, err, "status 409: action failed: no such key")
}

// TestDrainWaits: the client asks again while the drain goes on, and the result says that
// some answer reported a change.
func TestDrainWaits(t *testing.T) {
	answers := []api.ActionResult{{Changed: true}, {}, {Done: true, State: "leaving"}}
	asked := 0
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", wire.JSON)
		_ = json.NewEncoder(w).Encode(answers[min(asked, len(answers)-1)])
		asked++
	})
	result, err := clientOf(t, h, client.Options{}).Drain(t.Context(), "n1")
	require.NoError(t, err)
	require.Equal(t, api.ActionResult{Changed: true, Done: true, State: "leaving"}, result)
	require.Equal(t, 3, asked)

	answers, asked = answers[:1], 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked == 5 {
			cancel()
		}
		h(w, r)
	})
	_, err = clientOf(t, endless, client.Options{}).Drain(ctx, "n1")
	require.ErrorIs(t, err, context.Canceled)
}
