package route_test

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// requireFailure checks an answer's status and problem document.
func requireFailure(t *testing.T, response reply, body string, status int, kind string) api.Refusal {
	t.Helper()
	require.Equal(t, status, response.StatusCode, body)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	var p api.Refusal
	require.NoError(t, json.Unmarshal([]byte(body), &p))
	require.Equal(t, status, p.Status)
	require.Equal(t, kind, p.Type)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	return p
}

func TestReadsGoToTheNearestOwner(t *testing.T) {
	// n1 gets the request; the preference list begins with the farthest owner.
	f := newFleet(t, nil, nil, "eu/a", "eu/a", "eu/b", "us/c", "eu/a")
	for _, test := range []struct {
		name   string
		owners []int
		want   string
		of     func(route.Attempts) uint64
	}{
		{"itself", []int{4, 3, 2, 1}, "n1", func(a route.Attempts) uint64 { return a.Local }},
		{"its zone", []int{4, 3, 2}, "n2", func(a route.Attempts) uint64 { return a.SameZone }},
		{"its region", []int{4, 3}, "n3", func(a route.Attempts) uint64 { return a.SameRegion }},
		{"the rest", []int{4}, "n4", func(a route.Attempts) uint64 { return a.Remote }},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.agree(test.owners...)
			before := test.of(f.stats(1).Answered)
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				response, body := f.send(1, method, "/k", "")
				require.Equal(t, 200, response.StatusCode, body)
				require.Equal(t, test.want, response.Header.Get("Member"), method)
			}
			require.Equal(t, before+3, test.of(f.stats(1).Answered))
		})
	}
	stats := f.stats(1)
	require.EqualValues(t, 6, stats.Answered.SameRegion+stats.Answered.Remote)
	require.EqualValues(t, 12, sum(stats.Answered))
	require.Zero(t, stats.Retries)
}

func TestWritesGoToThePrimary(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/a", "us/c")
	f.agree(3, 2, 1)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "PURGE"} {
		response, body := f.send(1, method, "/k", "v")
		require.Equal(t, 200, response.StatusCode, body)
		require.Equal(t, "n3", response.Header.Get("Member"), method)
	}
	require.EqualValues(t, 5, f.stats(1).Answered.Remote)
	require.EqualValues(t, 5, f.stats(3).Answered.Local)
}

func TestPolicyIsTheUsers(t *testing.T) {
	var policy route.Policy
	f := newFleet(t, nil, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return policy }
	}, "eu/a", "eu/a", "us/c")
	f.agree(3, 2, 1)
	for policy = range route.PrimaryFirst + 1 {
		for _, method := range []string{"GET", "POST"} {
			response, _ := f.send(1, method, "/k", "")
			want := "n3"
			if policy == route.Nearest {
				want = "n1"
			}
			require.Equal(t, want, response.Header.Get("Member"), "%v %s", policy, method)
		}
	}
	// PrimaryFirst goes on to the next owner, which here comes before this member.
	policy = route.PrimaryFirst
	f.kill(3)
	response, _ := f.send(1, "PUT", "/k", "v")
	require.Equal(t, "n2", response.Header.Get("Member"))
	f.kill(2)
	response, _ = f.send(1, "PUT", "/k", "v")
	require.Equal(t, "n1", response.Header.Get("Member"), "and then to itself")
}

func TestWithoutAKeyTheMemberAsked(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	response, _ := f.send(1, "GET", "/free", "")
	require.Equal(t, "n1", response.Header.Get("Member"), "before the first ring")
	f.agree(2)
	response, _ = f.send(1, "POST", "/free", "v")
	require.Equal(t, "n1", response.Header.Get("Member"))
	require.Empty(t, response.Header.Get(api.TokenHeader))
	require.EqualValues(t, 2, f.stats(1).Unkeyed)
	require.Zero(t, sum(f.stats(1).Answered))
}

func TestWithoutARing(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	response, body := f.send(1, "GET", "/k", "")
	requireFailure(t, response, body, 503, api.RefusalNoRing)
	require.Equal(t, "1", response.Header.Get("Retry-After"))
	// For another router this member is one that does not own the key.
	response, body = f.send(1, "GET", "/k", "", wire.ForwardedHeader+": "+f.mark(1))
	requireFailure(t, response, body, 421, wire.Misdirected)
	require.Empty(t, response.Header.Get(api.TokenHeader))
}

func TestTheTokenTravels(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(2)
	token := f.owned(2).Lookup("k").Token().String()
	for member, sender := range map[int]string{1: "n1", 2: ""} {
		response, _ := f.send(member, "GET", "/k", "")
		require.Equal(t, []string{token}, response.Header.Values(api.TokenHeader))
		got := f.received(2)
		p, from, ok := route.Routed(got[len(got)-1].Context())
		require.True(t, ok)
		require.Equal(t, token, p.Token().String())
		require.Equal(t, f.owned(2).Partition("k"), p.Partition())
		require.Equal(t, sender, from)
	}
	f.send(2, "GET", "/free", "")
	_, _, ok := route.Routed(f.received(2)[2].Context())
	require.False(t, ok, "a request without a key")
}

// TestTheHandlersOwn421: a 421 of the handler is passed on. Only a 421 of a router says
// that the request has not run.
func TestTheHandlersOwn421(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(wire.RefusedHeader, "fedcba9876543210") // of another request, further on
		w.WriteHeader(http.StatusMisdirectedRequest)
	}, nil, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	response, _ := f.send(1, "POST", "/k", "v")
	require.Equal(t, 421, response.StatusCode)
	require.Len(t, f.received(2), 1)
	require.Empty(t, f.received(3))
	require.EqualValues(t, 1, f.stats(1).Answered.SameRegion)
}

func TestForwardedRequests(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(2)
	response, _ := f.send(1, "POST", "/k/a%2Fb/%C3%BC?x=1;y=%zz&z", "body",
		"Host: ignored", "Accept: text/plain", "Connection: X-Hop, Clusterkit-Token", "X-Hop: 1", "Keep-Alive: 5",
		"Proxy-Authorization: secret", "Te: trailers", "Authorization: Bearer t",
		"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "Forwarded: for=evil")
	require.Equal(t, "n2", response.Header.Get("Member"))
	got := f.received(2)[0]
	require.Equal(t, "/k/a%2Fb/%C3%BC?x=1;y=%zz&z", got.RequestURI, "byte for byte")
	require.Equal(t, strings.TrimPrefix(f.stations[0].server.URL, "http://"), got.Host)
	for name, want := range map[string]string{
		"Accept": "text/plain", "Authorization": "Bearer t", "Te": "trailers",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": got.Host, "X-Forwarded-Proto": "http",
		"X-Hop": "", "Keep-Alive": "", "Proxy-Authorization": "secret", "Forwarded": "", "Connection": "",
		"User-Agent": "Go-http-client/1.1",
	} {
		require.Equal(t, want, got.Header.Get(name), name)
	}
	_, from, _ := route.Routed(got.Context())
	require.Equal(t, "n1", from, "a client cannot have the mark taken off")
}

func TestForwardedHeadersOfAProxyThatIsTrusted(t *testing.T) {
	f := newFleet(t, nil, func(o *route.Options) { o.TrustForwarded = true }, "eu/a", "eu/b")
	f.agree(2)
	f.send(1, "GET", "/k", "", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10",
		"X-Forwarded-Host: shop.example", "X-Forwarded-Proto: https")
	f.send(1, "GET", "/k", "")
	first, second := f.received(2)[0].Header, f.received(2)[1].Header
	require.Equal(t, "203.0.113.9, 203.0.113.10, 127.0.0.1", first.Get("X-Forwarded-For"))
	require.Equal(t, "shop.example", first.Get("X-Forwarded-Host"))
	require.Equal(t, "https", first.Get("X-Forwarded-Proto"))
	require.Equal(t, "127.0.0.1", second.Get("X-Forwarded-For"))
	require.Equal(t, "http", second.Get("X-Forwarded-Proto"))
}

// TestBelowAPrefix: a handler around the router that removes a prefix of the path
// removes it on the other member too.
func TestBelowAPrefix(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(2)
	for _, s := range f.stations {
		s.put(http.StripPrefix("/api", s.router))
	}
	for _, path := range []string{"/api/k", "/api/api/api?x=1", "/api/k/a%2Fb?y", "/api/k%3F", "/api//evil.example/x"} {
		response, body := f.send(1, "GET", path, "")
		require.Equal(t, 200, response.StatusCode, "%s: %s", path, body)
		got := f.received(2)
		last := got[len(got)-1]
		require.Equal(t, path, last.RequestURI)
		require.Equal(t, strings.TrimPrefix(path, "/api"), (&url.URL{Path: last.URL.Path, RawPath: last.URL.RawPath, RawQuery: last.URL.RawQuery}).RequestURI())
	}
}

func TestOwnersThatCannotAnswerAreLeftOut(t *testing.T) {
	f := newFleet(t, nil, func(o *route.Options) { o.Patience = option.None }, "eu/a", "eu/a", "eu/b")
	f.agree(2, 3)
	f.stations[0].set(f.owned(2, 3), f.without(2))
	_, body := f.send(1, "GET", "/k", "")
	require.Equal(t, "n3", body, "n2 is not among the living")

	deaf := append([]membership.Member{}, f.members...)
	deaf[1].Services = map[string]string{"admin": deaf[1].Services["kv"]}
	f.stations[0].set(f.owned(2, 3), deaf)
	_, body = f.send(1, "GET", "/k", "")
	require.Equal(t, "n3", body, "n2 has no such service")

	response, body := f.send(1, "POST", "/k", "v")
	p := requireFailure(t, response, body, 503, api.RefusalNoOwner)
	require.Contains(t, p.Detail, "the request has not run")
	require.Equal(t, "1", response.Header.Get("Retry-After"))
	require.Zero(t, sum(f.stats(1).Unreachable))
	require.EqualValues(t, 1, f.stats(1).GaveUp)
}

func TestPanicsOfTheUsersFunctions(t *testing.T) {
	for _, boom := range []string{"key", "policy"} {
		f := newFleet(t, nil, func(o *route.Options) {
			o.Key = func(r *http.Request) (string, bool) {
				if boom == "key" && r.URL.Path == "/boom" {
					panic("no")
				}
				return "k", true
			}
			o.Policy = func(r *http.Request) route.Policy {
				if boom == "policy" && r.URL.Path == "/boom" {
					panic("no")
				}
				return route.Nearest
			}
		}, "eu/a", "eu/b")
		f.agree(2)
		response, body := f.send(1, "GET", "/boom", "")
		requireFailure(t, response, body, 500, wire.Blank)
		require.NotContains(t, body, "boom")
		_, body = f.send(1, "GET", "/k", "")
		require.Equal(t, "n2", body)
	}
}

func TestKeyMayAbort(t *testing.T) {
	f := newFleet(t, nil, func(o *route.Options) {
		o.Key = func(*http.Request) (string, bool) { panic(http.ErrAbortHandler) }
	}, "eu/a")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		f.stations[0].router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/k", nil))
	})
}

func TestConnectIsTheHandlersAffair(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(2)
	w := httptest.NewRecorder()
	f.stations[0].router.ServeHTTP(w, httptest.NewRequest(http.MethodConnect, "other.example:443", nil))
	require.Equal(t, "n1", w.Body.String())
}

// TestConnectWithAPath has a key: a WebSocket over HTTP/2 is such a request (RFC 8441), and so is net/rpc over HTTP. net/http
// cannot send it to the owner, and another member must not answer it.
func TestConnectWithAPath(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(2)
	for _, protocol := range []string{"", "websocket"} {
		ask := func(member int, path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodConnect, path, nil)
			if protocol != "" {
				r.ProtoMajor, r.Header[":protocol"] = 2, []string{protocol}
			}
			w := httptest.NewRecorder()
			f.stations[member-1].router.ServeHTTP(w, r)
			return w
		}
		require.Equal(t, "n2", ask(2, "/k").Body.String())
		require.Equal(t, "n1", ask(1, "/free").Body.String(), "without a key")
		refused := ask(1, "/k")
		require.Equal(t, http.StatusNotImplemented, refused.Code, refused.Body)
		require.Contains(t, refused.Body.String(), `the member \"n2\"`)
		require.Empty(t, refused.Header().Get("Member"), "the handler has not run")
	}
}

func TestRouterOptionsOutOfBounds(t *testing.T) {
	_, err := route.New(newSeen("orders", "n1"), http.NotFoundHandler(), route.Options{
		Service: "a b", Scheme: "ftp", Patience: 1 << 60, MaxReplayBytes: 1 << 40, MaxAttempts: 1001, AvoidFor: 1,
		RetriesPerRequest: 2, RetriesPerSecond: 2e6, RetryBurst: -1,
	})
	require.EqualError(t, err, strings.Join([]string{
		`route: options: Service is "a b": must be 1 to 64 letters, digits and . _ : / @ -`,
		`Key is <nil>: must be set`,
		`Scheme is "ftp": must be "http" or "https", or empty for http`,
		`Patience is 320255h58m24.606846976s: must be between 1ns and 5m0s, zero for the default, or option.None for none`,
		`MaxAttempts is 1001: must be between 1 and 1000, or zero for the default`,
		`RetriesPerRequest is 2: must be between 0 and 1, zero for the default, or option.None for none`,
		`RetriesPerSecond is 2e+06: must be between 0 and 1000000, zero for the default, or option.None for none`,
		`RetryBurst is -1: must be between 1 and 1000000, or zero for the default`,
		`MaxReplayBytes is 1099511627776: must be between 1 and 16777216, zero for the default, or option.None for none`,
		`AvoidFor is 1ns: must be between 1ms and 1m0s, or zero for the default`,
	}, "\n"))
	_, err = route.New(newSeen("orders", "n1"), http.NotFoundHandler(), route.Options{
		Service: "kv", Key: byPath, Patience: -2, MaxReplayBytes: -2, RetriesPerRequest: -2, RetriesPerSecond: math.NaN(),
	})
	require.Len(t, option.All(errors.Unwrap(err)), 4, "less than zero is nothing but option.None")

	sound := route.Options{Service: "kv", Key: byPath}
	h := http.NotFoundHandler()
	for _, attempt := range []func() (*route.Router, error){
		func() (*route.Router, error) { return route.New(nil, h, sound) },
		func() (*route.Router, error) { return route.New(newSeen("orders", "n1"), nil, sound) },
		func() (*route.Router, error) {
			return route.New(newSeen("orders", "n1"), h, route.Options{})
		},
		func() (*route.Router, error) {
			o := sound
			o.Wrap = func(http.RoundTripper) http.RoundTripper { return nil }
			return route.New(newSeen("orders", "n1"), h, o)
		},
	} {
		_, err := attempt()
		require.Error(t, err)
	}
}

func TestCloseTheRouterTwice(t *testing.T) {
	f := newFleet(t, nil, func(o *route.Options) { o.Patience = option.None }, "eu/a", "eu/b")
	f.agree(2)
	f.send(1, "GET", "/k", "")
	require.NoError(t, f.stations[0].router.Close())
	require.NoError(t, f.stations[0].router.Close())
	response, body := f.send(1, "POST", "/k", "")
	requireFailure(t, response, body, 503, api.RefusalNoOwner)
}
