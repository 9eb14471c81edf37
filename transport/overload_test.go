package transport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

const overloadedType = "urn:clusterkit:problem:overloaded"

// large is a cluster of many members and events, whose ring has as many partitions as
// given.
func large(t *testing.T, members, partitions int) *testkit.Cluster {
	t.Helper()
	c := testkit.NewCluster(t)
	var nodes []ring.Node
	c.Shown.Members = nil
	for i := range members {
		m := membership.Member{ID: fmt.Sprintf("member-%05d", i), Region: "eu", Zone: fmt.Sprint("zone-", i%3), Weight: 1, HTTPAddr: fmt.Sprintf("10.1.%d.%d:8080", i/250, i%250), State: membership.Active}
		c.Shown.Members = append(c.Shown.Members, m)
		nodes = append(nodes, ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone})
	}
	c.Shown.Ring = testkit.Build(t, testkit.Stairs{}, partitions, nodes...)
	c.Shown.Fingerprint = c.Shown.Ring.Fingerprint()
	for i := range 256 {
		c.Happened = append(c.Happened, api.Event{ID: fmt.Sprint("5eed-", i), Kind: "member-updated", Text: strings.Repeat("text ", 20)})
	}
	return c
}

// manyKeys is a batch, of 10,000 keys about 80 KB long.
func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString(`{"keys":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%05d"`, i)
	}
	return b.String() + "]}"
}

// reader is a caller that may stop reading: then each write waits until the request
// ends.
type reader struct {
	httptest.ResponseRecorder
	longest int // the longest write
	stalls  bool
	stalled func()
	ended   <-chan struct{}
}

func (r *reader) Write(b []byte) (int, error) {
	r.longest = max(r.longest, len(b))
	if r.stalls && r.Code != http.StatusServiceUnavailable {
		r.stalled()
		<-r.ended
		return 0, net.ErrClosed
	}
	return r.ResponseRecorder.Write(b)
}

func newReader() *reader { return &reader{ResponseRecorder: *httptest.NewRecorder()} }

// requestFrom is a request from an address.
func requestFrom(ctx context.Context, addr, method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, target, body)
	r.RemoteAddr = addr + ":4711"
	r.Header.Set("Content-Type", "application/json")
	return r
}

// stall sends requests whose callers stop reading, or sending, and returns when each has
// stalled or has been refused. The returned function ends them, and waits until all have
// returned.
func stall(t *testing.T, h http.Handler, requests []*http.Request, cancel func()) (refused []*reader, end func()) {
	t.Helper()
	settled := make(chan *reader, 2*len(requests))
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() {
			w := newReader()
			w.stalls, w.ended, w.stalled = true, r.Context().Done(), sync.OnceFunc(func() { settled <- nil })
			if body, ok := r.Body.(*stuck); ok {
				body.stalled = w.stalled
			}
			defer func() {
				if v := recover(); v != nil && fmt.Sprint(v) != http.ErrAbortHandler.Error() {
					panic(v)
				}
				if w.Code == http.StatusServiceUnavailable && r.Context().Err() == nil {
					settled <- w
				}
			}()
			h.ServeHTTP(w, r)
		})
	}
	for range requests {
		if w := <-settled; w != nil {
			refused = append(refused, w)
		}
	}
	return refused, func() { cancel(); all.Wait() }
}

// TestAnswersAreWrittenInPieces: of no long answer there is more in memory at a time than
// a few KiB, and its parts make the same document.
func TestAnswersAreWrittenInPieces(t *testing.T) {
	c := large(t, 500, 4096)
	h := testkit.NewHandler(c)
	for _, test := range []struct {
		method, target, body string
		least                int
	}{
		{"POST", "/v1/lookup", manyKeys(10_000), 2 << 20},
		{"GET", "/v1/members", "", 80 << 10},
		{"GET", "/v1/events", "", 30 << 10},
		{"POST", "/v1/plan", `{"remove":["member-00001"]}`, 200 << 10},
	} {
		w := newReader()
		h.ServeHTTP(w, requestFrom(t.Context(), "192.0.2.1", test.method, test.target, strings.NewReader(test.body)))
		require.Equal(t, 200, w.Code, test.target)
		require.Greater(t, w.Body.Len(), test.least, test.target)
		require.Less(t, w.longest, 8<<10, test.target)
		require.True(t, json.Valid(w.Body.Bytes()), test.target)
		require.NoError(t, openAPI().checkAnswer(test.method, test.target, w.Code, w.Header(), w.Body.Bytes()))
	}
	require.Zero(t, h.Stats().AnswerBytes)

	var batch api.Batch
	require.NoError(t, json.Unmarshal(call(h, "POST", "/v1/lookup", manyKeys(1000)).Body.Bytes(), &batch))
	require.Len(t, batch.Results, 1000)
	inGroups := 0
	for g, group := range batch.Groups {
		require.True(t, g == 0 || batch.Groups[g-1].Primary < group.Primary)
		for i, index := range group.Indexes {
			require.True(t, i == 0 || group.Indexes[i-1] < index)
			require.Equal(t, group.Primary, batch.Results[index].Primary)
		}
		inGroups += len(group.Indexes)
	}
	require.Equal(t, 1000, inGroups)
	for i, result := range batch.Results {
		require.Equal(t, fmt.Sprintf("%05d", i), result.Key)
		require.Equal(t, c.Shown.Ring.Lookup(result.Key).Partition(), result.Partition)
	}
}

// TestUnreadAnswersAreBounded: callers that do not read their answers hold a bounded
// amount of memory, each client a part of it. Other clients, lookups and scrapes are
// answered meanwhile. All memory is free when the requests have ended.
func TestUnreadAnswersAreBounded(t *testing.T) {
	const bound = 8 << 20
	c := large(t, 100, 256)
	h := testkit.MakeHandler(c, transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: bound})
	body := manyKeys(10_000)
	for _, addresses := range []int{1, 8} {
		ctx, cancel := context.WithCancel(t.Context())
		var requests []*http.Request
		for i := range 160 {
			requests = append(requests, requestFrom(ctx, fmt.Sprint("192.0.2.", i%addresses), "POST", "/v1/lookup", strings.NewReader(body)))
		}
		refused, end := stall(t, h, requests, cancel)
		require.Less(t, len(refused), 160)
		require.Greater(t, len(refused), 100)
		for _, w := range refused {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
			require.Contains(t, w.Body.String(), overloadedType)
		}
		held := h.Stats().AnswerBytes
		require.LessOrEqual(t, held, int64(bound))
		require.Positive(t, held)
		if addresses == 1 {
			require.LessOrEqual(t, held, int64(bound/4))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, requestFrom(t.Context(), "198.51.100.7", "POST", "/v1/lookup", strings.NewReader(body)))
			require.Equal(t, 200, w.Code, "another client")
		}
		require.Equal(t, 200, call(h, "GET", "/v1/lookup?key=k", "").Code)
		require.Equal(t, 200, call(h, "GET", "/metrics", "").Code)
		end()
		require.Zero(t, h.Stats().AnswerBytes)
		require.Zero(t, h.Stats().InFlight)
	}
	require.Greater(t, h.Stats().Overloaded, uint64(200))
	require.Equal(t, 200, call(h, "POST", "/v1/lookup", body).Code)
}

// TestEveryLongAnswerIsBounded: the same for all other routes with long answers.
func TestEveryLongAnswerIsBounded(t *testing.T) {
	const bound = 1 << 20
	for _, target := range []string{"/v1/members", "/v1/events", "/v1/ring", "/v1/table", "/metrics", "/", "/map.png"} {
		h := testkit.MakeHandler(large(t, 500, 4096), transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: bound})
		ctx, cancel := context.WithCancel(t.Context())
		var requests []*http.Request
		for range 200 {
			r := requestFrom(ctx, "192.0.2.1", "GET", target, nil)
			r.Header.Set("Accept", "text/html, application/json")
			requests = append(requests, r)
		}
		refused, end := stall(t, h, requests, cancel)
		require.NotEmpty(t, refused, target)
		require.Less(t, len(refused), 200, target)
		require.LessOrEqual(t, h.Stats().AnswerBytes, int64(bound), target)
		end()
		require.Zero(t, h.Stats().AnswerBytes, target)
	}
}

// TestTablesOfManyViewsAreBounded: callers that read slowly keep old tables in memory. All
// callers of one table share it.
func TestTablesOfManyViewsAreBounded(t *testing.T) {
	live := testkit.NewLive(large(t, 3, 8192))
	h := testkit.MakeHandler(live, transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: 1 << 20})
	var ends []func()
	var refused []*reader
	for view := 0; len(refused) == 0; view++ {
		live.Change(func(c *testkit.Cluster) { c.Shown.Fingerprint++ })
		ctx, cancel := context.WithCancel(t.Context())
		var end func()
		refused, end = stall(t, h, []*http.Request{
			requestFrom(ctx, fmt.Sprint("192.0.2.", view), "GET", "/v1/table", nil), requestFrom(ctx, fmt.Sprint("192.0.2.", view), "GET", "/v1/table", nil),
		}, cancel)
		ends = append(ends, end)
		require.LessOrEqual(t, h.Stats().AnswerBytes, int64(1<<20))
		require.Less(t, view, 20)
	}
	require.Greater(t, len(ends), 2)
	for _, end := range ends {
		end()
	}
	require.Zero(t, h.Stats().AnswerBytes)
	require.Equal(t, 200, call(h, "GET", "/v1/table", "").Code)
}

// stuck is a body of which the rest does not arrive.
type stuck struct {
	io.Reader
	stalled func()
	ended   <-chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if n > 0 || err == nil {
		return n, nil
	}
	s.stalled()
	<-s.ended
	return 0, iotest.ErrTimeout
}

func (s *stuck) Close() error { return nil }

// TestBodiesThatDoNotArriveAreBounded: memory for a body is taken as it arrives, and not
// for a length that is only announced.
func TestBodiesThatDoNotArriveAreBounded(t *testing.T) {
	const bound = 8 << 20
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: bound})
	body := manyKeys(100_000)
	for _, test := range []struct{ bytes, refused int }{{100, 0}, {600 << 10, 90}} {
		for _, target := range []string{"/v1/lookup", "/v1/plan"} {
			ctx, cancel := context.WithCancel(t.Context())
			var requests []*http.Request
			for range 100 {
				r := requestFrom(ctx, "192.0.2.1", "POST", target, nil)
				r.Body, r.ContentLength = &stuck{Reader: strings.NewReader(body[:test.bytes]), ended: ctx.Done()}, 1<<20
				requests = append(requests, r)
			}
			refused, end := stall(t, h, requests, cancel)
			require.GreaterOrEqual(t, len(refused), test.refused)
			require.True(t, test.refused > 0 || len(refused) == 0)
			require.LessOrEqual(t, h.Stats().AnswerBytes, int64(bound/4))
			end()
			require.Zero(t, h.Stats().AnswerBytes)
		}
	}
}

// TestBodiesThatGrowInMemory: short texts that take much memory when they are decoded are
// refused for what they are, also when they alone need more than the share of a client.
func TestBodiesThatGrowInMemory(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: 1 << 20})
	for _, test := range []struct {
		target, body, problem string
		status                int
	}{
		{"/v1/lookup", `{"keys":[` + strings.Repeat(`"a",`, 200_000) + `"a"]}`, "too-many-keys", 413},
		{"/v1/lookup", `{"keys":[` + strings.Repeat(`{},`, 300_000) + `{}]}`, "invalid-body", 400},
		{"/v1/plan", `{"add":[` + strings.Repeat(`{},`, 300_000) + `{}]}`, "too-many-changes", 413},
		{"/v1/plan", `{"remove":[` + strings.Repeat(`"a",`, 200_000) + `"a"]}`, "too-many-changes", 413},
		{"/v1/plan", `{"remove":["` + strings.Repeat(`{`, 2000) + `"]}`, "invalid-change", 422},
	} {
		w := call(h, "POST", test.target, test.body)
		require.Equal(t, test.status, w.Code, w.Body)
		require.Contains(t, w.Body.String(), test.problem)
		require.Zero(t, h.Stats().AnswerBytes)
	}
}

// TestUnreadAnswersOverSockets does the same over TCP: one address has many connections
// whose answers it does not read.
func TestUnreadAnswersOverSockets(t *testing.T) {
	h := testkit.MakeHandler(large(t, 100, 256), transport.HandlerOptions{Logger: testkit.Quiet(), MaxAnswerBytes: 4 << 20})
	srv, c := testkit.Serve(t, h, transport.ServerOptions{})
	body := manyKeys(10_000)
	var attackers http.Transport
	attackers.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(4 << 10)
		}
		return conn, err
	}
	statuses := make(map[int]int)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 60 {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+srv.Addr().String()+"/v1/lookup", strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		w, err := attackers.RoundTrip(r)
		require.NoError(t, err)
		defer func() { _ = w.Body.Close() }()
		statuses[w.StatusCode]++
		require.LessOrEqual(t, h.Stats().AnswerBytes, int64(1<<20))
	}
	require.Len(t, statuses, 2)
	require.Positive(t, statuses[200])
	require.Positive(t, statuses[503])
	w, err := c.Get("http://" + srv.Addr().String() + "/v1/lookup?key=k")
	require.NoError(t, err)
	require.Equal(t, 200, w.StatusCode)
	require.NoError(t, w.Body.Close())
	cancel() // closes the connections
	attackers.CloseIdleConnections()
	require.NoError(t, srv.Shutdown(t.Context()))
	require.Zero(t, h.Stats().AnswerBytes)
	require.Zero(t, h.Stats().InFlight)
}

// TestBrokenLongAnswersAreNotLogged: a caller that goes causes no line in the log.
func TestBrokenLongAnswersAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	h := testkit.MakeHandler(large(t, 500, 256), transport.HandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	fingerprint := call(h, "GET", "/v1/table", "").Header().Get("ETag")
	long := requestFrom(ctx, "192.0.2.1", "GET", "/v1/table?wait=1m", nil)
	long.Header.Set("If-None-Match", fingerprint)
	cancel()
	for _, r := range []*http.Request{long, requestFrom(ctx, "192.0.2.1", "POST", "/v1/lookup", strings.NewReader(manyKeys(1000)))} {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(httptest.NewRecorder(), r) })
	}
	require.Empty(t, log.String())
}
