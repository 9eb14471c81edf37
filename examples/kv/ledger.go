package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// ledger is what is known of one key from outside: what was acknowledged, and
// when it could be read. Only one writer writes it.
type ledger struct {
	key string

	mu      sync.Mutex
	sent    int     // writes; each has its number in its value
	version Version // of the last write that was acknowledged
	content string  // of that, empty for a deletion
	read    gap     // between answers to readers
	written gap     // between acknowledgements
	failed  bool    // some write after that one was not acknowledged
}

// gap is the longest time between two good answers.
type gap struct {
	last    time.Time
	longest time.Duration
	from    time.Time // when the longest began
}

func (g *gap) good(now time.Time) {
	if !g.last.IsZero() && now.Sub(g.last) > g.longest {
		g.longest, g.from = now.Sub(g.last), g.last
	}
	g.last = now
}

// next returns the content of the next write.
func (l *ledger) next() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	return fmt.Sprintf("%s write %d", l.key, l.sent)
}

// acknowledged says that a write was. It returns an error when it has a lower
// version than one before it: it would be lost.
func (l *ledger) acknowledged(v Version, content string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v.Compare(l.version) <= 0 {
		return fmt.Errorf("%s: version %v was acknowledged after %v", l.key, v, l.version)
	}
	l.version, l.content, l.failed = v, content, false
	l.written.good(time.Now())
	return nil
}

// unacknowledged says that a write was not. It may come to light any time.
func (l *ledger) unacknowledged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = true
}

// known is the version that whoever reads from now on should see, or a higher
// one.
func (l *ledger) known() Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// saw takes an answer to a reader into account and reports whether it missed
// what was acknowledged before the question. It returns an error when the answer
// cannot be.
func (l *ledger) saw(before, v Version, content string) (stale bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read.good(time.Now())
	var n int
	switch {
	case v == l.version && content != l.content:
		return false, fmt.Errorf("%s: version %v is %q, and %q was acknowledged", l.key, v, content, l.content)
	case content == "":
	case !strings.HasPrefix(content, l.key+" write "):
		return false, fmt.Errorf("%s is %q", l.key, content)
	default:
		if _, err := fmt.Sscan(content[strings.LastIndex(content, " ")+1:], &n); err != nil || n < 1 || n > l.sent {
			return false, fmt.Errorf("%s is %q, which nobody wrote", l.key, content)
		}
	}
	return v.Compare(before) < 0, nil
}
