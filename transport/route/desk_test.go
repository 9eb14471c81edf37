package route_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// road is a round tripper without a network, with a function for every address.
type road struct {
	mu   sync.Mutex
	to   map[string]func(*http.Request) (*http.Response, error)
	used []string // the addresses of the requests, in order
}

func (d *road) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.used = append(d.used, r.URL.Host)
	to := d.to[r.URL.Host]
	d.mu.Unlock()
	return to(r)
}

func answers(text string) wrapped {
	return func(r *http.Request) (*http.Response, error) {
		body := text
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			if len(b) > 0 {
				body += " " + string(b)
			}
		}
		w := httptest.NewRecorder()
		w.Header().Set(wire.AnsweredHeader, numberOf(r))
		_, _ = io.WriteString(w, body)
		return w.Result(), nil
	}
}

// numberOf is the number in the mark of a forwarded request.
func numberOf(r *http.Request) string {
	mark := strings.Fields(r.Header.Get(wire.ForwardedHeader))
	return mark[len(mark)-1]
}

// markOf writes a mark of n2 to the start 1 of a member, for partition 0 by Nearest.
func markOf(to string) string {
	return "1 orders kv n2 " + to + " 1 0 0 0 0 00000000000000aa 0123456789abcdef"
}

func refuses(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set(wire.RefusedHeader, numberOf(r))
	w.WriteHeader(http.StatusMisdirectedRequest)
	return w.Result(), nil
}

func unreachable(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

func breaks(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return nil, io.ErrUnexpectedEOF
}

// desk is a router of n1 in virtual time, among members that road simulates: n2 is in
// its zone, n3 in its region, n4 in another region.
type desk struct {
	t *testing.T
	*seen
	*road
	router  *route.Router
	members []membership.Member
}

func newDesk(t *testing.T, o route.Options) *desk {
	d := &desk{t: t, seen: newSeen("orders", "n1"), road: &road{to: make(map[string]func(*http.Request) (*http.Response, error))}}
	for i, place := range []string{"eu/a", "eu/a", "eu/b", "us/c"} {
		id := "n" + strconv.Itoa(i+1)
		region, zone, _ := strings.Cut(place, "/")
		d.members = append(d.members, membership.Member{
			ID: id, Region: region, Zone: zone, Start: membership.Start{Number: 1}, Services: map[string]string{"kv": id + ":1"},
		})
		d.to[id+":1"] = answers(id)
	}
	o.Service, o.Key, o.Logger, o.Transport = "kv", byPath, testkit.Quiet(), d.road
	var err error
	d.router, err = route.New(d, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "n1")
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			_, _ = io.WriteString(w, " "+string(body))
		}
	}), o)
	require.NoError(t, err)
	return d
}

// own makes the members of these numbers the owners of all partitions.
func (d *desk) own(numbers ...int) {
	f := fleet{t: d.t, members: d.members}
	d.set(f.owned(numbers...), d.members)
}

// answersFrom sets the answers of an address.
func (d *desk) answersFrom(member int, how func(*http.Request) (*http.Response, error)) {
	d.road.mu.Lock()
	defer d.road.mu.Unlock()
	d.to["n"+strconv.Itoa(member)+":1"] = how
}

// ask sends a request and returns the answer and how long it took.
func (d *desk) ask(ctx context.Context, method, body string, headers ...string) (*httptest.ResponseRecorder, time.Duration) {
	r := httptest.NewRequestWithContext(ctx, method, "/k", nil)
	if body != "" {
		r = httptest.NewRequestWithContext(ctx, method, "/k", strings.NewReader(body))
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w, began := httptest.NewRecorder(), time.Now()
	d.router.ServeHTTP(w, r)
	return w, time.Since(began)
}

// paths returns the addresses that were used since its last call.
func (d *desk) paths() string {
	d.road.mu.Lock()
	defer d.road.mu.Unlock()
	used := strings.Join(d.used, " ")
	d.used = nil
	return used
}

func requireGaveUp(t *testing.T, w *httptest.ResponseRecorder, status int, kind, detail string) {
	t.Helper()
	requireFailure(t, reply{w.Code, w.Header()}, w.Body.String(), status, kind)
	require.Contains(t, w.Body.String(), detail)
}

type wrapped func(*http.Request) (*http.Response, error)

func (w wrapped) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }
