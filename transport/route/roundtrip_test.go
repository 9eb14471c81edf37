package route_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

// sender returns a round tripper of an observer in a zone, and its view.
func (f *fleet) sender(zone string, edit func(*route.Options)) (*seen, *route.RoundTripper) {
	f.t.Helper()
	f.members = append(f.members, membership.Member{ID: "o1", Region: "eu", Zone: zone, State: membership.Observer})
	s := newSeen("orders", "o1")
	o := route.Options{Service: "kv", Key: byPath, Logger: testkit.Quiet()}
	if edit != nil {
		edit(&o)
	}
	rt, err := route.NewRoundTripper(s, o)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, rt.Close()) })
	return s, rt
}

// ring returns a ring over the members, without the observer.
func (f *fleet) tell(s *seen, numbers ...int) {
	servers := fleet{t: f.t, members: f.members[:len(f.stations)]}
	r := servers.owned(numbers...)
	s.set(r, f.members)
	for _, station := range f.stations {
		station.set(r, f.members)
	}
}

// TestARoundTripGoesToTheOwner: writes to the primary, and reads to the owner in the zone. The
// request of the caller stays as it is, and its body is closed.
func TestARoundTripGoesToTheOwner(t *testing.T) {
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		placement, from, ok := route.Routed(r.Context())
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Routed", from+" "+strconv.FormatBool(ok)+" "+strconv.Itoa(placement.Len()))
		_, _ = io.WriteString(w, r.Host+" "+r.URL.String()+" "+r.Header.Get("X-Forwarded-For")+r.Header.Get(wire.ForwardedHeader)+string(body))
	}, nil, "eu/a", "eu/b", "eu/c")
	o, rt := f.sender("c", nil)
	f.tell(o, 2, 3)
	for _, c := range []struct{ method, member string }{{http.MethodPost, "n2"}, {http.MethodPut, "n2"}, {http.MethodGet, "n3"}} {
		body := &watched{Reader: strings.NewReader("body")}
		r, err := http.NewRequestWithContext(t.Context(), c.method, "https://kv.internal/k/a%2Fb?x=1;2", body)
		require.NoError(t, err)
		r.ContentLength = 4
		r.Header.Set("A", "b")
		r.Header.Set(wire.ForwardedHeader, "a mark that was copied")
		before := r.Clone(t.Context())
		before.Body, before.GetBody = r.Body, r.GetBody
		response, err := rt.RoundTrip(r)
		require.NoError(t, err)
		answer, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "kv.internal /k/a%2Fb?x=1;2 body", string(answer))
		require.Equal(t, c.member, response.Header.Get("Member"))
		require.Equal(t, "o1 true 2", response.Header.Get("Routed"))
		require.Empty(t, response.Header.Get(wire.AnsweredHeader))
		require.Same(t, r, response.Request)
		require.Equal(t, before, r)
		require.Equal(t, int64(1), body.closed.Load())
	}
	require.Equal(t, uint64(3), sum(rt.Stats().Answered))
}

// watched is a body that knows how often it was closed.
type watched struct {
	io.Reader
	closed atomic.Int64
}

func (w *watched) Close() error {
	w.closed.Add(1)
	return nil
}

// TestARoundTripToItself: a member sends the requests of its own keys to its own address.
func TestARoundTripToItself(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	f.agree(1)
	rt, err := route.NewRoundTripper(f.stations[0], route.Options{Service: "kv", Key: byPath, Logger: testkit.Quiet()})
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close()) }()
	client := http.Client{Transport: rt}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kv/k", strings.NewReader("b"))
	require.NoError(t, err)
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "n1", response.Header.Get("Member"))
}

// TestRoundTripsWithAServerDown: of 400 PUTs and 400 POSTs none is lost while one of three
// servers is down, because those to its keys wait for the new view. None runs twice.
func TestRoundTripsWithAServerDown(t *testing.T) {
	var mu sync.Mutex
	runs := make(map[string]int)
	f := newFleet(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		runs[r.Method+string(body)]++
	}, nil, "eu/a", "eu/b", "eu/c")
	o, rt := f.sender("a", func(o *route.Options) { o.Patience, o.RetryBurst = time.Minute, 10_000 })
	f.tell(o, 2)
	f.kill(2)
	client := &http.Client{Transport: rt}
	var all sync.WaitGroup
	for i := range 800 {
		all.Go(func() {
			method := []string{http.MethodPut, http.MethodPost}[i%2]
			if err := sendNumber(t.Context(), client, method, i); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return rt.Stats().Unreachable.SameRegion > 0 }, time.Minute, time.Millisecond)
	f.tell(o, 3)
	all.Wait()
	require.Len(t, runs, 800)
	for request, n := range runs {
		require.Equal(t, 1, n, request)
	}
}

// sendNumber sends a request with a number as its body.
func sendNumber(ctx context.Context, client *http.Client, method string, number int) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://kv/k", strings.NewReader(strconv.Itoa(number)))
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// TestRoundTripsWhileAServerIsKilled: requests that run there break. A PUT runs once more, and
// none is lost; a POST runs once, and its error says that it may have run.
func TestRoundTripsWhileAServerIsKilled(t *testing.T) {
	var mu sync.Mutex
	runs := make(map[string]int)
	running, end := make(chan struct{}, 100), make(chan struct{})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		runs[r.Method+string(body)]++
		mu.Unlock()
		if w.Header().Get("Member") == "n2" {
			running <- struct{}{}
			<-end
		}
	}, nil, "eu/a", "eu/b", "eu/c")
	o, rt := f.sender("a", func(o *route.Options) { o.Patience = time.Minute })
	f.tell(o, 2)
	client := &http.Client{Transport: rt}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			method := []string{http.MethodPut, http.MethodPost}[i%2]
			err := sendNumber(t.Context(), client, method, i)
			if refusal, ok := errors.AsType[*api.Refusal](err); (method == http.MethodPut) != (err == nil) || err != nil && (!ok || refusal.Type != api.RefusalBroken) {
				t.Error(method, err)
			}
		})
	}
	for range 40 {
		<-running
	}
	f.stations[1].server.CloseClientConnections()
	_ = f.stations[1].server.Listener.Close()
	f.tell(o, 3)
	all.Wait()
	close(end)
	mu.Lock()
	defer mu.Unlock()
	for request, n := range runs {
		require.Equal(t, map[bool]int{true: 2, false: 1}[strings.HasPrefix(request, "PUT")], n, request)
	}
}

// TestARoundTripSendsABodyAgain: one with GetBody of any length, and one of known length that
// is kept. A body that cannot be made again is sent once.
func TestARoundTripSendsABodyAgain(t *testing.T) {
	long := strings.Repeat("b", 1<<20)
	for _, c := range []struct {
		name    string
		request func(r *http.Request)
		runs    int
		failed  bool
	}{
		{"with GetBody", func(r *http.Request) {
			r.ContentLength, r.Body = int64(len(long)), io.NopCloser(strings.NewReader(long))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(long)), nil }
		}, 2, false},
		{"short", func(r *http.Request) { r.ContentLength, r.Body = 4, io.NopCloser(strings.NewReader("body")) }, 2, false},
		{"of unknown length", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(long)) }, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, route.Options{})
				rt := d.sender(route.Options{Policy: func(*http.Request) route.Policy { return route.PrimaryFirst }})
				d.own(2, 3)
				var got []int
				count := func(next wrapped) wrapped {
					return func(r *http.Request) (*http.Response, error) {
						b, err := io.ReadAll(r.Body)
						got = append(got, len(b))
						r.Body = http.NoBody
						if err != nil {
							return nil, err
						}
						return next(r)
					}
				}
				d.answersFrom(2, count(breaks))
				d.answersFrom(3, count(answers("n3")))
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://kv/k", nil)
				require.NoError(t, err)
				c.request(r)
				response, err := rt.RoundTrip(r)
				require.Len(t, got, c.runs)
				if c.failed {
					require.ErrorIs(t, err, io.ErrUnexpectedEOF, "the cause")
					requireMayHaveRun(t, err)
					return
				}
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, got[0], got[1])
			})
		})
	}
}

// sender returns a round tripper of the desk's router's member.
func (d *desk) sender(o route.Options) *route.RoundTripper {
	o.Service, o.Key, o.Logger, o.Transport = "kv", byPath, testkit.Quiet(), d.road
	rt, err := route.NewRoundTripper(d, o)
	require.NoError(d.t, err)
	return rt
}

func requireMayHaveRun(t *testing.T, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*api.Refusal](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, api.RefusalBroken, refusal.Type)
	require.ErrorContains(t, err, "the request may have run")
	for _, reason := range []error{route.ErrNoService, route.ErrNoOwner, route.ErrRefused} {
		require.NotErrorIs(t, err, reason)
	}
}

// TestAnEmptyMethodIsGet, for the policy and for what is sent again.
func TestAnEmptyMethodIsGet(t *testing.T) {
	f := newFleet(t, nil, nil, "eu/a", "eu/b")
	o, rt := f.sender("a", nil)
	f.tell(o, 1, 2)
	f.kill(1)
	response, err := rt.RoundTrip((&http.Request{URL: &url.URL{Scheme: "http", Host: "kv", Path: "/k"}}).WithContext(t.Context()))
	require.NoError(t, err)
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "n2", string(answer))
}
