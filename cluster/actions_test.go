package cluster_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
)

// withActions lets a token act, and keeps the log.
func withActions(log *bytes.Buffer) edit {
	return func(o *cluster.Options) {
		o.HTTP.Guard.Tokens = []transport.Credential{{Token: func() string { return oldToken }, Name: "ops", Read: true, Write: true}}
		o.HTTP.Handler.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
}

// act sends an action to a member from loopback. It returns the answer of 200, or the detail
// of a refusal.
func act(t *testing.T, c *cluster.Cluster, path string, body map[string]any) (result api.ActionResult, refusal string) {
	t.Helper()
	return actIn(t.Context(), t, c, path, body)
}

func actIn(ctx context.Context, t *testing.T, c *cluster.Cluster, path string, body map[string]any) (result api.ActionResult, refusal string) {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(text))
	r.RemoteAddr = "127.0.0.1:40001"
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+oldToken)
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		var p api.Refusal
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.NotEmpty(t, p.Detail)
		return result, p.Detail
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &result))
	return result, ""
}

// Drain and Resume over HTTP do what the methods do, and may be repeated. A drain that cannot
// end is answered all the same, and one that nobody can take over says so.
func TestDrainAndResumeOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var log bytes.Buffer
		all := b.startMany(3)
		four := b.start(4, withActions(&log))
		b.agree(append(all, four)...)
		body := map[string]any{"member": "n4"}

		_, refusal := act(t, four, "/v1/drain", map[string]any{"member": "n1"})
		require.Equal(t, `this is member "n4", and the request is for "n1": send it there`, refusal)
		require.Equal(t, membership.Active, four.Local().State)
		for _, changed := range []bool{true, false} {
			result, _ := act(t, four, "/v1/drain", body)
			require.Equal(t, api.ActionResult{Action: "drain", NodeID: "n4", State: "leaving", Changed: changed, Done: true, Detail: result.Detail}, result)
			require.Equal(t, changed, result.Detail == "")
			require.Len(t, all[0].Ring().Nodes(), 3)
		}
		result, _ := act(t, four, "/v1/resume", body)
		require.True(t, result.Changed && result.Done)
		b.agree(append(all, four)...)
		result, _ = act(t, four, "/v1/resume", body)
		require.Equal(t, api.ActionResult{Action: "resume", NodeID: "n4", State: "active", Done: true, Detail: "the member is active already"}, result)
		require.Len(t, all[0].Ring().Nodes(), 4)
		require.Equal(t, 8, strings.Count(log.String(), `caller="token ops" addr=127.0.0.1:40001`), log.String())

		// Nobody confirms.
		b.net.Isolate(four.Local().Addr)
		began := time.Now()
		result, _ = actIn(within(t, 2*time.Second), t, four, "/v1/drain", body)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.True(t, result.Changed)
		require.False(t, result.Done)
		require.Contains(t, result.Detail, "deadline")
		require.Equal(t, "draining", result.State)
		require.NoError(t, four.Stop(within(t, patience)))
		_, refusal = act(t, four, "/v1/drain", body)
		require.Equal(t, cluster.ErrStopped.Error(), refusal)
	})
}

func TestForgetOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var log bytes.Buffer
		all := append(b.startMany(3), b.start(4, withActions(&log)))
		b.agree(all...)
		b.net.Crash(addrPort(2))
		b.await("it is lost", func() bool { return all[3].Metrics().Gossip.Lost == 1 })
		lost := func() []api.LostMember {
			var members api.Members
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/v1/members", nil)
			r.Header.Set("Authorization", "Bearer "+oldToken)
			all[3].Handler().ServeHTTP(w, r)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &members))
			return members.Lost
		}
		gone := lost()
		require.Len(t, gone, 1)
		require.Equal(t, "n2", gone[0].ID)
		require.Equal(t, addrPort(2), gone[0].Addr)
		require.WithinDuration(t, time.Now(), gone[0].Since, time.Second)
		result, _ := act(t, all[3], "/v1/forget", map[string]any{"id": "n1"})
		require.Equal(t, `"n1" does not count as lost here`, result.Detail, "it is alive")
		for _, changed := range []bool{true, false} {
			result, _ = act(t, all[3], "/v1/forget", map[string]any{"id": "n2"})
			require.Equal(t, changed, result.Changed)
			require.True(t, result.Done)
			require.Zero(t, all[3].Metrics().Gossip.Lost)
			require.Empty(t, lost())
		}
		b.agree(all[0], all[2], all[3])
	})
}

func TestAcceptLossOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		sh := newShelf()
		logs := make([]bytes.Buffer, 5)
		var all []*cluster.Cluster
		for i := range logs {
			c, _ := b.startStore(sh, i+1, withActions(&logs[i]))
			all = append(all, c)
		}
		b.still(all...)
		b.net.Crash(addrPort(4))
		b.net.Crash(addrPort(5))
		rest := all[:3]
		b.await("they are gone", func() bool { return len(rest[0].Members()) == 3 })
		b.await("loss is said", func() bool { return slices.Contains(problems(rest[0]), api.ProblemPossibleLoss) })
		time.Sleep(5 * time.Minute)
		for _, c := range rest {
			for _, p := range c.Handoff().State().Lost {
				for _, changed := range []bool{true, false} {
					result, _ := act(t, c, "/v1/accept-loss", map[string]any{"member": c.Local().ID, "partition": p})
					require.Equal(t, changed, result.Changed)
				}
			}
		}
		b.still(rest...)
		require.NotContains(t, problems(rest[0]), api.ProblemPossibleLoss)
		_, refusal := act(t, rest[0], "/v1/accept-loss", map[string]any{"member": "n1", "partition": 64})
		require.Equal(t, `there is no partition "64": partitions go from 0 to 63`, refusal)
	})
}

// The gossip key is replaced over HTTP alone. Each step is sent twice.
func TestKeysOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		older, newer := oneKey[0], otherKey[0]
		logs := make([]bytes.Buffer, 3)
		var all []*cluster.Cluster
		for i := range logs {
			all = append(all, b.start(i+1, withActions(&logs[i]), func(o *cluster.Options) { o.Gossip.Keys = [][]byte{older} }))
		}
		b.agree(all...)
		body := func(c *cluster.Cluster, key []byte) map[string]any {
			return map[string]any{"member": c.Local().ID, "key": hex.EncodeToString(key)}
		}
		_, refusal := act(t, all[0], "/v1/keys/use", body(all[0], newer))
		require.Contains(t, refusal, "not in the keyring")
		_, refusal = act(t, all[0], "/v1/keys/remove", body(all[0], older))
		require.Contains(t, refusal, "primary key")
		for _, step := range []struct {
			path string
			key  []byte
		}{{"/v1/keys/install", newer}, {"/v1/keys/use", newer}, {"/v1/keys/remove", older}} {
			for _, c := range all {
				for _, changed := range []bool{true, false} {
					result, refusal := act(t, c, step.path, body(c, step.key))
					require.Empty(t, refusal)
					require.Equal(t, changed, result.Changed, step.path)
					require.Equal(t, changed, result.Detail == "")
				}
			}
			time.Sleep(15 * time.Second)
			b.agree(all...)
		}
		require.ErrorIs(t, b.make(9, func(o *cluster.Options) { o.Gossip.Keys = [][]byte{older} }).Start(t.Context()), membership.ErrGossipKey)
		for i := range logs {
			require.Contains(t, logs[i].String(), "action=remove-key")
			require.NotContains(t, logs[i].String(), hex.EncodeToString(newer)[:8])
		}
		plain := b.start(8, withActions(new(bytes.Buffer)), func(o *cluster.Options) { o.Seeds = nil })
		_, refusal = act(t, plain, "/v1/keys/install", body(plain, newer))
		require.Equal(t, membership.ErrNoEncryption.Error(), refusal)
	})
}

// Without tokens and client certificates nobody acts over HTTP.
func TestActionsAreOffByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.start(1)
		for _, path := range []string{"/v1/drain", "/v1/resume", "/v1/forget", "/v1/accept-loss", "/v1/keys/install", "/v1/keys/use", "/v1/keys/remove"} {
			_, refusal := act(t, c, path, map[string]any{"member": "n1"})
			require.Contains(t, refusal, "actions are off: configure tokens or client certificates", path)
		}
		require.Equal(t, membership.Active, c.Local().State)
	})
}

func TestStopEndsADrainOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		var log bytes.Buffer
		all := []*cluster.Cluster{b.start(1, withActions(&log)), b.start(2)}
		b.agree(all...)
		b.net.Isolate(all[0].Local().Addr)
		ended := make(chan error, 1)
		ctx := within(t, 2*time.Second)
		time.AfterFunc(time.Second, func() { ended <- all[0].Stop(ctx) })
		began := time.Now()
		act(t, all[0], "/v1/drain", map[string]any{"member": "n1"})
		require.Equal(t, time.Second, time.Since(began))
		require.Error(t, <-ended, "nobody confirms")
	})
}
