package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// anyView returns a random view: members in any state, weights, starts, quorums, with a
// target or without.
func anyView(t *testing.T, random *rand.Rand, before *testkit.Cluster) *testkit.Cluster {
	t.Helper()
	next := *before
	count := 1 + random.IntN(12)
	nodes := make([]ring.Node, count)
	next.Shown.Members = nil
	for i := range nodes {
		id := fmt.Sprintf("n%02d", i)
		nodes[i] = ring.Node{ID: id, Region: "eu", Zone: fmt.Sprint("z", random.IntN(3)), Weight: 1 + random.IntN(3), Start: random.Uint64() * uint64(random.IntN(2))}
		m := membership.Member{ID: id, Region: "eu", Zone: nodes[i].Zone, Weight: nodes[i].Weight, State: membership.Active}
		if random.IntN(4) == 0 {
			m.State = membership.Away
		}
		if random.IntN(5) > 0 {
			m.HTTPAddr = fmt.Sprintf("10.0.%d.%d:80", random.IntN(200), i)
			m.Services = map[string]string{"kv": m.HTTPAddr + "1"}
		}
		next.Shown.Members = append(next.Shown.Members, m)
	}
	factor := 1 + random.IntN(4)
	config := ring.Config{PartitionCount: 97, ReplicationFactor: factor, WriteQuorum: random.IntN(factor + 1), Strategy: rebalance.Rendezvous{}}
	serving, err := ring.Build(config, nodes[:1+random.IntN(count)])
	require.NoError(t, err)
	if random.IntN(2) == 0 {
		target, err := ring.Build(config, nodes)
		require.NoError(t, err)
		serving, err = serving.Toward(target)
		require.NoError(t, err)
	}
	next.Shown.Ring, next.Shown.Fingerprint = serving, ring.Fingerprint(random.Uint64())
	return &next
}

// TestAMirrorAnswersAsTheMember compares the answers of a mirror with those of its member
// through 200 changes, and counts the requests.
func TestAMirrorAnswersAsTheMember(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	keys := 50 // of each change: 10,000 in all
	if os.Getenv("CLUSTERKIT_SIM_FULL") != "" {
		keys = 10_000
	}
	now := testkit.NewCluster(t)
	live := testkit.NewLive(now)
	h := testkit.NewHandler(live)
	var polls atomic.Int64
	srv, _ := testkit.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		polls.Add(1)
		h.ServeHTTP(w, r)
	}), transport.ServerOptions{})
	m := testkit.NewClient(t, client.Options{URLs: []string{"http://" + srv.Addr().String()}}).Mirror()
	require.NoError(t, m.Wait(t.Context()))
	for change := range 200 {
		changed := m.Changed()
		now = anyView(t, random, now)
		live.Change(func(c *testkit.Cluster) { *c = *now })
		select {
		case <-changed:
		case <-time.After(testkit.Soon):
			require.FailNow(t, "the mirror does not follow", "seed %d, change %d: %+v", seed, change, m.State())
		}
		require.Equal(t, now.Shown.Fingerprint, m.State().Fingerprint)
		require.Equal(t, now.Shown.Ring.Fingerprint(), m.Ring().Fingerprint())
		asked := make([]string, keys)
		for i := range asked {
			asked[i] = fmt.Sprintf("key %d %s", random.Uint64(), strings.Repeat("x", random.IntN(70)))
		}
		near := client.Near{}
		if random.IntN(2) == 0 {
			near = client.Near{Region: "eu", Zone: "z1"}
		}
		for i, want := range memberAnswers(t, h, asked, near) {
			got, err := m.Lookup(asked[i], near)
			require.NoError(t, err)
			require.Equal(t, want, got, "seed %d, change %d", seed, change)
		}
		e, ok := m.Member("n00")
		require.True(t, ok)
		require.Equal(t, now.Shown.Members[0].Services, e.Services)
	}
	require.LessOrEqual(t, polls.Load(), int64(202), "one for each change, the first one, and the one that waits")
}

// memberAnswers asks a member for the owners of many keys.
func memberAnswers(t *testing.T, h http.Handler, keys []string, near client.Near) []api.Placement {
	t.Helper()
	body, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	target := "/v1/lookup"
	if near != (client.Near{}) {
		target += "?region=" + near.Region + "&zone=" + near.Zone
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code, w.Body)
	var batch api.Batch
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &batch))
	return batch.Results
}

// TestAMirrorMovesOn: when its member dies or stops, a mirror asks another one without a
// wait. The wait after a round of failures is a day here, so a mirror that waits fails
// the test.
func TestAMirrorMovesOn(t *testing.T) {
	for name, end := range map[string]func(srv *transport.Server, live *testkit.Live){
		"dies": func(srv *transport.Server, _ *testkit.Live) {
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			_ = srv.Shutdown(ended) // closes all connections
		},
		"stops": func(_ *transport.Server, live *testkit.Live) { live.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := testkit.NewLive(testkit.NewCluster(t)), testkit.NewLive(testkit.NewCluster(t).Moving(t))
			one, _ := testkit.Serve(t, testkit.NewHandler(first), transport.ServerOptions{})
			two, _ := testkit.Serve(t, testkit.NewHandler(second), transport.ServerOptions{})
			m := testkit.NewClient(t, client.Options{
				URLs:       []string{"http://" + one.Addr().String(), "http://" + two.Addr().String()},
				MinBackoff: 24 * time.Hour, MaxBackoff: 24 * time.Hour,
			}).Mirror()
			require.NoError(t, m.Wait(t.Context()))
			require.Equal(t, first.View().Fingerprint, m.State().Fingerprint)
			changed := m.Changed()
			end(one, first)
			select {
			case <-changed:
			case <-time.After(testkit.Soon):
				require.FailNow(t, "the mirror stays with a member that is gone", "%+v", m.State())
			}
			require.Equal(t, second.View().Fingerprint, m.State().Fingerprint)
			require.NoError(t, m.State().Err)
		})
	}
}

// TestAMirrorOfWhatIsNoMember keeps no copy, and says why.
func TestAMirrorOfWhatIsNoMember(t *testing.T) {
	c := testkit.NewCluster(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/table", nil)
	r.Header.Set("Accept", "application/vnd.clusterkit.table")
	w := httptest.NewRecorder()
	testkit.NewHandler(c).ServeHTTP(w, r)
	good := w.Body.Bytes()
	var p api.Placements
	require.NoError(t, p.UnmarshalBinary(good))
	p.Serving.Owners[0], p.Serving.Owners[1] = p.Serving.Owners[1], p.Serving.Owners[0]
	swapped, err := p.MarshalBinary()
	require.NoError(t, err)
	for want, answer := range map[string]struct {
		kind string
		body []byte
		code int
	}{
		"is it a member that answers?":                           {"text/html", []byte("<p>"), 200},
		"this is no table of version 1":                          {"application/vnd.clusterkit.table", []byte("<p>"), 200},
		"it ends early":                                          {"application/vnd.clusterkit.table", good[:len(good)-1], 200},
		"the serving table: its fingerprint is c7ceb4f30bc868a5": {"application/vnd.clusterkit.table", swapped, 200},
		"status 404":                                             {"text/plain", nil, 404},
		"status 304":                                             {"text/plain", nil, 304},
	} {
		t.Run(want, func(t *testing.T) {
			srv, _ := testkit.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", answer.kind)
				w.WriteHeader(answer.code)
				_, _ = w.Write(answer.body)
			}), transport.ServerOptions{})
			m := testkit.NewClient(t, client.Options{URLs: []string{"http://" + srv.Addr().String()}}).Mirror()
			failed := func() bool { return m.State().Err != nil }
			require.Eventually(t, failed, testkit.Soon, time.Millisecond)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := m.Wait(ctx)
			require.ErrorContains(t, err, want)
			require.ErrorIs(t, err, context.Canceled)
			_, err = m.Lookup("k", client.Near{})
			refusal := new(api.Refusal)
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, api.RefusalNoRing, refusal.Type)
			require.Zero(t, m.Ring().Len())
			_, known := m.Member("n1")
			require.False(t, known)
		})
	}
}

// TestTheEndOfAMirror: it may be closed, and its client too; it keeps its copy.
func TestTheEndOfAMirror(t *testing.T) {
	srv, _ := testkit.Serve(t, testkit.NewHandler(testkit.NewLive(testkit.NewCluster(t))), transport.ServerOptions{})
	c := testkit.NewClient(t, client.Options{URLs: []string{"http://" + srv.Addr().String()}})
	one, other := c.Mirror(), c.Mirror()
	require.NoError(t, one.Wait(t.Context()))
	require.NoError(t, other.Wait(t.Context()))
	require.NoError(t, one.Close())
	require.NoError(t, one.Close())
	require.ErrorIs(t, one.State().Err, client.ErrClosed)
	require.NoError(t, other.State().Err)
	require.NoError(t, c.Close())
	require.ErrorIs(t, other.State().Err, client.ErrClosed)
	_, err := other.Lookup("k", client.Near{})
	require.NoError(t, err)
	_, err = other.Lookup("", client.Near{})
	require.ErrorContains(t, err, "the key is empty")
	late := c.Mirror()
	require.ErrorIs(t, late.Wait(t.Context()), client.ErrClosed)
	require.NoError(t, late.Close())
	_, _, err = rebalance.WhatIf(other.Ring(), rebalance.Change{Remove: []string{"n1"}})
	require.ErrorContains(t, err, "ask a member for a plan")
}
