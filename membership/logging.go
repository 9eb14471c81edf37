package membership

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	logWindow  = time.Second
	logBudget  = 20   // warnings and errors in a window
	maxLogText = 1024 // bytes of one line; foreign names and metadata can make it long
)

// newGossipLogger returns a logger for memberlist whose lines come out of l at
// their own level, with component=gossip. Anybody who reaches the gossip port
// can provoke warnings and errors: of those, logBudget pass in a logWindow, and
// what was held back is counted in one line at its end. Lines whose level l
// does not want cost nothing here. A nil l discards everything.
func newGossipLogger(l *slog.Logger) *log.Logger {
	if l == nil {
		return log.New(io.Discard, "", 0)
	}
	return log.New(&gossipWriter{log: l.With("component", "gossip")}, "", 0)
}

// gossipWriter takes one line a Write, as log.Logger gives them.
type gossipWriter struct {
	log *slog.Logger

	mu         sync.Mutex
	opened     time.Time // when the current window began
	passed     int       // in the current window
	suppressed int       // since the last report
}

func (w *gossipWriter) Write(line []byte) (int, error) {
	level, text := cutLevel(line)
	ctx := context.Background()
	if !w.log.Enabled(ctx, level) || level >= slog.LevelWarn && !w.allow() {
		return len(line), nil
	}
	w.log.LogAttrs(ctx, level, clipText(text))
	return len(line), nil
}

// allow spends the budget, or counts the line as suppressed and sees to it
// that the count is reported when the window is over.
func (w *gossipWriter) allow() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.opened) >= logWindow {
		w.opened, w.passed = now, 0
	}
	if w.passed < logBudget {
		w.passed++
		return true
	}
	w.suppressed++
	if w.suppressed == 1 {
		time.AfterFunc(w.opened.Add(logWindow).Sub(now), w.report)
	}
	return false
}

func (w *gossipWriter) report() {
	w.mu.Lock()
	n := w.suppressed
	w.suppressed = 0
	w.mu.Unlock()
	w.log.LogAttrs(context.Background(), slog.LevelWarn, "gossip warnings and errors suppressed", slog.Int("lines", n))
}

var logLevels = []struct {
	prefix []byte
	level  slog.Level
}{
	{[]byte("[DEBUG] "), slog.LevelDebug},
	{[]byte("[INFO] "), slog.LevelInfo},
	{[]byte("[WARN] "), slog.LevelWarn},
	{[]byte("[ERR] "), slog.LevelError},
	{[]byte("[ERROR] "), slog.LevelError},
	{[]byte("Err: "), slog.LevelError},
}

// cutLevel takes memberlist's prefixes off a line; one without a level is
// information.
func cutLevel(line []byte) (slog.Level, []byte) {
	level := slog.LevelInfo
	for _, known := range logLevels {
		if rest, ok := bytes.CutPrefix(line, known.prefix); ok {
			level, line = known.level, rest
			break
		}
	}
	return level, bytes.TrimPrefix(line, []byte("memberlist: "))
}

func clipText(text []byte) string {
	text = bytes.TrimSpace(text)
	suffix := ""
	if len(text) > maxLogText {
		text, suffix = text[:maxLogText], "…"
	}
	return strings.ToValidUTF8(string(text), "\uFFFD") + suffix
}
