package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// TestLargeBatchesAreSplit by the client's own bounds, and by the bounds that the
// server reports.
func TestLargeBatchesAreSplit(t *testing.T) {
	var asked atomic.Int64
	limits := transport.HandlerOptions{Logger: testkit.Quiet(), MaxKeys: 70, MaxBodyBytes: 1024}
	cluster := testkit.NewCluster(t)
	h := testkit.MakeHandler(cluster, limits)
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h.ServeHTTP(w, r) })
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d<", i)
	}
	body, err := json.Marshal(map[string][]string{"keys": keys})
	require.NoError(t, err)
	want := document[api.Batch](t, testkit.NewHandler(cluster), "POST", "/v1/lookup", string(body))
	for _, o := range []client.Options{{}, {MaxKeys: 30}, {MaxKeys: 70, MaxBodyBytes: 1024}} {
		asked.Store(0)
		c := clientOf(t, counted, o)
		got, err := c.LookupBatch(t.Context(), keys, client.Near{})
		require.NoError(t, err)
		require.Equal(t, want, got)
		first := asked.Swap(0)
		_, err = c.LookupBatch(t.Context(), keys, client.Near{})
		require.NoError(t, err)
		again := asked.Load()
		t.Log(o.MaxKeys, o.MaxBodyBytes, "first", first, "requests, then", again)
		require.GreaterOrEqual(t, again, int64(1000/70))
		if o.MaxKeys == 0 {
			require.Less(t, again, first, "it has learned")
		} else {
			require.Equal(t, again, first, "it knew")
		}
	}
	c := clientOf(t, counted, client.Options{MaxKeys: 30})
	_, err = c.LookupBatch(t.Context(), append(keys, ""), client.Near{})
	var p *api.Refusal
	require.ErrorAs(t, err, &p)
	require.Equal(t, 1000, *p.Index, "counted from the start of all keys")
	long := strings.Repeat("k", 2000)
	_, err = c.LookupBatch(t.Context(), []string{long, long}, client.Near{})
	require.ErrorAs(t, err, &p)
	require.Equal(t, wire.BodyTooLarge, p.Type, "one key alone is too much")
}

// TestABatchIsOfOneRing also when the ring changes between its parts.
func TestABatchIsOfOneRing(t *testing.T) {
	var asked atomic.Int64
	settled, moving := testkit.NewHandler(testkit.NewCluster(t)), testkit.NewHandler(testkit.NewCluster(t).Moving(t))
	for _, test := range []struct {
		from  int64 // the first request that is answered from the other ring
		works bool
	}{{2, true}, {1 << 40, true}, {-1, false}} {
		asked.Store(0)
		c := clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := asked.Add(1)
			if n >= test.from && test.from > 0 || test.from < 0 && n%2 == 0 {
				moving.ServeHTTP(w, r)
				return
			}
			settled.ServeHTTP(w, r)
		}), client.Options{MaxKeys: 2})
		answer, err := c.LookupBatch(t.Context(), []string{"a", "b", "c", "d"}, client.Near{})
		if !test.works {
			require.ErrorIs(t, err, client.ErrRingMoved)
			continue
		}
		require.NoError(t, err)
		h := settled
		if test.from == 2 {
			h = moving
		}
		require.Equal(t, document[api.Batch](t, h, "POST", "/v1/lookup", `{"keys":["a","b","c","d"]}`), answer)
	}
}
