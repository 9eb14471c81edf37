package route_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
	"github.com/clusterkit/clusterkit/transport/route"
)

// abandon sends a request whose context ends before the answer. With TLS the server learns from the client that
// the connection ends before the client has closed it, and its answer may still arrive.
func (x *exchange) abandon(r *http.Request) {
	response, err := x.client.Do(r)
	if err == nil {
		_ = response.Body.Close()
	}
	require.ErrorIs(x.t, r.Context().Err(), context.Canceled)
}

// endBehaviours are the rows in which one side ends early.
func endBehaviours() []behaviour {
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	// A broken connection is not known from a member that has died.
	broken := func(t *testing.T, direct, forwarded *exchange) {
		require.Equal(t, []string{"no answer"}, direct.caller)
		require.Contains(t, forwarded.caller[0], "502 Bad Gateway")
		require.EqualValues(t, 1, forwarded.runs.Load())
	}
	early := func(status int) func(x *exchange, w http.ResponseWriter, r *http.Request) {
		return func(x *exchange, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "enough")
		}
	}
	return []behaviour{
		{
			name: "the caller leaves before the answer",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				flushed := r.Context()
				close(x.began)
				<-flushed.Done()
				x.saw("%v", context.Cause(flushed))
			},
			send: func(x *exchange) {
				ctx, cancel := context.WithCancel(x.ctx)
				go func() { <-x.began; cancel() }()
				x.abandon(x.request("GET", "/k", nil).WithContext(ctx))
			},
		},
		{
			name: "the caller leaves a handler that watches its connection",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				gone := w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // frameworks still use it
				close(x.began)
				x.saw("%v", <-gone)
			},
			send: func(x *exchange) {
				ctx, cancel := context.WithCancel(x.ctx)
				go func() { <-x.began; cancel() }()
				x.abandon(x.request("GET", "/k", nil).WithContext(ctx))
			},
		},
		{
			name: "the caller leaves in the answer",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "half")
				flush(w)
				<-r.Context().Done()
				x.saw("%v", context.Cause(r.Context()))
			},
			send: func(x *exchange) {
				ctx, cancel := context.WithCancel(x.ctx)
				response, err := x.client.Do(x.request("GET", "/k", nil).WithContext(ctx))
				require.NoError(x.t, err)
				half := make([]byte, 4)
				_, err = io.ReadFull(response.Body, half)
				require.NoError(x.t, err)
				x.said("%s", half)
				cancel()
				_ = response.Body.Close()
			},
		},
		{
			name: "the caller leaves in its body",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				half := make([]byte, 4)
				_, err := io.ReadFull(r.Body, half)
				x.saw("%s %v", half, err)
				close(x.began)
				_, err = io.ReadAll(r.Body)
				x.saw("error %v", err != nil)
			},
			send: func(x *exchange) {
				reader, writer := x.pipe()
				ctx, cancel := context.WithCancel(x.ctx)
				go func() {
					_, _ = io.WriteString(writer, "half")
					<-x.began
					cancel()
					_ = writer.CloseWithError(context.Canceled)
				}()
				r := x.request("POST", "/k", reader).WithContext(ctx)
				r.ContentLength = 1000
				x.abandon(r)
			},
		},
		{
			name: "a panic before the answer", differs: broken,
			handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		},
		{
			name: "another panic before the answer", differs: broken,
			handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) { panic("as a test asks for") },
			send:   func(x *exchange) { x.do(x.request("POST", "/k", bytes.NewReader([]byte("a")))) },
		},
		{
			name: "a panic in the answer",
			handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "half")
				flush(w)
				panic(http.ErrAbortHandler)
			},
		},
		{
			name: "a panic in an answer of a known length",
			handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "half")
				flush(w)
				panic("as a test asks for")
			},
		},
		unsent("the handler closes the connection", func(w http.ResponseWriter, r *http.Request) error {
			if r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close")
			}
			return nil
		}),
		unsent("the handler limits the time", func(w http.ResponseWriter, r *http.Request) error {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := io.ReadAll(r.Body)
			return err
		}),
		unsent("the handler limits the size", func(w http.ResponseWriter, r *http.Request) error {
			_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10))
			return err
		}),
		{
			name: "an answer before the body", handle: early(http.StatusRequestEntityTooLarge),
			send: func(x *exchange) { x.do(x.request("POST", "/k", bytes.NewReader(make([]byte, 100)))) },
		},
		{
			name: "an answer before a body that never comes", handle: early(403), only: http2,
			send: func(x *exchange) {
				reader, writer := x.pipe()
				defer func() { _ = writer.Close() }()
				x.do(x.request("POST", "/k", reader))
			},
		},
		{
			name: "an answer before a long body", handle: early(http.StatusRequestEntityTooLarge),
			send: func(x *exchange) {
				response, err := x.client.Do(x.request("POST", "/k", bytes.NewReader(make([]byte, 4<<20)))) //nolint:bodyclose // got closes it
				require.NoError(x.t, err)
				x.got(response)
			},
		},
		{
			name: "a part of the body is read",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				half := make([]byte, 1000)
				n, err := io.ReadFull(r.Body, half)
				x.saw("%d %v", n, err)
				_, _ = io.WriteString(w, "enough")
			},
			send: func(x *exchange) { x.do(x.request("POST", "/k", bytes.NewReader(make([]byte, 100<<10)))) },
		},
		{
			name: "a limit of the body in the handler",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 100))
				x.saw("%v", err)
				http.Error(w, fmt.Sprint(err), http.StatusRequestEntityTooLarge)
			},
			send: func(x *exchange) { x.do(x.request("POST", "/k", bytes.NewReader(make([]byte, 200)))) },
		},
		{
			name: "a deadline that passes",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				w.WriteHeader(http.StatusTeapot)
			},
			send: func(x *exchange) { x.do(x.request("GET", "/k", nil, api.TimeoutHeader+": 50")) },
			differs: func(t *testing.T, direct, forwarded *exchange) {
				require.Contains(t, direct.caller[0], "418")
				require.Regexp(t, "504|418", forwarded.caller[0])
			},
		},
	}
}

// unsent is a request whose caller stops to send its body, and waits for the answer.
func unsent(name string, read func(http.ResponseWriter, *http.Request) error) behaviour {
	return behaviour{
		name: "a body that stops, " + name,
		handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
			x.saw("error %v", read(w, r) != nil)
			http.Error(w, "enough", http.StatusRequestEntityTooLarge)
		},
		send: func(x *exchange) {
			reader, writer := x.pipe()
			defer func() { _ = writer.Close() }()
			go func() { _, _ = io.WriteString(writer, "01234567890123456789") }()
			x.do(x.request("POST", "/k", reader))
		},
	}
}

// transports are those that a router may have: its own pool, and one of the user.
func transports(t *testing.T, run func(*testing.T, func(*route.Options))) {
	t.Run("pool", func(t *testing.T) { run(t, nil) })
	t.Run("http.Transport", func(t *testing.T) {
		own := &http.Transport{}
		run(t, func(o *route.Options) { o.Transport = own })
		own.CloseIdleConnections()
	})
}

// TestARequestThatFailsWhileItsBodyStops: the caller gets the answer at once, and loses its connection.
func TestARequestThatFailsWhileItsBodyStops(t *testing.T) {
	transports(t, aRequestThatFailsWhileItsBodyStops)
}

func aRequestThatFailsWhileItsBodyStops(t *testing.T, edit func(*route.Options)) {
	began := make(chan struct{}, 1)
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, 4))
		began <- struct{}{}
		if r.Header.Get("Answer") != "" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		_, _ = io.ReadAll(r.Body)
	}, edit, "eu/a", "eu/b")
	f.agree(2)
	for _, c := range []struct {
		name, header string
		status       int
		happens      func()
	}{
		{"the handler", "Answer: early", 413, func() {}},
		{"the deadline", "Clusterkit-Timeout-Ms: 50", 504, func() {}},
		{"the connection", "A: b", 502, func() { f.stations[1].server.CloseClientConnections() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", f.stations[0].server.Listener.Addr().String())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Soon)))
			_, err = io.WriteString(conn, "POST /k HTTP/1.1\r\nHost: a\r\n"+c.header+"\r\nContent-Length: 100\r\n\r\nhalf")
			require.NoError(t, err)
			<-began
			c.happens()
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, c.status, response.StatusCode)
			_, err = reader.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is closed")
		})
	}
}

// TestABodyThatStopsIsSentAgain to the next owner, when the first one breaks meanwhile.
func TestABodyThatStopsIsSentAgain(t *testing.T) { transports(t, aBodyThatStopsIsSentAgain) }

func aBodyThatStopsIsSentAgain(t *testing.T, edit func(*route.Options)) {
	began := make(chan string, 2)
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) {
		half := make([]byte, 4)
		_, _ = io.ReadFull(r.Body, half)
		began <- w.Header().Get("Member")
		rest, err := io.ReadAll(r.Body)
		if err == nil {
			_, _ = io.WriteString(w, w.Header().Get("Member")+" "+string(half)+string(rest))
		}
	}, func(o *route.Options) {
		o.Policy = func(*http.Request) route.Policy { return route.PrimaryFirst }
		if edit != nil {
			edit(o)
		}
	}, "eu/a", "eu/b", "eu/c")
	f.agree(2, 3)
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, "half")
		<-began
		f.stations[1].server.CloseClientConnections()
		<-began // at n3, before the caller sends more
		_, _ = io.WriteString(writer, "rest")
		_ = writer.Close()
	}()
	response, body := f.sendFrom(1, "PUT", "/k", reader)
	require.Equal(t, http.StatusOK, response.StatusCode, body)
	require.Equal(t, "n3 halfrest", body)
}
