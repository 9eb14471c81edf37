package transport_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// http2Get is the header of a GET without a body (RFC 7541, without compression).
func http2Get(stream uint32, path string) []byte {
	headers := []byte{0x82, 0x86, 0x04, 0x7f}
	headers = append(binary.AppendUvarint(headers, uint64(len(path)-127)), path...)
	return testkit.HTTP2Frame(1, 5, stream, append(headers, 0x01, 1, 'x'))
}

// A client that leaves no room for answers holds memory up to a budget. Beyond that its streams are
// reset.
func TestUnreadStreamsOfHTTP2AreBounded(t *testing.T) {
	h := testkit.MakeHandler(testkit.NewCluster(t), transport.HandlerOptions{Logger: testkit.Quiet()})
	// 8 MiB of 16 KiB and twice the path of 4,000 bytes are 343 streams.
	const most = 345
	reset := requireResets(t, h, most, []string{
		"/v1/lookup?key=" + strings.Repeat("k", 4000), "/none/" + strings.Repeat("x", 4000), "/v1/partitions/1?near=" + strings.Repeat("x", 4000),
		"//" + strings.Repeat("x", 4000),
	}, http.StatusOK)
	require.LessOrEqual(t, h.Stats().InFlight, most)
	require.GreaterOrEqual(t, int(h.Stats().Overloaded), reset)
}

// The refusals of a guard have a budget of their own.
func TestUnreadRefusalsOfAGuardAreBounded(t *testing.T) {
	h, _ := testkit.Guarded(t, transport.GuardOptions{Tokens: testkit.Tokens()})
	// 2 MiB of 16 KiB and twice the path of 4,000 bytes are 86 streams.
	const most = 88
	requireResets(t, h, most, []string{"/v1/lookup?key=" + strings.Repeat("k", 4000), "/none/" + strings.Repeat("x", 4000)}, http.StatusUnauthorized)
	require.LessOrEqual(t, h.Stats().InFlight, most)
}

// requireResets sends 720 requests of one client that leaves no room for answers. It requires that all
// but some are reset, and that a neighbour gets an answer with a status. It returns the number of resets.
func requireResets(t *testing.T, h http.Handler, most int, paths []string, status int) int {
	t.Helper()
	srv, _ := testkit.Serve(t, h, transport.ServerOptions{})
	const connections, streams = 3, 240
	resets := make(chan struct{}, connections*streams)
	for range connections {
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext(t.Context(), "tcp", srv.Addr().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = conn.Write(append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), testkit.HTTP2Frame(4, 0, 0, []byte{0, 4, 0, 0, 0, 0})...)) // windows of zero bytes
		require.NoError(t, err)
		go func() {
			r := bufio.NewReader(conn)
			for head := make([]byte, 9); ; {
				if _, err := io.ReadFull(r, head); err != nil {
					return
				}
				if head[3] == 3 { // RST_STREAM
					resets <- struct{}{}
				}
				if _, err := r.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
					return
				}
			}
		}()
		go func() {
			for i := range streams {
				_, _ = conn.Write(http2Get(uint32(2*i+1), paths[i%len(paths)]))
			}
		}()
	}
	for range connections*streams - most {
		select {
		case <-resets:
		case <-time.After(time.Minute):
			require.FailNow(t, "streams beyond the budget are not reset")
		}
	}

	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	neighbour := &http.Client{Transport: &http.Transport{Protocols: &protocols}} // from another address
	defer neighbour.CloseIdleConnections()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+srv.Addr().String()+"/v1/lookup?key=k", nil)
	require.NoError(t, err)
	w, err := neighbour.Do(r)
	require.NoError(t, err)
	require.Equal(t, 2, w.ProtoMajor)
	require.Equal(t, status, w.StatusCode)
	require.NoError(t, w.Body.Close())
	return connections*streams - most
}
