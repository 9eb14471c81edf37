package transport_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestDocuments compares every document with a file, field names included. The files
// are indented; the answers are not.
func TestDocuments(t *testing.T) {
	settled, moving, unready := testkit.NewCluster(t), testkit.NewCluster(t).Moving(t), testkit.NewCluster(t)
	unready.Condition.Ready, unready.Condition.Healthy, unready.Condition.Agreed = false, false, false
	unready.Condition.LastSync = time.Time{}
	unready.Condition.Problems = []api.Problem{
		{Code: "isolated", Message: "5 of 6 probes failed: check the network", Unready: true, Critical: true},
		{Code: "disagreement", Message: "n3 differs"},
	}
	unready.Condition.Differing = []api.Differing{{ID: "n3", Reason: "has not answered"}}

	for _, test := range []struct {
		file, method, target, body string
		cluster                    *testkit.Cluster
		status                     int
	}{
		{"health.json", "GET", "/v1/health", "", settled, 200},
		{"health_unready.json", "GET", "/v1/health", "", unready, 503},
		{"members.json", "GET", "/v1/members", "", settled, 200},
		{"ring.json", "GET", "/v1/ring", "", settled, 200},
		{"ring_moving.json", "GET", "/v1/ring", "", moving, 200},
		{"partition.json", "GET", "/v1/partitions/5", "", settled, 200},
		{"partition_near.json", "GET", "/v1/partitions/5?region=eu", "", settled, 200},
		{"lookup.json", "GET", "/v1/lookup?key=user:42", "", settled, 200},
		{"lookup_near.json", "GET", "/v1/lookup?key=user:42&region=eu&zone=eu-1b", "", settled, 200},
		{"lookup_moving.json", "GET", "/v1/lookup?key=user:42", "", moving, 200},
		{"batch.json", "POST", "/v1/lookup", `{"keys":["user:42","ключ","<&>","user:42"]}`, settled, 200},
		{"batch_near.json", "POST", "/v1/lookup?region=eu&zone=eu-1b", `{"keys":["user:42"]}`, settled, 200},
		{"batch_moving.json", "POST", "/v1/lookup", `{"keys":["user:42"]}`, moving, 200},
		{"batch_empty.json", "POST", "/v1/lookup", `{"keys":[]}`, settled, 200},
		{"plan.json", "POST", "/v1/plan", `{"add":[{"id":"n9","region":"eu","zone":"eu-1c","weight":2}],"drain":["n3"],"rezone":[{"id":"n1","region":"eu","zone":"eu-1b"}],"reweight":[{"id":"n2","weight":1}]}`, settled, 200},
		{"plan_counts.json", "POST", "/v1/plan?moves=false", `{"remove":["n2"]}`, settled, 200},
		{"plan_moving.json", "POST", "/v1/plan", `{"remove":["n4"]}`, moving, 200},
		{"plan_nothing.json", "POST", "/v1/plan", `{}`, settled, 200},
	} {
		t.Run(test.file, func(t *testing.T) {
			w := call(testkit.NewHandler(test.cluster), test.method, test.target, test.body)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			requireCommonHeaders(t, w.Header())
			var indented bytes.Buffer
			require.NoError(t, json.Indent(&indented, w.Body.Bytes(), "", "  "))
			golden(t, test.file, indented.String())
		})
	}
}

func requireCommonHeaders(t *testing.T, h http.Header) {
	t.Helper()
	require.Equal(t, "no-store", h.Get("Cache-Control"))
	require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
}

func TestProbes(t *testing.T) {
	ready, degraded, unready := testkit.NewCluster(t), testkit.NewCluster(t), testkit.NewCluster(t)
	degraded.Condition.Problems = []api.Problem{{Code: "minority", Message: "2 of 5", Critical: true}, {Code: "zones", Message: "8 partitions lack a zone"}}
	unready.Condition.Ready = false
	unready.Condition.Problems = []api.Problem{
		{Code: "settling", Message: "waiting for\nthe ring", Unready: true},
		{Code: "zones", Message: "8 partitions lack a zone"},
	}
	for _, test := range []struct {
		target  string
		cluster *testkit.Cluster
		status  int
		text    string
	}{
		{"/livez", ready, 200, "ok\n"},
		{"/livez", unready, 200, "ok\n"},
		{"/livez?%zz", ready, 200, "ok\n"},
		{"/readyz", ready, 200, "ready\n"},
		{"/readyz?verbose", ready, 200, "ready\n"},
		{"/readyz?verbose", degraded, 200, "ready\ncritical: minority: 2 of 5\ndegraded: zones: 8 partitions lack a zone\n"},
		{"/readyz", unready, 503, "not ready\n"},
		{"/readyz?verbose=false", unready, 503, "not ready\n"},
		{"/readyz?verbose", unready, 503, "not ready\nunready: settling: waiting for the ring\ndegraded: zones: 8 partitions lack a zone\n"},
	} {
		w := call(testkit.NewHandler(test.cluster), "GET", test.target, "")
		require.Equal(t, test.status, w.Code, test.target)
		require.Equal(t, test.text, w.Body.String(), test.target)
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
		requireCommonHeaders(t, w.Header())
	}
}

// TestAgreeingMembersAnswerAlike compares two members that built their rings on their
// own, and that differ in all local values.
func TestAgreeingMembersAnswerAlike(t *testing.T) {
	one, other := testkit.NewCluster(t).Moving(t), testkit.NewCluster(t).Moving(t)
	other.Shown.NodeID, other.Shown.Version = "n3", 99
	other.Condition = api.Health{Problems: []api.Problem{{Code: "settling", Unready: true}}}
	a, b := testkit.NewHandler(one), testkit.NewHandler(other)
	for _, test := range []struct{ method, target, body string }{
		{"GET", "/v1/lookup?key=user:42", ""},
		{"GET", "/v1/lookup?key=user:42&zone=us-1a&region=us", ""},
		{"GET", "/v1/partitions/7", ""},
		{"POST", "/v1/lookup", `{"keys":["a","b","c","d","e","f","g","h"]}`},
		{"POST", "/v1/plan", `{"remove":["n2"]}`},
		{"GET", "/v1/lookup", ""},
	} {
		x, y := call(a, test.method, test.target, test.body), call(b, test.method, test.target, test.body)
		require.Equal(t, x.Code, y.Code, test.target)
		require.Equal(t, x.Header(), y.Header(), test.target)
		require.Equal(t, x.Body.String(), y.Body.String(), test.target)
	}
}

func TestHeadAnswersWithoutABody(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for _, target := range []string{
		"/livez", "/readyz?verbose", "/v1/health", "/v1/members", "/v1/ring",
		"/v1/partitions/1", "/v1/partitions/99", "/v1/lookup?key=k", "/v1/lookup", "/nothing",
	} {
		get, head := call(h, "GET", target, ""), call(h, "HEAD", target, "")
		require.Equal(t, get.Code, head.Code, target)
		require.Equal(t, get.Header(), head.Header(), target)
		require.Empty(t, head.Body.String(), target)
	}
}

// TestRingSummaryFollowsTheRing checks the cache of the summary.
func TestRingSummaryFollowsTheRing(t *testing.T) {
	c := testkit.NewCluster(t)
	h := testkit.NewHandler(c)
	first := call(h, "GET", "/v1/ring", "").Body.String()
	require.Equal(t, first, call(h, "GET", "/v1/ring", "").Body.String())
	c.Moving(t)
	var answer api.Ring
	require.NoError(t, json.Unmarshal(call(h, "GET", "/v1/ring", "").Body.Bytes(), &answer))
	require.True(t, answer.Moving)
	require.Len(t, answer.Target.Nodes, 4)
	c.Shown.Ring = testkit.Build(t, testkit.Stairs{}, 8, testkit.Nodes[0])
	answer = api.Ring{}
	require.NoError(t, json.Unmarshal(call(h, "GET", "/v1/ring", "").Body.Bytes(), &answer))
	require.False(t, answer.Moving)
	require.Equal(t, 8, answer.Spread.UnderReplicated)
	require.Equal(t, []api.Node{{ID: "n1", Region: "eu", Zone: "eu-1a", Weight: 1, Owned: 8, Primary: 8}}, answer.Nodes)
}

// TestNothingAMemberSaysBreaksTheList uses values that JSON cannot hold.
func TestNothingAMemberSaysBreaksTheList(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Shown.Members = []membership.Member{{
		ID: "n1\xff", Weight: 1, State: membership.State(200), Started: time.Unix(math.MaxInt64/2, 0),
		Metadata: map[string]string{"\xfe": "\x00"},
	}}
	w := call(testkit.NewHandler(c), "GET", "/v1/members", "")
	require.Equal(t, 200, w.Code)
	var answer api.Members
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	require.Equal(t, "state(200)", answer.Members[0].State)
	require.Zero(t, answer.Members[0].Started)
	require.NotContains(t, w.Body.String(), "null")
}

// TestOwnersThatAreNoMembers: a ring may name a node before the list of members
// does.
func TestOwnersThatAreNoMembers(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Shown.Members = nil
	w := call(testkit.NewHandler(c), "GET", "/v1/lookup?key=user:42", "")
	require.Equal(t, 200, w.Code)
	require.NotContains(t, w.Body.String(), "httpAddr")
	require.Contains(t, call(testkit.NewHandler(c), "GET", "/v1/members", "").Body.String(), `"members":[],`)
}

func TestAnswersReadBack(t *testing.T) {
	c := testkit.NewCluster(t)
	var answer api.Placement
	require.NoError(t, json.Unmarshal(call(testkit.NewHandler(c), "GET", "/v1/lookup?key=user:42", "").Body.Bytes(), &answer))
	p := c.Shown.Ring.Lookup("user:42")
	require.Equal(t, p.Token(), answer.Token)
	require.Equal(t, p.Partition(), answer.Partition)
	require.Len(t, answer.Owners, p.Len())
	for i, n := range p.All() {
		require.Equal(t, n.ID(), answer.Owners[i].ID)
	}
}
