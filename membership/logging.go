package membership

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	logWindow  = time.Second
	logBudget  = 20          // warnings and errors in a window
	logRepeat  = time.Minute // within which a warning or an error is not repeated
	maxLogText = 1024        // bytes of one line; foreign names and metadata can make it long
)

// newGossipLogger returns a logger for memberlist whose lines come out of l at
// their own level, with component=gossip. A process that reaches the gossip port
// can provoke warnings and errors. A line of these that differs from an earlier one in
// no more than a port is held back for logRepeat, and then counted. Of the others
// logBudget pass in a logWindow, and one line at its end counts those held back.
// Lines whose level l does not want cost nothing here. A nil l discards everything.
// The hooks are called for lines that say what memberlist says in no other way.
func newGossipLogger(l *slog.Logger, hooks lineHooks) *log.Logger {
	if l == nil {
		return log.New(io.Discard, "", 0)
	}
	return log.New(&gossipWriter{log: l.With("component", "gossip"), repeats: repeats{every: logRepeat}, hooks: hooks}, "", 0)
}

// gossipWriter takes one line a Write, as log.Logger gives them.
type gossipWriter struct {
	log     *slog.Logger
	hooks   lineHooks
	repeats repeats

	mu         sync.Mutex
	opened     time.Time // when the current window began
	passed     int       // in the current window
	suppressed int       // since the last report
}

func (w *gossipWriter) Write(line []byte) (int, error) {
	level, text := cutLevel(line)
	ctx := context.Background()
	w.hooks.call(text)
	if bytes.HasPrefix(text, []byte(lineOfRefusal)) {
		level = slog.LevelDebug // NotifyAlive has logged it
	}
	if !w.log.Enabled(ctx, level) {
		return len(line), nil
	}
	var attrs []slog.Attr
	if level >= slog.LevelWarn {
		ok, held := w.repeats.say(string(fromPort.ReplaceAll(text, []byte("$1"))), time.Now())
		if !ok || !w.allow() {
			return len(line), nil
		}
		if held > 0 {
			attrs = append(attrs, slog.Int("repeated", held))
		}
	}
	w.log.LogAttrs(ctx, level, clipText(text), attrs...)
	return len(line), nil
}

// lineHooks are called for some lines, and never block. Each may be nil.
type lineHooks struct {
	undecryptable func(from netip.AddrPort) // a packet came that cannot be decrypted
	doubted       func()                    // this member had to say that it is alive, or packets stay away
}

// How these lines begin. The first one ends with the address that the packet came from.
const (
	lineOfDecrypting = "Decrypt packet failed: "
	lineOfRefuting   = "Refuting a "
	lineOfStreams    = "Was able to connect to " // and no packet was answered
)

func (h lineHooks) call(text []byte) {
	switch {
	case h.undecryptable != nil && bytes.HasPrefix(text, []byte(lineOfDecrypting)):
		if from, err := netip.ParseAddrPort(lastField(text)); err == nil {
			h.undecryptable(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	case h.doubted != nil && (bytes.HasPrefix(text, []byte(lineOfRefuting)) || bytes.HasPrefix(text, []byte(lineOfStreams))):
		h.doubted()
	}
}

// lastField returns what stands after "from=" at the end of a line.
func lastField(text []byte) string {
	_, from, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" from="))
	return string(from)
}

// lineOfRefusal is how a line of memberlist begins that repeats what NotifyAlive returned.
const lineOfRefusal = "ignoring alive message for "

// fromPort matches the address that a stream or packet came from. The port of a stream is another
// one each time.
var fromPort = regexp.MustCompile(`(from=\S*):\d+`)

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
