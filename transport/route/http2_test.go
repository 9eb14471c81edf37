package route_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// askHTTP2 sends the fields of a request to a server of HTTP/2 in clear as they are, which the client of
// net/http would change or refuse, and returns the body of the answer.
func askHTTP2(t *testing.T, addr string, fields ...[2]string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, testkit.Soon)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(testkit.Soon)))
	const data, headers, settings, continuation, endStream, endHeaders, mostInFrame = 0, 1, 4, 9, 1, 4, 16 << 10
	var sent []byte
	frame := func(kind, flags byte, stream uint32, payload []byte) {
		sent = append(sent, testkit.HTTP2Frame(kind, flags, stream, payload)...)
	}
	// text appends the length, with a prefix of 7 bits, and the bytes (RFC 7541, section 5).
	text := func(b []byte, s string) []byte {
		n := len(s)
		if n < 127 {
			return append(append(b, byte(n)), s...)
		}
		return append(binary.AppendUvarint(append(b, 127), uint64(n-127)), s...)
	}
	var block []byte
	for _, f := range append([][2]string{{":scheme", "http"}, {":authority", "example.com"}, {":path", "/k"}}, fields...) {
		block = text(text(append(block, 0), f[0]), f[1]) // a literal without indexing
	}
	sent = append(sent, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"...)
	frame(settings, 0, 0, nil)
	for kind, flags := byte(headers), byte(endStream); ; kind, flags = continuation, 0 {
		if len(block) <= mostInFrame {
			frame(kind, flags|endHeaders, 1, block)
			break
		}
		frame(kind, flags, 1, block[:mostInFrame])
		block = block[mostInFrame:]
	}
	_, err = conn.Write(sent)
	require.NoError(t, err)
	var body strings.Builder
	for r := bufio.NewReader(conn); ; {
		var head [9]byte
		_, err := io.ReadFull(r, head[:])
		require.NoError(t, err)
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, err = io.ReadFull(r, payload)
		require.NoError(t, err)
		if head[3] == data {
			body.Write(payload)
		}
		if head[3] <= headers && head[4]&endStream != 0 {
			return body.String()
		}
	}
}

// TestManyCookies: net/http sends each cookie over HTTP/2 as a field of its own, and a caller may send one
// field. The limit of headers is the same at every member.
func TestManyCookies(t *testing.T) {
	p := newPair(t, false, func(s *http.Server) { s.MaxHeaderBytes = 16 << 10 })
	b := &behaviour{handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Cookie"))
	}}
	x := &exchange{behaviour: b}
	x.ended.L = &x.mu
	p.now.Store(x)
	passed, refused := 0, 0
	for number := 1; number < 1000; number += 13 {
		cookies := strings.Repeat("a=1; ", number) + "b=2"
		for member := 1; member <= 2; member++ {
			if answer := askHTTP2(t, p.addrs[member-1], [2]string{":method", "GET"}, [2]string{"cookie", cookies}); answer == cookies {
				passed++
			} else {
				require.Contains(t, answer, `"status":431`, "%d cookies at n%d", number, member)
				refused++
			}
		}
	}
	require.Positive(t, passed)
	require.Positive(t, refused)
	require.Zero(t, passed%2, "the limit is one")
	require.Zero(t, sum(p.stats(1).Unreachable))
}

// TestARequestThatCannotBeForwarded is answered with what is wrong with it, and is no fault of its owner.
func TestARequestThatCannotBeForwarded(t *testing.T) {
	member := 0
	p := newPair(t, false, func(s *http.Server) {
		if member++; member == 2 {
			s.MaxHeaderBytes = 4 << 10
		}
	})
	x := &exchange{behaviour: &behaviour{}}
	x.ended.L = &x.mu
	p.now.Store(x)
	ask := func() string { return askHTTP2(t, p.addrs[0], [2]string{":method", "GET"}) }
	require.Equal(t, "ok", ask(), "the router learns the limit of the owner")
	for _, c := range []struct {
		fields [][2]string
		status int
	}{
		{[][2]string{{":method", "GET"}, {"long", strings.Repeat("x", 8<<10)}}, http.StatusRequestHeaderFieldsTooLarge},
		{[][2]string{{":method", "G ET"}}, http.StatusBadRequest},
	} {
		answer := askHTTP2(t, p.addrs[0], c.fields...)
		require.Contains(t, answer, fmt.Sprintf(`"status":%d`, c.status))
		require.Contains(t, answer, "has not run")
	}
	require.EqualValues(t, 1, x.runs.Load())
	stats := p.stats(1)
	require.Zero(t, sum(stats.Unreachable)+sum(stats.Broken)+stats.GaveUp)
	require.Equal(t, "ok", ask())
}
