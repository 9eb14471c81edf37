package route_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
)

// streamBehaviours are the rows in which caller and handler take turns.
func streamBehaviours() (table []behaviour) {
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	// turns sends words one after the other, and waits for each to come back.
	turns := func(r func(x *exchange, body io.Reader) *http.Request) func(*exchange) {
		return func(x *exchange) {
			reader, writer := x.pipe()
			response, err := x.client.Do(r(x, reader)) //nolint:bodyclose // got closes it
			require.NoError(x.t, err)
			lines := bufio.NewScanner(response.Body)
			for i := range 3 {
				_, err := fmt.Fprintf(writer, "word %d\n", i)
				require.NoError(x.t, err)
				require.True(x.t, lines.Scan())
				x.said("%s", lines.Text())
			}
			require.NoError(x.t, writer.Close())
			x.got(response)
		}
	}
	echoed := func(x *exchange, w http.ResponseWriter, r *http.Request) {
		x.sawHead(r)
		x.saw("full duplex: %v", http.NewResponseController(w).EnableFullDuplex())
		flush(w)
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			x.saw("%s", lines.Text())
			_, _ = fmt.Fprintln(w, lines.Text())
			flush(w)
		}
		x.saw("error %v", lines.Err())
	}
	table = append(table, behaviour{
		name: "full duplex", handle: echoed,
		send: turns(func(x *exchange, body io.Reader) *http.Request { return x.request("POST", "/k", body) }),
	}, behaviour{
		name: "full duplex of a known length", only: http1, handle: echoed, // net/http itself waits over HTTP/2
		send: turns(func(x *exchange, body io.Reader) *http.Request {
			r := x.request("POST", "/k", body)
			r.ContentLength = 3 * int64(len("word 0\n"))
			return r
		}),
	}, behaviour{
		name: "event stream",
		handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 100 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				flush(w)
			}
		},
		send: func(x *exchange) { x.do(x.request("GET", "/k", nil, "Accept: text/event-stream")) },
	}, behaviour{
		name: "WebSocket", only: http1,
		handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
			x.sawHead(r)
			echo(w, r)
		},
		send: func(x *exchange) {
			// The words come with the request, so that some are read with its header.
			conn := x.dial()
			defer func() { _ = conn.Close() }()
			_, err := io.WriteString(conn, "GET /k HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly")
			require.NoError(x.t, err)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection is closed
			require.NoError(x.t, err)
			x.said("%s %s", response.Status, response.Header.Get("Upgrade"))
			x.said("header\n    %s", notedHeader(response.Header))
			_, err = io.WriteString(conn, "late")
			require.NoError(x.t, err)
			got := make([]byte, len("earlylate"))
			_, err = io.ReadFull(reader, got)
			require.NoError(x.t, err)
			x.said("%s", got)
		},
	}, behaviour{
		name: "101 with bytes after it", only: http1,
		handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			require.NoError(x.t, err)
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\nX-A: 1\r\n\r\nhello")
		},
		send: func(x *exchange) {
			conn := x.dial()
			defer func() { _ = conn.Close() }()
			_, err := io.WriteString(conn, "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n")
			require.NoError(x.t, err)
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection is closed
			require.NoError(x.t, err)
			x.said("%s\n    %s", response.Status, notedHeader(response.Header))
			rest, _ := io.ReadAll(reader)
			x.said("%s", rest)
		},
	}, behaviour{
		name: "an upgrade with a body that is refused", only: http1,
		send: func(x *exchange) {
			x.raw("POST", "POST /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\nContent-Length: 4\r\n\r\nbody")
		},
	})
	return slices.Concat(table, upgradeBehaviours(), knownLengthBehaviours(), grpcBehaviours())
}

// upgradeBehaviours switch to the protocol "own": the handler reads to the end of what the
// caller sends, and then answers.
func upgradeBehaviours() (table []behaviour) {
	for name, request := range map[string]string{
		"half closed":                "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n",
		"the caller names two":       "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other/2, own\r\n\r\n",
		"the caller names two apart": "GET /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other/2\r\nUpgrade: own\r\n\r\n",
		"in other letters":           "GET /k HTTP/1.1\r\nHost: a\r\nConnection: uPGRADE\r\nUpgrade: OWN\r\n\r\n",
		"of a POST":                  "POST /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\nContent-Length: 0\r\n\r\n",
		"of a request with a body":   "POST /k HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: own\r\nContent-Length: 4\r\n\r\nbody",
	} {
		table = append(table, behaviour{
			name: "an upgrade, " + name, only: http1,
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				x.sawHead(r)
				x.sawBody(r)
				conn, rw, err := http.NewResponseController(w).Hijack()
				require.NoError(x.t, err)
				defer func() { _ = conn.Close() }()
				defer context.AfterFunc(x.ctx, func() { _ = conn.Close() })()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\nX-A: 1\r\n\r\n")
				words, err := io.ReadAll(rw)
				x.saw("%s %v", words, err)
				_, _ = io.WriteString(conn, "bye")
			},
			send: func(x *exchange) {
				conn := x.dial()
				defer func() { _ = conn.Close() }()
				_, err := io.WriteString(conn, request)
				require.NoError(x.t, err)
				reader := bufio.NewReader(conn)
				response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection is closed
				require.NoError(x.t, err)
				x.said("%s\n    %s", response.Status, notedHeader(response.Header))
				_, _ = io.WriteString(conn, "words")
				_ = conn.(interface{ CloseWrite() error }).CloseWrite()
				rest, _ := io.ReadAll(reader)
				x.said("%s", rest)
			},
		})
	}
	return table
}

// knownLengthBehaviours answer a part at a time: the caller must get each part before the
// handler goes on.
func knownLengthBehaviours() (table []behaviour) {
	for name, parts := range map[string][]string{"the head": {"", "halfrest"}, "half": {"half", "rest"}} {
		table = append(table, behaviour{
			name: "an answer of a known length, " + name + " first",
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "8")
				_, _ = io.WriteString(w, parts[0])
				_ = http.NewResponseController(w).Flush()
				select {
				case <-x.began:
				case <-x.ctx.Done():
					x.saw("the caller has not got the first part")
				}
				_, _ = io.WriteString(w, parts[1])
			},
			send: func(x *exchange) {
				response, err := x.client.Do(x.request("GET", "/k", nil)) //nolint:bodyclose // got closes it
				require.NoError(x.t, err)
				_, err = io.ReadFull(response.Body, make([]byte, len(parts[0])))
				require.NoError(x.t, err)
				close(x.began)
				x.got(response)
			},
		})
	}
	return table
}

// message frames a message as gRPC does.
func message(text string) string {
	head := make([]byte, 5)
	binary.BigEndian.PutUint32(head[1:], uint32(len(text)))
	return string(head) + text
}

func readMessage(r io.Reader) (string, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// grpcBehaviours speak as gRPC does, without its library: one message or many each way,
// and a status in the trailer.
func grpcBehaviours() (table []behaviour) {
	call := func(name string, ask []string, answer func(got []string) []string, status string) {
		table = append(table, behaviour{
			name: "gRPC " + name, only: http2,
			handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
				x.sawHead(r)
				w.Header().Set("Content-Type", "application/grpc+proto")
				w.Header().Set("X-Initial", "1")
				answers := func(texts []string) {
					for _, text := range texts {
						_, _ = io.WriteString(w, message(text))
						_ = http.NewResponseController(w).Flush()
					}
				}
				if status != "0" && answer == nil { // trailers only
					w.Header().Set("Grpc-Status", status)
					w.Header().Set("Grpc-Message", "no%20such")
					return
				}
				w.Header().Add("Trailer", "Grpc-Status")
				w.Header().Add("Trailer", "Grpc-Message")
				_ = http.NewResponseController(w).Flush()
				for {
					text, err := readMessage(r.Body)
					if err != nil {
						x.saw("end: %v", err)
						break
					}
					x.saw("%s", text)
					answers(answer([]string{text}))
				}
				answers(answer(nil))
				w.Header().Set("Grpc-Status", status)
				w.Header().Set("Grpc-Message", "done")
				w.Header().Set(http.TrailerPrefix+"X-Custom-Bin", "AAE=")
			},
			send: func(x *exchange) {
				reader, writer := x.pipe()
				r := x.request("POST", "/k/Method", reader, "Content-Type: application/grpc+proto", "Te: trailers", "Grpc-Timeout: 10S", "User-Agent: grpc-go/1")
				go func() {
					for _, text := range ask {
						_, _ = io.WriteString(writer, message(text))
					}
					_ = writer.Close()
				}()
				response, err := x.client.Do(r) //nolint:bodyclose // got closes it
				require.NoError(x.t, err)
				x.got(response)
				_ = writer.Close()
			},
		})
	}
	echoes := func(got []string) []string { return got }
	atEnd := func(texts ...string) func([]string) []string {
		return func(got []string) []string {
			if got == nil {
				return texts
			}
			return nil
		}
	}
	call("unary", []string{"a"}, atEnd("b"), "0")
	call("unary, large", []string{strings.Repeat("a", 1<<20)}, atEnd(strings.Repeat("b", 1<<20)), "0")
	call("server stream", []string{"a"}, atEnd("1", "2", "3"), "0")
	call("client stream", []string{"1", "2", "3"}, atEnd("b"), "0")
	call("both ways", []string{"1", "2", "3"}, echoes, "0")
	call("error after messages", []string{"1"}, echoes, "13")
	call("error alone", []string{"1"}, nil, "12")
	call("nothing", nil, atEnd(), "0")
	return table
}
