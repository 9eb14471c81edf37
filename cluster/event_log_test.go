package cluster_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
)

// document asks a member for a document.
func document[T any](t *testing.T, c *cluster.Cluster, target string) (answer T) {
	t.Helper()
	w := httptest.NewRecorder()
	c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer
}

// TestTheEventsOverHTTP are those of Events, with the state before and after, and a line
// for people.
func TestTheEventsOverHTTP(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		b.net.Crash(addrPort(3))
		b.await("n3 is gone", func() bool { return len(all[0].Members()) == 2 })
		events := document[api.Events](t, all[0], "/v1/events")
		require.Equal(t, "n1", events.NodeID)
		found := make(map[string]api.Event)
		ids := make(map[string]bool)
		for _, e := range events.Events {
			require.NotEmpty(t, e.Text)
			require.False(t, ids[e.ID], "each ID is given once")
			ids[e.ID], found[e.Kind] = true, e
		}
		require.Equal(t, "n3 has failed", found["member-failed"].Text)
		require.Equal(t, []string{"n3", "active", ""}, []string{found["member-failed"].Member, found["member-failed"].Before, found["member-failed"].After})
		require.Equal(t, all[0].Fingerprint(), *found["ring-changed"].Fingerprint)
		require.Equal(t, "lookups answer from a ring of 2 members", found["ring-changed"].Text)
		require.NotNil(t, found["health-changed"].Health)
		require.Equal(t, "this member, n1, was joining and is active", found["state-changed"].Text)
	})
}

// TestTheTableOfACluster is the same from each member that agrees, byte for byte.
func TestTheTableOfACluster(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		all := b.startMany(3)
		first := document[json.RawMessage](t, all[0], "/v1/table")
		for _, c := range all[1:] {
			require.Equal(t, string(first), string(document[json.RawMessage](t, c, "/v1/table")))
		}
		p := document[api.Placements](t, all[0], "/v1/table")
		require.Equal(t, all[0].Fingerprint(), p.Fingerprint)
		require.Len(t, p.Serving.Owners, 64*p.Serving.Replicas)
	})
}

// TestAMirrorOfACluster follows members over real sockets: it learns of changes without
// asking again and again, and a member that stops does not wait for it.
func TestAMirrorOfACluster(t *testing.T) {
	noLeak(t)
	one := onLoopback(t, 1)
	require.NoError(t, one.Start(within(t, 20*time.Second)))
	two := onLoopback(t, 2, func(o *cluster.Options) { o.Seeds = []string{one.Local().Addr.String()} })
	require.NoError(t, two.Start(within(t, 20*time.Second)))
	asker, err := client.New(client.Options{URLs: []string{"http://" + one.HTTPAddr(), "http://" + two.HTTPAddr()}})
	require.NoError(t, err)
	defer func() { require.NoError(t, asker.Close()) }()
	m := asker.Mirror()
	require.NoError(t, m.Wait(within(t, 20*time.Second)))
	awaitWithin(t, 20*time.Second, "the mirror has the view of both", func() bool {
		return m.Ring().Len() == 2 && m.State().Fingerprint == one.Fingerprint()
	})
	for _, key := range []string{"a", "b", "user:42"} {
		want, err := asker.Lookup(t.Context(), key, client.Near{})
		require.NoError(t, err)
		got, err := m.Lookup(key, client.Near{})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	stopped(t, one)
	awaitWithin(t, 20*time.Second, "the mirror has the view of the other one", func() bool {
		return m.Ring().Len() == 1 && m.State().Fingerprint == two.Fingerprint() && m.State().Err == nil
	})
	stopped(t, two)
}
