package transport

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServingThatEndsUnexpectedly(t *testing.T) {
	var log bytes.Buffer
	srv, err := Listen("127.0.0.1:0", http.NotFoundHandler(), ServerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.NoError(t, srv.listener.Close())
	<-srv.Done()
	require.ErrorIs(t, srv.Err(), net.ErrClosed)
	require.ErrorContains(t, srv.Err(), "transport: serving on "+srv.Addr().String())
	require.Contains(t, log.String(), "level=ERROR")
	require.NoError(t, srv.Shutdown(t.Context()))
	require.Error(t, srv.Err(), "it is remembered")
}

func TestAFailedAcceptKeepsNoSlot(t *testing.T) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	limited := newLimitListener(l, 1, 1)
	require.NoError(t, l.Close())
	for range 3 {
		_, err = limited.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.Empty(t, limited.slots)
	}
	require.Error(t, limited.Close(), "closed below already")
}

func TestHalfSurrogate(t *testing.T) {
	for text, want := range map[string]bool{
		`"plain"`: false, `"\n\\u"`: false, `"\u0041"`: false, `"\ud83d\ude00"`: false, `"\uD83D\uDE00x"`: false, `"\\ud800"`: false,
		`"\ud800"`: true, `"\udc00"`: true, `"\ud800\n"`: true, `"\ud800\\udc00"`: true, `"\ud83d\ude00\ud800"`: true, `"\ud800\u0041"`: true,
	} {
		require.Equal(t, want, halfSurrogate([]byte(text)), text)
	}
}
