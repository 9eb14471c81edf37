package transport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

const binaryTable = "application/vnd.clusterkit.table"

// TestTheTableInTwoForms: the form follows Accept, and both have the owners that lookups
// name.
func TestTheTableInTwoForms(t *testing.T) {
	c := testkit.NewCluster(t).Moving(t)
	h := testkit.NewHandler(c)
	w := call(h, "GET", "/v1/table", "")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var text, binary api.Placements
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &text))
	for accept, kind := range map[string]string{
		binaryTable: binaryTable, binaryTable + ", application/json;q=0.9": binaryTable, binaryTable + ";q=0.5, application/json": "application/json",
		binaryTable + ";q=0": "application/json", "*/*": "application/json", "text/html": "application/json", binaryTable + ";q=x": "application/json",
		binaryTable + ", application/json;q=NaN": binaryTable, binaryTable + ";q=NaN, " + binaryTable: binaryTable,
	} {
		w := call(h, "GET", "/v1/table", "", "Accept: "+accept)
		require.Equal(t, kind, w.Header().Get("Content-Type"), accept)
		require.Equal(t, "Accept, Accept-Encoding", w.Header().Get("Vary"))
		if kind == binaryTable {
			require.NoError(t, binary.UnmarshalBinary(w.Body.Bytes()))
			require.Equal(t, text, binary)
		}
	}
	require.Equal(t, c.Shown.Fingerprint, text.Fingerprint)
	for p := range text.Serving.PartitionCount {
		for i, o := range c.Shown.Ring.Placement(p).All() {
			require.Equal(t, o.ID(), text.Serving.Nodes[text.Serving.Owners[p*text.Serving.Replicas+i]].ID)
		}
		for i, o := range c.Shown.Ring.Placement(p).Target().All() {
			require.Equal(t, o.ID(), text.Target.Nodes[text.Target.Owners[p*text.Target.Replicas+i]].ID)
		}
	}
}

// TestTheTagOfTheTable: it changes with everything in the table, also with addresses,
// which the fingerprint does not cover.
func TestTheTagOfTheTable(t *testing.T) {
	live := testkit.NewLive(testkit.NewCluster(t))
	h := testkit.NewHandler(live)
	tag := func() string { return call(h, "HEAD", "/v1/table", "").Header().Get("ETag") }
	first := tag()
	fingerprint := live.View().Fingerprint.String()
	require.Contains(t, first, `W/"`+fingerprint+`-`)
	require.Equal(t, first, tag())
	for _, known := range []string{first, strings.TrimPrefix(first, "W/"), `"` + fingerprint + `"`, `"x", ` + first, "*"} {
		w := call(h, "GET", "/v1/table", "", "If-None-Match: "+known)
		require.Equal(t, 304, w.Code, known)
		require.Equal(t, first, w.Header().Get("ETag"))
	}
	require.Equal(t, 200, call(h, "GET", "/v1/table", "", `If-None-Match: "x"`).Code)

	live.Change(func(c *testkit.Cluster) {
		c.Shown.Members = append([]membership.Member{}, c.Shown.Members...)
		c.Shown.Members[1].HTTPAddr = "10.0.0.9:8080"
	})
	require.NotEqual(t, first, tag())
	require.Equal(t, fingerprint, live.View().Fingerprint.String())
	require.Equal(t, 200, call(h, "GET", "/v1/table", "", "If-None-Match: "+first).Code)
	require.Equal(t, 304, call(h, "GET", "/v1/table", "", `If-None-Match: "`+fingerprint+`"`).Code, "this caller does not need addresses")
}

// waited is a status, and how long it took.
type waited struct {
	after time.Duration
	code  int
}

// TestWaitingForAnotherTable, in virtual time.
func TestWaitingForAnotherTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := testkit.NewLive(testkit.NewCluster(t))
		h := testkit.NewHandler(live)
		tag := call(h, "HEAD", "/v1/table", "").Header().Get("ETag")
		wait := func(during func()) waited {
			begun, answers := time.Now(), make(chan waited, 1)
			go func() {
				w := call(h, "GET", "/v1/table?wait=30s", "", "If-None-Match: "+tag)
				answers <- waited{time.Since(begun), w.Code}
			}()
			synctest.Wait()
			during()
			return <-answers
		}
		require.Equal(t, waited{30 * time.Second, 304}, wait(func() {}))
		require.Equal(t, waited{30 * time.Second, 304}, wait(func() {
			time.Sleep(time.Second) // virtual
			live.Change(func(c *testkit.Cluster) { c.Condition.Healthy = false })
		}), "a change of something else")
		require.Equal(t, waited{time.Second, 200}, wait(func() {
			time.Sleep(time.Second)
			live.Change(func(c *testkit.Cluster) { c.Moving(t) })
		}))
		require.Equal(t, waited{0, 200}, wait(func() {}), "the caller does not know that one yet")
		require.Equal(t, waited{time.Second, 503}, waitWithoutRing(t, h, live))
		tag = call(h, "HEAD", "/v1/table", "").Header().Get("ETag")
		require.Equal(t, waited{2 * time.Second, 304}, wait(func() {
			time.Sleep(2 * time.Second)
			live.Stop()
		}))
		require.Equal(t, waited{0, 304}, wait(func() {}), "a member that stops makes nobody wait")
	})
}

// waitWithoutRing waits at a member that loses its ring after a second, and gives the ring back.
func waitWithoutRing(t *testing.T, h http.Handler, live *testkit.Live) (a waited) {
	t.Helper()
	tag, before := call(h, "HEAD", "/v1/table", "").Header().Get("ETag"), live.View()
	begun := time.Now()
	timer := time.AfterFunc(time.Second, func() { live.Change(func(c *testkit.Cluster) { c.Shown.Ring = nil }) })
	defer timer.Stop()
	a.code = call(h, "GET", "/v1/table?wait=30s", "", "If-None-Match: "+tag).Code
	a.after = time.Since(begun)
	live.Change(func(c *testkit.Cluster) { c.Shown = before })
	return a
}

// TestNotTooManyWait: those that wait are counted, and those that do not wait are not.
func TestNotTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := full(t)
		tag := call(h, "HEAD", "/v1/table", "").Header().Get("ETag")
		w := call(h, "GET", "/v1/table?wait=1s", "", "If-None-Match: "+tag)
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), "too-many-waiting")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		require.Equal(t, 304, call(h, "GET", "/v1/table", "", "If-None-Match: "+tag).Code)
		require.Equal(t, 200, call(h, "GET", "/v1/events", "").Code)
	})
}

// TestOneClientLeavesRoomToWait: one client, with any number of connections and streams, keeps no other
// client from waiting.
func TestOneClientLeavesRoomToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxWaiting: 8})
		var all sync.WaitGroup
		follow := func(ctx context.Context, client string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			r := requestFrom(ctx, client, "GET", "/v1/events", nil)
			r.Header.Set("Accept", "text/event-stream")
			all.Go(func() { h.ServeHTTP(w, r) })
			synctest.Wait()
			return w
		}
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 20 {
			require.Equal(t, []int{200, 503}[min(i/2, 1)], follow(ctx, "192.0.2.1").Code)
		}
		for i := range 6 {
			require.Equal(t, 200, follow(ctx, fmt.Sprint("198.51.100.", i/2)).Code)
		}
		require.Equal(t, 503, follow(ctx, "203.0.113.1").Code)
		cancel()
		all.Wait()
		require.Zero(t, transport.Waiting(h))
	})
}

// TestShutdownEndsWaiting, and a server's timeouts do not.
func TestShutdownEndsWaiting(t *testing.T) {
	live := testkit.NewLive(testkit.NewCluster(t))
	h := testkit.NewHandler(live)
	srv, err := transport.Listen("127.0.0.1:0", h, transport.ServerOptions{Logger: testkit.Quiet(), ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond})
	require.NoError(t, err)
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path, accept string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+srv.Addr().String()+path, nil)
		require.NoError(t, err)
		r.Header.Set("If-None-Match", `"`+live.View().Fingerprint.String()+`"`)
		r.Header.Set("Accept", accept)
		w, err := web.Do(r)
		require.NoError(t, err)
		return w
	}
	w := ask("/v1/table?wait=200ms", "*/*")
	require.Equal(t, 304, w.StatusCode, "longer than the timeouts")
	require.NoError(t, w.Body.Close())
	stream := ask("/v1/events", "text/event-stream")
	lines := bufio.NewReader(stream.Body)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "retry: 1000\n", line)
	waits := make(chan int, 1)
	go func() {
		w := ask("/v1/table?wait=1m", "*/*")
		_ = w.Body.Close()
		waits <- w.StatusCode
	}()
	for transport.Waiting(h) < 2 {
		select {
		case <-t.Context().Done():
			require.FailNow(t, "nobody waits")
		case <-time.After(time.Millisecond):
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Soon)
	defer cancel()
	require.NoError(t, srv.Shutdown(ctx))
	require.Equal(t, 304, <-waits)
	_, err = io.Copy(io.Discard, lines)
	require.NoError(t, err, "the stream ends properly")
	require.NoError(t, stream.Body.Close())
}

// TestTheStreamOfEvents: a stream begins with the last events, goes on with new ones, and
// can be taken up after an event.
func TestTheStreamOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live := testkit.NewLive(testkit.NewCluster(t))
		h := testkit.NewHandler(live)
		stream := func(last string, during func()) string {
			ctx, cancel := context.WithCancel(t.Context())
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events", nil)
			r.Header.Set("Accept", "text/event-stream")
			if last != "" {
				r.Header.Set("Last-Event-ID", last)
			}
			w, done := httptest.NewRecorder(), make(chan struct{})
			go func() { h.ServeHTTP(w, r); close(done) }()
			synctest.Wait()
			during()
			synctest.Wait()
			cancel()
			<-done
			require.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
			require.Equal(t, "no", w.Header().Get("X-Accel-Buffering"), "a proxy must not keep events back until a buffer is full")
			return w.Body.String()
		}
		all := stream("", func() {})
		require.Equal(t, "retry: 1000\n\n"+
			`id: 5eed-1`+"\nevent: member-joined\ndata: "+`{"id":"5eed-1","kind":"member-joined","at":"2026-03-01T11:00:00Z","text":"n3 joined, as active","member":"n3","after":"active"}`+"\n\n"+
			`id: 5eed-2`+"\nevent: ring-changed\ndata: "+`{"id":"5eed-2","kind":"ring-changed","at":"2026-03-01T11:00:01Z","text":"another ring: 8 partitions move","fingerprint":"c7ceb4f30bc868a5"}`+"\n\n", all)
		rest := stream("5eed-1", func() {
			time.Sleep(16 * time.Second) // virtual
			live.Change(func(c *testkit.Cluster) {
				c.Happened = append(c.Happened, api.Event{ID: "5eed-3", Kind: "health-changed", Text: "line\nbreak"})
			})
		})
		require.NotContains(t, rest, "5eed-1\n")
		require.Contains(t, rest, "id: 5eed-2\n")
		require.Contains(t, rest, "\n:\n\nid: 5eed-3\n", "a comment while nothing happens")
		require.Contains(t, rest, `line\nbreak`)
		require.Contains(t, stream("another process", func() {}), "id: 5eed-1\n")
		begun := time.Now()
		h.ServeHTTP(httptest.NewRecorder(), func() *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/events", nil)
			r.Header.Set("Accept", "text/event-stream")
			return r
		}())
		require.Equal(t, 10*time.Minute, time.Since(begun), "then the caller asks again, with its present token")
	})
}
