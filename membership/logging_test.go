package membership

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// lineLog is a handler that keeps "LEVEL message attrs" lines.
type lineLog struct {
	level slog.Level

	mu    *sync.Mutex
	lines *[]string
	attrs string
}

func newLineLog(level slog.Level) *lineLog {
	return &lineLog{level: level, mu: new(sync.Mutex), lines: new([]string)}
}

func (l *lineLog) Enabled(_ context.Context, level slog.Level) bool { return level >= l.level }

func (l *lineLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + l.attrs
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.lines = append(*l.lines, line)
	return nil
}

func (l *lineLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	for _, a := range attrs {
		with.attrs += " " + a.String()
	}
	return &with
}

func (l *lineLog) WithGroup(string) slog.Handler { return l }

func (l *lineLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := *l.lines
	*l.lines = nil
	return lines
}

func TestGossipLoggerLevels(t *testing.T) {
	h := newLineLog(slog.LevelDebug)
	logger := newGossipLogger(slog.New(h), lineHooks{})
	for line, want := range map[string]string{
		"[DEBUG] memberlist: Stream connection from=x":      "DEBUG Stream connection from=x",
		"[INFO] memberlist: Marking x as failed":            "INFO Marking x as failed",
		"[WARN] memberlist: Refuting a suspect message":     "WARN Refuting a suspect message",
		"[ERR] memberlist: failed to receive: EOF":          "ERROR failed to receive: EOF",
		"[ERROR] memberlist: Failed to compress payload: x": "ERROR Failed to compress payload: x",
		"[ERR] Failed to shutdown transport: x":             "ERROR Failed to shutdown transport: x",
		"Err: Could not set the deadline: x":                "ERROR Could not set the deadline: x",
		"[WARN] refused a stream of another cluster":        "WARN refused a stream of another cluster",
		"no level at all":                                    "INFO no level at all",
		"[NEW] memberlist: a level of the future":            "INFO [NEW] memberlist: a level of the future",
		"[INFO] memberlist: about [WARN] memberlist: inside": "INFO about [WARN] memberlist: inside",
		"": "INFO ",
	} {
		logger.Print(line)
		require.Equal(t, []string{want + " component=gossip"}, h.take())
	}
}

func TestGossipLoggerKeepsTextInBounds(t *testing.T) {
	var out bytes.Buffer
	logger := newGossipLogger(slog.New(slog.NewTextHandler(&out, nil)), lineHooks{})
	logger.Printf("[WARN] memberlist: Got ping for unexpected node %s", "a\nlevel=ERROR msg=forged\xff")
	require.Equal(t, 1, strings.Count(out.String(), "\n"), "%s", out.String())
	require.Contains(t, out.String(), `\nlevel=ERROR msg=forged`)
	require.Contains(t, out.String(), "\uFFFD")

	out.Reset()
	logger.Printf("[WARN] memberlist: %s", strings.Repeat("x", 1<<20))
	require.Less(t, out.Len(), 2*maxLogText)
	require.Contains(t, out.String(), "x…")
}

func TestGossipLoggerWithoutLogger(t *testing.T) {
	newGossipLogger(nil, lineHooks{}).Print("[ERR] memberlist: nobody listens")
}

func TestGossipLoggerDoesNotWorkForUnwantedLines(t *testing.T) {
	h := newLineLog(slog.LevelInfo)
	w := newGossipLogger(slog.New(h), lineHooks{}).Writer()
	line := []byte("[DEBUG] memberlist: Stream connection from=x\n")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = w.Write(line) }))
	require.Empty(t, h.take())

	quiet := newLineLog(slog.LevelError + 1)
	logger := newGossipLogger(slog.New(quiet), lineHooks{})
	for range 10 * logBudget {
		logger.Print("[ERR] memberlist: x")
	}
	require.Empty(t, quiet.take())
}

func TestGossipLoggerLimitsFloods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLineLog(slog.LevelDebug)
		logger := newGossipLogger(slog.New(h), lineHooks{})
		var line atomic.Int64
		flood := func(n int) {
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for range n / 4 {
						logger.Print("[ERR] memberlist: garbage ", line.Add(1))
					}
				})
			}
			all.Wait()
		}
		flood(1000)
		require.Len(t, h.take(), logBudget)
		logger.Print("[INFO] memberlist: Marking x as failed")
		logger.Print("[DEBUG] memberlist: Stream connection")
		require.Len(t, h.take(), 2, "only warnings and errors are limited")

		time.Sleep(logWindow)
		synctest.Wait()
		require.Equal(t, []string{"WARN gossip warnings and errors suppressed component=gossip lines=980"}, h.take())

		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, h.take(), "one report")

		flood(logBudget)
		require.Len(t, h.take(), logBudget, "a new window has a new budget")
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, h.take(), "nothing was held back")

		for range 10 { // ten seconds of a hundred lines each
			flood(100)
			time.Sleep(logWindow)
			synctest.Wait()
		}
		got := h.take()
		require.Len(t, got, 10*(logBudget+1))
		require.Equal(t, "WARN gossip warnings and errors suppressed component=gossip lines=80", got[len(got)-1])
	})
}

// A line that differs from an earlier line only in the port is logged once in logRepeat.
func TestGossipLoggerDoesNotRepeatItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLineLog(slog.LevelDebug)
		logger := newGossipLogger(slog.New(h), lineHooks{})
		for port := range 100 {
			logger.Printf("[ERR] memberlist: failed to receive: EOF from=10.0.0.1:%d", 1000+port)
			logger.Printf("[ERR] memberlist: failed to receive: EOF from=10.0.0.2:%d", 1000+port)
			logger.Print("[INFO] memberlist: Marking x as failed")
		}
		require.Len(t, h.take(), 102)
		time.Sleep(logRepeat)
		logger.Print("[ERR] memberlist: failed to receive: EOF from=10.0.0.1:1000")
		require.Equal(t, []string{"ERROR failed to receive: EOF from=10.0.0.1:1000 component=gossip repeated=99"}, h.take())
	})
}

// A refusal that NotifyAlive has logged is not logged again when memberlist reports it.
func TestGossipLoggerLeavesRefusalsToNotifyAlive(t *testing.T) {
	h := newLineLog(slog.LevelInfo)
	newGossipLogger(slog.New(h), lineHooks{}).Print("[WARN] memberlist: ignoring alive message for 'x': why")
	require.Empty(t, h.take())
}

// The default handler of log/slog writes a message as it is.
func TestStrangersForgeNoLogLines(t *testing.T) {
	h := newLineLog(slog.LevelDebug)
	logger := newGossipLogger(slog.New(h), lineHooks{})
	for name, want := range map[string]string{
		"x\n2026/01/01 00:00:00 ERROR forged": `x\n2026/01/01 00:00:00 ERROR forged`,
		"x\r\u2028y":                          `x\r\u2028y`,
		"\x1b[31mred":                         `\x1b[31mred`,
		"a\u202eb\x00":                        `a\u202eb\x00`,
		"n\u00e9 \"x\"":                       "n\u00e9 \"x\"",
		"bad\xffutf8":                         "bad\uFFFDutf8",
		"a\nbad\xffutf":                       "a\\nbad\uFFFDutf",
	} {
		logger.Printf("[WARN] memberlist: Ignoring an alive message for '%s'", name)
		require.Equal(t, []string{"WARN Ignoring an alive message for '" + want + "' component=gossip"}, h.take())
	}
	logger.Print("[WARN] memberlist: " + strings.Repeat("\x00", 10*maxLogText))
	require.Less(t, len(h.take()[0]), 2*maxLogText)
}
