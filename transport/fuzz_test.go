package transport_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// fuzzHandler serves a real strategy; without a ring it may answer 503.
func fuzzHandler(tb testing.TB) *transport.Handler {
	c := testkit.NewCluster(tb)
	c.Shown.Ring = testkit.Build(tb, rebalance.Rendezvous{}, 64, testkit.Nodes...)
	return testkit.NewHandler(c)
}

// fuzzCall sends a request with an unparsed URL, and checks the headers that every
// answer must have.
func fuzzCall(t *testing.T, h http.Handler, method string, u url.URL, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", bytes.NewReader(body))
	r.URL = &u
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.NoError(t, openAPI().checkAnswer(method, r.URL.Path, w.Code, w.Header(), w.Body.Bytes()))
	require.Less(t, w.Code, 500)
	require.NotContains(t, []int{301, 302, 307, 308}, w.Code)
	requireCommonHeaders(t, w.Header())
	switch w.Header().Get("Content-Type") {
	case "text/plain; charset=utf-8":
	case "application/problem+json":
		var p api.Refusal
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, w.Code, p.Status)
		require.GreaterOrEqual(t, w.Code, 400)
		require.NotEmpty(t, p.Detail)
		require.Less(t, w.Body.Len(), 8<<10, "a refusal repeats little of what was sent")
	case "application/json":
		require.Equal(t, 200, w.Code)
		require.True(t, json.Valid(w.Body.Bytes()))
	default:
		require.Fail(t, "content type "+w.Header().Get("Content-Type"))
	}
	return w
}

func FuzzLookupQuery(f *testing.F) {
	for _, seed := range []string{"key=user:42", "key=%D0%BA&region=eu&zone=eu-1a", "key=", "key=a&key=b", "key=%zz", "key=%ff", "a;b", "KEY=a"} {
		f.Add(seed)
	}
	h := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, query string) {
		w := fuzzCall(t, h, "GET", url.URL{Path: "/v1/lookup", RawQuery: query}, nil)
		if w.Code != 200 {
			return
		}
		var answer api.Placement
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		require.Equal(t, []string{answer.Key}, values["key"])
		require.Len(t, answer.Owners, 2)
	})
}

func FuzzBatchBody(f *testing.F) {
	for _, seed := range []string{`{"keys":["a","b","a"]}`, `{"keys":[]}`, `{"keys":["\ud83d\ude00","\u0000"]}`, `{"keys":["\ud800"]}`, `{"keys":[""]}`, `{}`, `[`, `{"keys":["a"],"keys":[]}`, `{"keys":{"a":[[[]]]}}`} {
		f.Add([]byte(seed))
	}
	h := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := fuzzCall(t, h, "POST", url.URL{Path: "/v1/lookup"}, body)
		if w.Code != 200 {
			return
		}
		var request struct{ Keys []string }
		require.NoError(t, json.Unmarshal(body, &request))
		var answer api.Batch
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Len(t, answer.Results, len(request.Keys))
		grouped := 0
		for _, g := range answer.Groups {
			grouped += len(g.Indexes)
			for _, i := range g.Indexes {
				require.Equal(t, g.Primary, answer.Results[i].Primary)
			}
		}
		require.Equal(t, len(request.Keys), grouped)
		for i, key := range request.Keys {
			require.Equal(t, key, answer.Results[i].Key)
		}
	})
}

func FuzzPlanBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"add":[{"id":"n9","zone":"z","weight":3}],"remove":["n1"]}`, `{"drain":["n1","n2","n3","n4"]}`,
		`{"rezone":[{"id":"n1","region":"","zone":""}],"reweight":[{"id":"n2","weight":1048576}]}`,
		`{"add":[{"id":"","weight":-9223372036854775808}]}`, `{"remove":["n1","n1"]}`, `{"add":[null]}`, `{"rezone":[{"id":"\u0000"}]}`,
	} {
		f.Add([]byte(seed))
	}
	h := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := fuzzCall(t, h, "POST", url.URL{Path: "/v1/plan"}, body)
		if w.Code != 200 {
			return
		}
		var answer api.Plan
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Len(t, answer.Moves, answer.MoveCount)
		require.NotNil(t, answer.Moves)
		require.LessOrEqual(t, answer.MoveCount, answer.Slots)
	})
}

func FuzzPartitionPath(f *testing.F) {
	for _, seed := range []string{"0", "63", "64", "-1", "x", "..", "../members", "1%2F2", "9999999999999999999999", "", "/", "\x00", "%"} {
		f.Add(seed)
	}
	h := fuzzHandler(f)
	f.Fuzz(func(t *testing.T, id string) {
		w := fuzzCall(t, h, "GET", url.URL{Path: "/v1/partitions/" + id}, nil)
		require.Contains(t, []int{200, 400, 404}, w.Code)
		if w.Code == 200 {
			var answer api.Placement
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			require.Less(t, answer.Partition, 64)
		}
	})
}
