package transport

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClientsCannotFillTheLog of the server.
func TestClientsCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newServerLog(slog.New(slog.NewTextHandler(&out, nil)))
		for range 10_000 {
			l.Printf("http: TLS handshake error from %s: %s", "192.0.2.1:1", "EOF")
		}
		require.Equal(t, 50, strings.Count(out.String(), "\n"))
		require.NotContains(t, out.String(), "dropped")
		out.Reset()
		time.Sleep(time.Second)
		for range 10_000 {
			l.Print("again")
		}
		require.Equal(t, 5, strings.Count(out.String(), "\n"))
		require.Contains(t, out.String(), "level=WARN msg=again dropped=9950\n")
		require.Equal(t, 1, strings.Count(out.String(), "dropped"))
	})
}

// TestClientsForgeNoLogLines: the default handler of log/slog writes a message as it is.
func TestClientsForgeNoLogLines(t *testing.T) {
	var out bytes.Buffer
	l := newServerLog(slog.New(slog.NewJSONHandler(&out, nil)))
	l.Printf("http: TLS handshake error: %s", "x\nERROR forged\x1b[31m\u202e\xff")
	l.Print("http: \u00e9 stays")
	var first, second struct{ Msg string }
	decoder := json.NewDecoder(&out)
	require.NoError(t, decoder.Decode(&first))
	require.NoError(t, decoder.Decode(&second))
	require.Equal(t, `http: TLS handshake error: x\nERROR forged\x1b[31m\u202e\xff`, first.Msg)
	require.Equal(t, "http: \u00e9 stays", second.Msg)
}
