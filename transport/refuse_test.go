package transport_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestRefusals compares every refusal with its exact document.
func TestRefusals(t *testing.T) {
	const urn = "urn:clusterkit:problem:"
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxBodyBytes: 1024, MaxKeys: 2, MaxChanges: 2})
	long := strings.Repeat("k", api.MaxKeyBytes+1)
	at := func(i int) *int { return &i }
	parameter := func(name, detail string) api.Refusal {
		return api.Refusal{Type: urn + "invalid-parameter", Title: "Invalid parameter", Status: 400, Parameter: name, Detail: detail}
	}
	body := func(detail string) api.Refusal {
		return api.Refusal{Type: urn + "invalid-body", Title: "Invalid body", Status: 400, Detail: detail}
	}
	key := func(detail string, bound int64, index *int) api.Refusal {
		return api.Refusal{Type: urn + "invalid-key", Title: "Invalid key", Status: 400, Detail: detail, Bound: bound, Index: index}
	}
	named := func(p api.Refusal, name string) api.Refusal { p.Parameter = name; return p }
	plain := func(status int, detail string) api.Refusal {
		return api.Refusal{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
	}
	for _, test := range []struct {
		method, target, body string
		want                 api.Refusal
	}{
		{"GET", "/", "", plain(404, `there is nothing at "/"`)},
		{"GET", "/v1", "", plain(404, `there is nothing at "/v1"`)},
		{"POST", "/nothing", "{}", plain(404, `there is nothing at "/nothing"`)},
		{"GET", "/v1/members/", "", plain(404, `there is nothing at "/v1/members/"`)},
		{"GET", "/v1/partitions/", "", plain(404, `there is nothing at "/v1/partitions/"`)},
		{"GET", "/v1/partitions/../members", "", plain(404, `there is nothing at "/v1/partitions/../members"`)},
		{"GET", "/v1/partitions/%2e%2e/members", "", plain(404, `there is nothing at "/v1/partitions/../members"`)},
		{"GET", "//v1/members", "", plain(404, `there is nothing at "//v1/members"`)},
		{"GET", "/v1//members", "", plain(404, `there is nothing at "/v1//members"`)},
		{"GET", "/v1/./members", "", plain(404, `there is nothing at "/v1/./members"`)},
		{"GET", "//", "", plain(404, `there is nothing at "//"`)},
		{"GET", "/v1/partitions/1%2F2", "", parameter("id", `partition "1/2" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/x", "", parameter("id", `partition "x" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/+1", "", parameter("id", `partition "+1" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/01", "", parameter("id", `partition "01" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/1.5", "", parameter("id", `partition "1.5" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/%EF%BC%91", "", parameter("id", `partition "\uff11" is not a whole number in decimal digits`)},
		{"GET", "/v1/partitions/" + strings.Repeat("x", 9000), "", parameter("id", `partition "`+strings.Repeat("x", 256)+`"... (9000 bytes) is not a whole number in decimal digits`)},
		{"GET", "/v1/lookup", "", parameter("key", `parameter "key" is missing`)},
		{"GET", "/v1/lookup?key=a&key=b", "", parameter("key", `parameter "key" is given 2 times: give it once`)},
		{"GET", "/v1/lookup?key=a&zone=b&zone=c", "", parameter("zone", `parameter "zone" is given 2 times: give it once`)},
		{"GET", "/v1/lookup?key=a&region=b&region=b", "", parameter("region", `parameter "region" is given 2 times: give it once`)},
		{"GET", "/v1/lookup?key=%zz", "", parameter("", `the query is malformed: invalid URL escape "%zz"`)},
		{"GET", "/v1/lookup?key=a;zone=b", "", parameter("", `the query is malformed: invalid semicolon separator in query`)},
		{"GET", "/v1/lookup?key=", "", named(key("the key is empty", 0, nil), "key")},
		{"GET", "/v1/lookup?key=" + long, "", named(key("the key has 4097 bytes: at most 4096", 4096, nil), "key")},
		{"GET", "/v1/lookup?key=%ff", "", named(key("the key is not UTF-8: encode it, for example as base64", 0, nil), "key")},
		{"GET", "/readyz?verbose=perhaps", "", parameter("verbose", `parameter "verbose" is "perhaps": must be true or false`)},
		{"GET", "/readyz?%zz", "", parameter("", `the query is malformed: invalid URL escape "%zz"`)},
		{"POST", "/v1/lookup", `{"keys":["a","b","c"]}`, api.Refusal{Type: urn + "too-many-keys", Title: "Too many keys", Status: 413, Detail: "the batch has 3 keys: at most 2", Bound: 2}},
		{"POST", "/v1/lookup", `{"keys":["a",""]}`, key("the key is empty", 0, at(1))},
		{"POST", "/v1/lookup", `{"keys":[null]}`, key("the key is empty", 0, at(0))},
		{"POST", "/v1/lookup", `{}`, named(body(`field "keys" is missing`), "keys")},
		{"POST", "/v1/lookup", `{"keys":null}`, named(body(`field "keys" is missing`), "keys")},
		{"POST", "/v1/lookup", `{"keys":["a"],"keys":["b"]}`, named(body(`field "keys" is given twice`), "keys")},
		{"POST", "/v1/lookup", `{"keys":["a"],"kind":1}`, body(`the body has an unknown field "kind"`)},
		{"POST", "/v1/lookup", `{"Keys":["a"]}`, body(`the body has an unknown field "Keys"`)},
		{"POST", "/v1/lookup", `{"keys":["a"]} x`, body(`the body is not the JSON expected: invalid character 'x' after top-level value`)},
		{"POST", "/v1/lookup", `{"keys":["a"]}{}`, body(`the body is not the JSON expected: invalid character '{' after top-level value`)},
		{"POST", "/v1/lookup", `{"keys":["a"`, body(`the body is not the JSON expected: unexpected end of JSON input`)},
		{"POST", "/v1/lookup", `["a"]`, body(`the body must be a JSON object`)},
		{"POST", "/v1/lookup", `null`, body(`the body must be a JSON object`)},
		{"POST", "/v1/lookup", `{"keys":"a"}`, body(`the body has a value of the wrong kind: want a list, got string`)},
		{"POST", "/v1/lookup", `{"keys":[1]}`, body(`the body has a value of the wrong kind: want a string, got number`)},
		{"POST", "/v1/lookup", "{\"keys\":[\"\xff\"]}", body(`the body holds text that is not Unicode`)},
		{"POST", "/v1/lookup", `{"keys":["\ud800"]}`, body(`the body holds text that is not Unicode`)},
		{"POST", "/v1/lookup", `{"keys":["\ud800\ud800"]}`, body(`the body holds text that is not Unicode`)},
		{"POST", "/v1/lookup", `{"keys":["\\\udc00"]}`, body(`the body holds text that is not Unicode`)},
		{"POST", "/v1/lookup", `{"keys":["` + long + `"]}`, api.Refusal{Type: urn + "body-too-large", Title: "Body too large", Status: 413, Detail: "the body is longer than 1024 bytes", Bound: 1024}},
		{"POST", "/v1/lookup?zone=a&zone=b", `{"keys":["a"]}`, parameter("zone", `parameter "zone" is given 2 times: give it once`)},
		{"POST", "/v1/lookup?%zz", `{"keys":["a"]}`, parameter("", `the query is malformed: invalid URL escape "%zz"`)},
		{"GET", "/v1/partitions/1?%zz", "", parameter("", `the query is malformed: invalid URL escape "%zz"`)},
		{"GET", "/v1/partitions/1?zone=a&zone=b", "", parameter("zone", `parameter "zone" is given 2 times: give it once`)},
		{"POST", "/v1/plan?%zz", `{}`, parameter("", `the query is malformed: invalid URL escape "%zz"`)},
		{"POST", "/v1/plan?moves=some", `{}`, parameter("moves", `parameter "moves" is "some": must be true or false`)},
		{"POST", "/v1/plan", `{"add":[{"id":"n9","weigth":2}]}`, body(`the body is not the JSON expected: unknown field "weigth"`)},
		{"POST", "/v1/plan", `{"add":[{"id":"n9","weight":1.5}]}`, body(`the body has a value of the wrong kind: want a whole number, got number 1.5`)},
		{"POST", "/v1/plan", `{"add":[{"id":"n9","weight":1,"weight":2}]}`, named(body(`field "weight" is given twice`), "weight")},
		{"POST", "/v1/plan", `{"add":[{"id":"n8"},{"id":"n9","\u0069d":"n7"}]}`, named(body(`field "id" is given twice`), "id")},
		{"POST", "/v1/plan", `{"drain":["a"],"reweight":[{"id":"n1","ID":"n2","weight":2}]}`, named(body(`field "ID" is given twice`), "ID")},
		{"POST", "/v1/plan", `{"add":{}}`, body(`the body has a value of the wrong kind: want a list, got object`)},
		{"POST", "/v1/plan", `{"add":[7]}`, body(`the body has a value of the wrong kind: want an object, got number`)},
		{"POST", "/v1/plan", `{"remove":["a","b"],"drain":["c"]}`, api.Refusal{Type: urn + "too-many-changes", Title: "Too many changes", Status: 413, Detail: "the change has 3 entries: at most 2", Bound: 2}},
	} {
		w := call(h, test.method, test.target, test.body)
		requireProblem(t, test.want, w, test.method+" "+cutName(test.target)+" "+cutName(test.body))
	}
	for id, shown := range map[string]string{"8": "8", "-1": "-1", "9223372036854775808": "9223372036854775808"} {
		requireProblem(t, api.Refusal{
			Type: urn + "unknown-partition", Title: "Unknown partition", Status: 404, Bound: 8,
			Detail: fmt.Sprintf("there is no partition %q: partitions go from 0 to 7", shown),
		}, call(h, "GET", "/v1/partitions/"+id, ""), id)
	}
}

func cutName(s string) string { return s[:min(len(s), 60)] }

func requireProblem(t *testing.T, want api.Refusal, w *httptest.ResponseRecorder, name string) {
	t.Helper()
	require.Equal(t, want.Status, w.Code, name)
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), name)
	requireCommonHeaders(t, w.Header())
	document, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, string(document), w.Body.String(), name)
}

func TestMethodsThatAreNotAllowed(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for path, allow := range map[string]string{
		"/livez": "GET, HEAD", "/readyz": "GET, HEAD", "/v1/health": "GET, HEAD", "/v1/members": "GET, HEAD", "/v1/ring": "GET, HEAD",
		"/v1/partitions/1": "GET, HEAD", "/v1/lookup": "GET, HEAD, POST", "/v1/plan": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			w := call(h, method, path, "")
			require.Equal(t, allow, w.Header().Get("Allow"), method+" "+path)
			if method == "HEAD" {
				require.Equal(t, 405, w.Code)
				continue
			}
			requireProblem(t, api.Refusal{
				Type: "about:blank", Title: "Method Not Allowed", Status: 405,
				Detail: fmt.Sprintf("method %q is not allowed here: use one of %s", method, allow),
			}, w, method+" "+path)
		}
	}
}

func TestContentTypes(t *testing.T) {
	h := testkit.NewHandler(testkit.NewCluster(t))
	for header, status := range map[string]int{
		"Content-Type: application/json":                       200,
		"Content-Type: application/json; charset=UTF-8":        200,
		"Content-Type: Application/JSON":                       200,
		"Content-Encoding: identity":                           200,
		"Content-Type: ":                                       415,
		"Content-Type: text/plain":                             415,
		"Content-Type: application/json; charset=latin1":       415,
		"Content-Type: application/json;;":                     415,
		"Content-Type: application/x-www-form-urlencoded":      415,
		"Content-Encoding: gzip":                               415,
		"Content-Type: " + strings.Repeat("application/", 200): 415,
	} {
		w := call(h, "POST", "/v1/lookup", `{"keys":["a"]}`, header)
		require.Equal(t, status, w.Code, header)
		if status == 415 {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.NotEmpty(t, w.Header().Get("Accept")+w.Header().Get("Accept-Encoding"))
		}
	}
	require.Equal(t, 415, call(h, "POST", "/v1/plan", "").Code, "no body, no type")
}

// TestBeforeTheFirstRing also tests an empty ring, as when all members are observers.
func TestBeforeTheFirstRing(t *testing.T) {
	for _, r := range []*ring.Ring{nil, {}, testkit.Build(t, testkit.Stairs{}, 8)} {
		c := testkit.NewCluster(t)
		c.Shown.Ring = r
		h := testkit.NewHandler(c)
		for _, test := range [][3]string{
			{"GET", "/v1/ring"},
			{"GET", "/v1/partitions/1"},
			{"GET", "/v1/lookup?key=k"},
			{"POST", "/v1/lookup", `{"keys":["k"]}`},
			{"POST", "/v1/plan", `{}`},
		} {
			w := call(h, test[0], test[1], test[2])
			require.Equal(t, "1", w.Header().Get("Retry-After"))
			requireProblem(t, api.Refusal{
				Type: "urn:clusterkit:problem:no-ring", Title: "No ring yet", Status: 503,
				Detail: "no member is known to own anything yet: try again, or ask another member",
			}, w, test[1])
		}
		for _, target := range []string{"/livez", "/readyz", "/v1/health", "/v1/members"} {
			require.Equal(t, 200, call(h, "GET", target, "").Code, target)
		}
	}
}

func TestAnUnreadyMemberAnswersLookups(t *testing.T) {
	c := testkit.NewCluster(t)
	c.Condition.Ready = false
	require.Equal(t, 200, call(testkit.NewHandler(c), "GET", "/v1/lookup?key=k", "").Code)
	require.Equal(t, 503, call(testkit.NewHandler(c), "GET", "/v1/health", "").Code)
}

// TestBodiesThatAreTooLong: a body whose header gives its length is not read; another
// body is read up to the limit.
func TestBodiesThatAreTooLong(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxBodyBytes: 1024})
	for length, body := range map[int64]io.Reader{
		1025: iotest.ErrReader(errors.New("read")),
		-1:   strings.NewReader(strings.Repeat(" ", 1025)),
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/lookup", body)
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, "close", w.Header().Get("Connection"))
		requireProblem(t, api.Refusal{
			Type: "urn:clusterkit:problem:body-too-large", Title: "Body too large", Status: 413, Bound: 1024,
			Detail: "the body is longer than 1024 bytes",
		}, w, "")
	}
}

func TestABodyThatBreaksOff(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/lookup", iotest.ErrReader(errors.New("secret of the network")))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	testkit.NewHandler(testkit.NewCluster(t)).ServeHTTP(w, r)
	require.Equal(t, 400, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
}
