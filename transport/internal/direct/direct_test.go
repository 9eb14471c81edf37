//go:build unix

//nolint:bodyclose // send closes them
package direct_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/transport/internal/direct"
	"github.com/clusterkit/clusterkit/transport/internal/slot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTransport returns a transport with small bounds, and a count of its connections.
func newTransport(t testing.TB, edits ...func(*direct.Options)) (*direct.Transport, *atomic.Int64) {
	var dials atomic.Int64
	o := direct.Options{
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		MaxIdlePerHost: 4, MaxIdle: 8, IdleTimeout: time.Minute, MaxHeaderBytes: 4 << 10, Slots: slot.New(16, 16, time.Second),
	}
	for _, edit := range edits {
		edit(&o)
	}
	d := direct.New(o)
	t.Cleanup(d.Close)
	return d, &dials
}

// scripted is a server that answers each request on a connection with the next text, and
// then closes the connection.
func scripted(t testing.TB, answers ...string) string {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for _, answer := range answers {
					request, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					if _, err := io.WriteString(c, answer); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return "http://" + l.Addr().String() + "/"
}

func request(t testing.TB, method, url string) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	require.NoError(t, err)
	require.True(t, direct.Takes(r))
	return r
}

// send sends a request, and returns the answer with its whole body.
func send(d *direct.Transport, r *http.Request, a *direct.Attempt) (*http.Response, string, error) {
	response, err := d.RoundTrip(r, a)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// read sends a request, which must be answered.
func read(t testing.TB, d *direct.Transport, method, url string) {
	t.Helper()
	response, _, err := send(d, request(t, method, url), attempt(t))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}

func attempt(t testing.TB) *direct.Attempt { return &direct.Attempt{Context: t.Context()} }

func TestConnectionsAreUsedAgain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "End")
		switch r.URL.Path {
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		case "/close":
			w.Header().Set("Connection", "close")
		default:
			_, _ = io.WriteString(w, strings.Repeat("v", 10_000))
		}
		w.Header().Set("End", "reached")
	}))
	defer server.Close()
	d, dials := newTransport(t)
	for range 3 {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			response, body, err := send(d, request(t, method, server.URL), attempt(t))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, response.StatusCode)
			if method != "HEAD" {
				require.Len(t, body, 10_000)
				require.Equal(t, "reached", response.Trailer.Get("End"))
			}
			response, _, err = send(d, request(t, method, server.URL+"/nothing"), attempt(t))
			require.NoError(t, err)
			require.Equal(t, http.StatusNoContent, response.StatusCode)
		}
	}
	require.EqualValues(t, 1, dials.Load())
	read(t, d, "GET", server.URL+"/close")
	read(t, d, "GET", server.URL)
	require.EqualValues(t, 2, dials.Load(), "the server closes that connection")

	response, err := d.RoundTrip(request(t, "GET", server.URL), attempt(t))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	_, err = response.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	read(t, d, "GET", server.URL)
	require.EqualValues(t, 3, dials.Load(), "the rest of an answer is on that connection")

	server.CloseClientConnections()
	read(t, d, "POST", server.URL) // nothing was sent over the connection that the server has closed
	require.EqualValues(t, 4, dials.Load())
	d.Close()
	server.CloseClientConnections()
}

// TestAnEndedAttemptLeavesTheNextAlone: what is done to an attempt after its answer was read
// does not affect the exchange that uses its connection then.
func TestAnEndedAttemptLeavesTheNextAlone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }))
	defer server.Close()
	d, dials := newTransport(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := &direct.Attempt{Context: ctx}
	_, _, err := send(d, request(t, "GET", server.URL), first)
	require.NoError(t, err)
	second, err := d.RoundTrip(request(t, "GET", server.URL), attempt(t))
	require.NoError(t, err)
	cancel()
	first.End(errors.New("late"))
	require.NoError(t, first.Close())
	body, err := io.ReadAll(second.Body)
	require.NoError(t, err)
	require.Equal(t, "answer", string(body))
	require.EqualValues(t, 1, dials.Load())
}

func TestAnAnswerNobodyAskedForIsNotTakenForTheNext(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
	url := scripted(t, answer+"1"+answer+"2", answer+"3")
	d, dials := newTransport(t)
	for range 3 {
		_, body, err := send(d, request(t, "GET", url), attempt(t))
		require.NoError(t, err)
		require.Equal(t, "1", body)
	}
	require.EqualValues(t, 3, dials.Load())
}

// TestAnAnswerNobodyAskedForIsNotHandedOver to an exchange that waits for a connection.
func TestAnAnswerNobodyAskedForIsNotHandedOver(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
	url := scripted(t, answer+"1"+answer+"2")
	dialed, more := make(chan struct{}, 2), make(chan struct{}, 1)
	more <- struct{}{}
	d, _ := newTransport(t, func(o *direct.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed <- struct{}{}
			<-more
			return dial(ctx, network, addr)
		}
	})
	first, err := d.RoundTrip(request(t, "GET", url), attempt(t))
	require.NoError(t, err)
	<-dialed
	second, r, a := make(chan string), request(t, "GET", url), attempt(t)
	go func() {
		_, body, _ := send(d, r, a)
		second <- body
	}()
	<-dialed // it waits
	_, err = io.ReadAll(first.Body)
	require.NoError(t, err)
	more <- struct{}{}
	require.Equal(t, "1", <-second)
}

// TestAnAnswerBehindALongOneIsNotHandedOver: the bytes behind the answer are still in the kernel, because the reader of its
// body takes no more than the body.
func TestAnAnswerBehindALongOneIsNotHandedOver(t *testing.T) {
	const size = 64 << 10
	url := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n"+strings.Repeat("x", size)+
		"HTTP/1.1 408 Request Timeout\r\nContent-Length: 1\r\n\r\ny")
	dial, dialing := make(chan struct{}, 1), make(chan struct{}, 2)
	d, _ := newTransport(t, func(o *direct.Options) {
		inner := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialing <- struct{}{}
			<-dial
			return inner(ctx, network, addr)
		}
	})
	dial <- struct{}{}
	first := &direct.Attempt{Context: t.Context()}
	response, err := d.RoundTrip(request(t, "GET", url), first)
	require.NoError(t, err)
	<-dialing
	second := make(chan int, 1)
	var all sync.WaitGroup
	all.Go(func() {
		response, err := d.RoundTrip(request(t, "GET", url), &direct.Attempt{Context: t.Context()})
		if err != nil {
			t.Error(err)
			return
		}
		_ = response.Body.Close()
		second <- response.StatusCode
	})
	<-dialing // the second one waits
	_, err = io.ReadFull(response.Body, make([]byte, size))
	require.NoError(t, err)
	_, err = response.Body.Read(make([]byte, 1)) // the end of the body
	require.ErrorIs(t, err, io.EOF)
	dial <- struct{}{}
	require.Equal(t, http.StatusOK, <-second)
	all.Wait()
}

func TestInformationalAnswersArePassedOn(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </" + strings.Repeat("x", 3000) + ">\r\n\r\n"
	url := scripted(t, hints+hints+"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") // the server closes it
	d, _ := newTransport(t)
	var got []int
	a := attempt(t)
	a.Informed = func(code int, h textproto.MIMEHeader) error {
		require.Len(t, h.Get("Link"), 3003)
		got = append(got, code)
		return nil
	}
	response, _, err := send(d, request(t, "GET", url), a)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, []int{103, 103}, got)

	_, _, err = send(d, request(t, "GET", url), attempt(t))
	require.ErrorContains(t, err, "too long", "those that are dropped count towards the bound")
	a = attempt(t)
	a.Informed = func(int, textproto.MIMEHeader) error { return io.ErrClosedPipe }
	_, _, err = send(d, request(t, "GET", url), a)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestAnAttemptEnds(t *testing.T) {
	letGo := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_ = http.NewResponseController(w).Flush()
		}
		<-letGo
	}))
	defer server.Close()
	defer close(letGo)
	d, _ := newTransport(t)
	gone := errors.New("gone")
	for _, end := range []string{"context", "attempt"} {
		for _, path := range []string{"/", "/begun"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			a := &direct.Attempt{Context: ctx}
			stop := func() {
				if end == "context" {
					cancel(gone)
				} else {
					a.End(gone)
				}
			}
			if path == "/" {
				time.AfterFunc(10*time.Millisecond, stop)
			}
			response, err := d.RoundTrip(request(t, "GET", server.URL+path), a)
			if path == "/begun" {
				require.NoError(t, err)
				time.AfterFunc(time.Millisecond, stop)
				_, err = response.Body.Read(make([]byte, 1))
			}
			require.ErrorIs(t, err, gone, "%s %s", end, path)
			require.True(t, a.Connected())
			cancel(nil)
		}
	}
	a := attempt(t)
	a.End(gone)
	_, err := d.RoundTrip(request(t, "GET", server.URL), a)
	require.ErrorIs(t, err, gone)
	require.False(t, a.Sent())
}

// TestADialGoesOn for the next request, when the one that began it has ended.
func TestADialGoesOn(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }))
	defer server.Close()
	goOn, began := make(chan struct{}), make(chan struct{}, 1)
	d, dials := newTransport(t, func(o *direct.Options) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			began <- struct{}{}
			<-goOn
			return dial(ctx, network, addr)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	a := &direct.Attempt{Context: ctx}
	first := request(t, "POST", server.URL)
	go func() {
		_, err := d.RoundTrip(first, a)
		ended <- err
	}()
	<-began
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.False(t, a.Connected())
	require.False(t, a.Sent())
	close(goOn)
	_, body, err := send(d, request(t, "POST", server.URL), attempt(t))
	require.NoError(t, err)
	require.Equal(t, "answer", body)
	require.EqualValues(t, 1, dials.Load())
}

func TestAConnectionThatCannotBeMade(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	d, _ := newTransport(t)
	a := attempt(t)
	_, err = d.RoundTrip(request(t, "GET", "http://"+l.Addr().String()+"/"), a)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "dial", op.Op)
	require.False(t, a.Sent())
	require.False(t, a.Connected())
}

func TestAConnectionThatBreaks(t *testing.T) {
	url := scripted(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	d, _ := newTransport(t)
	_, body, err := send(d, request(t, "GET", url), attempt(t))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "half", body)
	a := attempt(t)
	_, _, err = send(d, request(t, "GET", scripted(t, "")), a)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.True(t, a.Sent())
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	var here sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		here.Done()
		here.Wait()
	}))
	defer server.Close()
	d, dials := newTransport(t, func(o *direct.Options) { o.MaxIdlePerHost, o.MaxIdle, o.IdleTimeout = 3, 2, time.Hour })
	burst := func() {
		here.Add(5)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				_, _, err := send(d, request(t, "GET", server.URL), attempt(t))
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	burst()
	require.EqualValues(t, 5, dials.Load())
	burst()
	require.EqualValues(t, 8, dials.Load(), "two were kept")
	d.CloseIdle()
	burst()
	require.EqualValues(t, 13, dials.Load())
}

// TestOtherRequestsAreNotTaken: they are for http.Transport.
func TestOtherRequestsAreNotTaken(t *testing.T) {
	for name, edit := range map[string]func(*http.Request){
		"body":    func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("v")), 1 },
		"chunked": func(r *http.Request) { r.ContentLength = -1 },
		"trailer": func(r *http.Request) { r.Trailer = http.Header{"End": nil} },
		"TLS":     func(r *http.Request) { r.URL.Scheme = "https" },
		"no port": func(r *http.Request) { r.URL.Host = "localhost" },
		"connect": func(r *http.Request) { r.Method = "CONNECT" },
		"method":  func(r *http.Request) { r.Method = "GET /x" },
		"upgrade": func(r *http.Request) { r.Header["upgrade"] = []string{"websocket"} },
		"expect":  func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
		"name":    func(r *http.Request) { r.Header["X Y"] = []string{"v"} },
		"empty":   func(r *http.Request) { r.Header[""] = []string{"v"} },
		"value":   func(r *http.Request) { r.Header["X"] = []string{"v\r\nY: w"} },
		"control": func(r *http.Request) { r.Header["X"] = []string{"\x00"} },
	} {
		r := request(t, "GET", "http://127.0.0.1:80/")
		edit(r)
		require.False(t, direct.Takes(r), name)
	}
	r := request(t, "GET", "http://127.0.0.1:80/")
	r.Header["X"] = []string{"a\tb\xff", ""}
	require.True(t, direct.Takes(r))
}

// FuzzAnswer compares what a caller gets of a server that sends any bytes with what it gets
// over http.Transport.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: End\r\n\r\n2\r\nok\r\n0\r\nEnd: v\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
	} {
		f.Add("GET", answer)
		f.Add("HEAD", answer)
	}
	f.Fuzz(func(t *testing.T, method, answer string) {
		if method != "HEAD" {
			method = "GET"
		}
		url := scripted(t, answer)
		d, _ := newTransport(t, func(o *direct.Options) { o.MaxHeaderBytes = 1 << 20 })
		plain := &http.Transport{DisableCompression: true, MaxResponseHeaderBytes: 1 << 20}
		defer plain.CloseIdleConnections()
		got, gotBody, gotErr := send(d, request(t, method, url), attempt(t))
		want, err := plain.RoundTrip(request(t, method, url))
		if err != nil {
			require.Error(t, gotErr)
			require.Nil(t, got, "no head of an answer: %v", err)
			return
		}
		defer func() { _ = want.Body.Close() }()
		require.NotNil(t, got, "%v", gotErr)
		require.Equal(t, want.Status, got.Status)
		require.Equal(t, want.Header, got.Header)
		require.Equal(t, want.ContentLength, got.ContentLength)
		require.Equal(t, want.TransferEncoding, got.TransferEncoding)
		if want.StatusCode == http.StatusSwitchingProtocols {
			return
		}
		wantBody, wantErr := io.ReadAll(want.Body)
		require.Equal(t, string(wantBody), gotBody)
		require.Equal(t, wantErr != nil, gotErr != nil, "%v, %v", wantErr, gotErr)
		require.Equal(t, want.Trailer, got.Trailer)
	})
}
