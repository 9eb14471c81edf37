package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

func TestPlanListsNoMoreMovesThanAllowed(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxMoves: 2})
	var answer api.Plan
	require.NoError(t, json.Unmarshal(call(h, "POST", "/v1/plan", `{"remove":["n2"]}`).Body.Bytes(), &answer))
	require.Len(t, answer.Moves, 2)
	require.True(t, answer.Truncated)
	require.Greater(t, answer.MoveCount, 2)
}

// TestImpossibleChanges: the answer has the error of package rebalance, in one line of
// limited length.
func TestImpossibleChanges(t *testing.T) {
	c := testkit.NewCluster(t)
	long := strings.Repeat("n", 300)
	for body, change := range map[string]rebalance.Change{
		`{"add":[{"id":"n9","weight":-1}]}`:                        {Add: []ring.Node{{ID: "n9", Weight: -1}}},
		`{"add":[{"id":""}]}`:                                      {Add: []ring.Node{{}}},
		`{"add":[{"id":"n1"}]}`:                                    {Add: []ring.Node{{ID: "n1"}}},
		`{"remove":["n7","n8"]}`:                                   {Remove: []string{"n7", "n8"}},
		`{"remove":["n1"],"drain":["n1"]}`:                         {Remove: []string{"n1"}, Drain: []string{"n1"}},
		`{"reweight":[{"id":"n1","weight":-1}]}`:                   {Reweight: []rebalance.Reweight{{ID: "n1", Weight: -1}}},
		`{"rezone":[{"id":"` + long + `","region":"","zone":""}]}`: {Rezone: []rebalance.Rezone{{ID: long}}},
	} {
		_, _, err := rebalance.WhatIf(c.Shown.Ring, change)
		require.Error(t, err, body)
		detail := strings.ReplaceAll(err.Error(), "\n", "; ")
		if len(detail) > 256 {
			detail = detail[:256] + "..."
		}
		requireProblem(t, api.Refusal{
			Type: "urn:clusterkit:problem:invalid-change", Title: "Invalid change", Status: 422, Detail: detail,
		}, call(testkit.NewHandler(c), "POST", "/v1/plan", body), body)
	}
}

// held is a strategy that waits before it places more than three nodes.
type held struct {
	testkit.Stairs
	*testkit.Gate
}

func (h held) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) > 3 {
		h.Entered <- struct{}{}
		<-h.Leave
	}
	return h.Stairs.Assign(t, table)
}

func TestPlansWaitForEachOtherAndNothingElseDoes(t *testing.T) {
	c, g := testkit.NewCluster(t), testkit.NewGate()
	c.Shown.Ring = testkit.Build(t, held{Gate: g}, 8, testkit.Nodes[:3]...)
	h := testkit.NewHandler(c)
	first := make(chan int)
	go func() { first <- call(h, "POST", "/v1/plan", `{"add":[{"id":"n9"}]}`).Code }()
	<-g.Entered

	require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "").Code)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/plan", strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	requireProblem(t, api.Refusal{
		Type: "about:blank", Title: "Service Unavailable", Status: 503,
		Detail: "the request ended before its plan was complete",
	}, w, "")

	close(g.Leave)
	require.Equal(t, 200, <-first)
	require.Equal(t, 200, call(h, "POST", "/v1/plan", `{}`).Code)
}

// picky is a strategy that cannot place more than three nodes.
type picky struct{ testkit.Stairs }

func (p picky) Assign(t ring.Topology, table ring.Table) error {
	if len(t.Nodes) > 3 {
		panic("secret of the strategy")
	}
	return p.Stairs.Assign(t, table)
}

func TestAStrategyThatFailsOnAPlan(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Shown.Ring = testkit.Build(t, picky{}, 8, testkit.Nodes[:3]...)
	var log bytes.Buffer
	h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	requireProblem(t, api.Refusal{
		Type: "urn:clusterkit:problem:invalid-change", Title: "Invalid change", Status: 422,
		Detail: `strategy "stairs/1" cannot place the nodes that the change leads to; the member's log says why`,
	}, call(h, "POST", "/v1/plan", `{"add":[{"id":"n9"}]}`), "")
	require.Contains(t, log.String(), "secret of the strategy")
}
