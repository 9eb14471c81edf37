package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// ledger records the requests of clients for one key: which writes were acknowledged,
// and when the key could be read. Only one client writes the key.
type ledger struct {
	key string

	mu      sync.Mutex
	sent    int            // the number of writes; each value contains its number
	version Version        // the version of the last acknowledged write
	content string         // the content of the write, empty for a deletion
	open    map[string]int // writes that were not acknowledged, by content; a read may return them at any time
	read    gap            // between answers to readers
	written gap            // between acknowledgements
}

func newLedger(format string, n int) *ledger {
	return &ledger{key: fmt.Sprintf(format, n), open: make(map[string]int)}
}

// gap is the longest time between two good answers.
type gap struct {
	last    time.Time
	longest time.Duration
	from    time.Time // when the longest gap began
}

func (g *gap) good(now time.Time) {
	if !g.last.IsZero() && now.Sub(g.last) > g.longest {
		g.longest, g.from = now.Sub(g.last), g.last
	}
	g.last = now
}

// send returns the content of the next write.
func (l *ledger) send(deletion bool) (content string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !deletion {
		l.sent++
		content = fmt.Sprintf("%s write %d", l.key, l.sent)
	}
	l.open[content]++
	return content
}

// acknowledged records that a write was acknowledged. It returns an error when the
// version is lower than an earlier one: then the write would be lost.
func (l *ledger) acknowledged(v Version, content string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Compare(l.version) <= 0 {
		return fmt.Errorf("%s: version %v was acknowledged after %v", l.key, v, l.version)
	}
	l.open[content]--
	l.version, l.content = v, content
	l.written.good(time.Now())
	return nil
}

// known returns the lowest version that a read that begins now may return.
func (l *ledger) known() Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// saw records the answer to a read, and reports whether the answer missed a write that
// was acknowledged before the read began. It returns an error for an impossible answer.
func (l *ledger) saw(before, v Version, content string) (stale bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read.good(time.Now())
	switch order := v.Compare(l.version); {
	case order == 0 && content != l.content:
		return false, fmt.Errorf("%s: version %v is %q, and %q was acknowledged", l.key, v, content, l.content)
	case order > 0 && l.open[content] == 0:
		return false, fmt.Errorf("%s: version %v, %q, is newer than the last that was acknowledged, %v, and nobody wrote it", l.key, v, content, l.version)
	case content != "" && !strings.HasPrefix(content, l.key+" write "):
		return false, fmt.Errorf("%s is %q", l.key, content)
	}
	return v.Compare(before) < 0, nil
}
