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

	"github.com/clusterkit/clusterkit/membership/printable"
)

const (
	logWindow  = time.Second
	logBudget  = 20          // warnings and errors that pass in one window
	logRepeat  = time.Minute // the time within which a warning or an error is not repeated
	maxLogText = 1024        // bytes of one line; names and metadata of other processes can make a line long
)

// newGossipLogger returns a logger for memberlist. It writes every line to l at the level of the
// line, with component=gossip. A nil l discards everything. A line of a level that l does not want
// costs no memory.
//
// Any process that reaches the gossip port can provoke warnings and errors. The logger therefore
// limits them:
//
//   - A line that differs from an earlier one in no more than a port is held back for logRepeat,
//     and counted.
//   - Of the other lines, logBudget pass in each logWindow. A line at the end of the window gives
//     the number of lines held back.
//
// The hooks are called for lines about events that memberlist reports in no other way.
func newGossipLogger(l *slog.Logger, hooks lineHooks) *log.Logger {
	if l == nil {
		return log.New(io.Discard, "", 0)
	}
	return log.New(&gossipWriter{log: l.With("component", "gossip"), repeats: repeats{every: logRepeat}, hooks: hooks}, "", 0)
}

// gossipWriter receives one line in each call of Write, as log.Logger writes them.
type gossipWriter struct {
	log     *slog.Logger
	hooks   lineHooks
	repeats repeats

	mu         sync.Mutex
	opened     time.Time // when the current window began
	passed     int       // lines in the current window
	suppressed int       // lines held back since the last report
}

func (w *gossipWriter) Write(line []byte) (int, error) {
	level, text := cutLevel(line)
	ctx := context.Background()
	w.hooks.call(text)
	if bytes.HasPrefix(text, []byte(lineOfRefusal)) || w.hooks.tcpOnly && bytes.HasPrefix(text, []byte(lineOfStreams)) {
		level = slog.LevelDebug // NotifyAlive has logged the refusal
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
	w.log.LogAttrs(ctx, level, logLine(text), attrs...)
	return len(line), nil
}

// lineHooks are functions that are called for some lines of memberlist. They must not block. Each
// may be nil.
type lineHooks struct {
	undecryptable func(from netip.AddrPort) // a packet arrived that cannot be decrypted
	doubted       func()                    // another member suspected this one, or UDP probes fail where TCP works
	refuting      func(dead bool)           // this member refutes that it is dead, or suspect
	correcting    func()                    // this member refutes what is said that it announces
	unanswered    func(name string)         // a probe of a member, or an exchange of members with it, has failed
	suspects      func(name string)         // this member suspects another one, which answers no probe
	tcpOnly       bool                      // there is no UDP, so that lines of UDP probes that fail are misleading
}

// These lines of memberlist lead to a call of lineHooks; each constant is the beginning of a line.
// A line of lineOfDecrypting ends with the address that the packet came from. A gossip name follows
// lineOfProbe, lineOfExchange and lineOfSuspect.
const (
	lineOfDecrypting = "Decrypt packet failed: "
	lineOfRefuting   = "Refuting a "
	lineOfDenying    = "Refuting a dead "
	lineOfCorrecting = "Refuting an alive "
	lineOfStreams    = "Was able to connect to " // over TCP, while UDP probes failed
	lineOfProbe      = "Failed UDP ping: "       // other members are asked to probe next
	lineOfExchange   = "Push/Pull with "         // and then "failed"
	lineOfSuspect    = "Suspect "                // and then "has failed"
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
	if h.refuting != nil && bytes.HasPrefix(text, []byte(lineOfRefuting)) {
		h.refuting(bytes.HasPrefix(text, []byte(lineOfDenying)))
	}
	if h.correcting != nil && bytes.HasPrefix(text, []byte(lineOfCorrecting)) {
		h.correcting()
	}
	for _, about := range []struct {
		line string
		call func(name string)
	}{{lineOfProbe, h.unanswered}, {lineOfExchange, h.unanswered}, {lineOfSuspect, h.suspects}} {
		if rest, is := bytes.CutPrefix(text, []byte(about.line)); is && about.call != nil {
			name, _, _ := bytes.Cut(rest, []byte(" "))
			about.call(string(name))
		}
	}
}

// lastField returns the text after "from=" at the end of a line.
func lastField(text []byte) string {
	_, from, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" from="))
	return string(from)
}

// lineOfRefusal is the beginning of a line in which memberlist logs the error that NotifyAlive
// returned.
const lineOfRefusal = "ignoring alive message for "

// fromPort matches the address that a stream or packet came from. The port differs for each
// stream.
var fromPort = regexp.MustCompile(`(from=\S*):\d+`)

// allow reports whether a line may pass in the current window. It counts a line that may not, and
// makes sure that the count is logged at the end of the window.
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

// cutLevel removes memberlist's prefixes from a line, and returns the level that they name. A line
// without a level has level Info.
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

// logLine returns a line for the log, of bounded length and of printable characters. A line may
// contain names that a stranger has chosen.
func logLine(text []byte) string {
	line := strings.ToValidUTF8(clip(string(bytes.TrimSpace(text))), "\uFFFD")
	if printable.Is(line) {
		return line
	}
	return strings.ToValidUTF8(clip(printable.Line(line)), "")
}

func clip(text string) string {
	if len(text) <= maxLogText {
		return text
	}
	return text[:maxLogText] + "…"
}
