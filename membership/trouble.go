package membership

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// The kinds of trouble. Each is the code of a problem in the health of package cluster.
const (
	troubleDiscovery = "discovery"           // discovery, or the lookup of a name, fails
	troubleNoSeed    = "no-seed-reached"     // this member is alone, and no address led to another member
	troubleRefused   = "refused"             // a member or a seed and this member refuse each other
	troubleUnreached = "unreachable-address" // no other member reaches the address that this one announces
	troubleConflict  = "address-conflict"    // another member announces the address of this one
	troubleNoPackets = "udp-blocked"         // packets of other members do not arrive, their streams do
	troubleNoStreams = "tcp-blocked"         // streams of other members do not arrive, their packets do
	troublePair      = "pair-blocked"        // a member and this one do not reach each other directly, and others reach both
	troubleDead      = "declared-dead"       // others declared this member dead, and it waits before it owns again
	troubleForged    = "forged-news"         // gossip announces a process that does not answer, in the place of one that does, or deaths that nobody has missed
	troubleFlaps     = "flapping"            // a process is declared dead and comes back, again and again
)

// troubleKinds are all kinds of trouble.
var troubleKinds = [...]string{
	troubleDiscovery, troubleNoSeed, troubleRefused, troubleUnreached, troubleConflict, troubleNoPackets, troubleNoStreams,
	troublePair, troubleDead, troubleForged, troubleFlaps,
}

const (
	// troubleQuiet is how long a trouble is remembered after it is over. A trouble that comes back
	// within that time is counted. It is not logged again before it has lasted for troubleQuiet.
	troubleQuiet = 10 * time.Minute
	// maxTroubles bounds how many troubles are kept.
	maxTroubles = 256
)

// trouble is one problem of gossip that this process knows.
type trouble struct {
	// Kind is the code of the problem in health.
	Kind string
	// Subject is the NodeID or the address of the other side. It may be empty.
	Subject string
	// Message says what is wrong, and why.
	Message string
}

// troubles keeps the problems of gossip. It logs a trouble once when it appears, and once when it
// is over. It is safe for concurrent use.
//
// The log is written without the lock: its handler may ask for the problems, and may block. One goroutine writes at
// a time, so that lines are in order. list never writes.
type troubles struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	all     map[troubleKey]troubleRecord
	lines   []func() // to be written
	writing bool     // a goroutine writes lines
}

// line adds a line to write. The caller holds the lock.
func (t *troubles) line(write func()) {
	if len(t.lines) < maxTroubles { // otherwise the log blocks
		t.lines = append(t.lines, write)
	}
}

// unlock releases the lock, and writes the lines unless another goroutine does.
func (t *troubles) unlock() {
	defer t.mu.Unlock()
	if t.writing {
		return
	}
	t.writing = true
	defer func() { t.writing = false }()
	for len(t.lines) > 0 {
		lines := t.lines
		t.lines = nil
		t.write(lines)
	}
}

// write writes lines without the lock, which the caller holds.
func (t *troubles) write(lines []func()) {
	t.mu.Unlock()
	defer t.mu.Lock()
	for _, line := range lines {
		line()
	}
}

// troubleKey identifies a trouble.
type troubleKey struct{ kind, subject string }

// troubleRecord is the record of a trouble. It is kept for some time after the trouble is over.
type troubleRecord struct {
	reason  string // the reason in the latest report
	message string
	since   time.Time
	last    time.Time // when the trouble was last reported
	until   time.Time // when the trouble ended; zero while it lasts
	expires time.Time // when the trouble ends unless it is reported again; zero: never
	said    bool      // the log has a line that the trouble appeared
	held    int       // the number of reports since the last line in the log
}

// set reports a trouble. It logs a trouble that is new or has a new reason. The trouble is over
// when it is not reported again within lasts. Zero means that it lasts until clear ends it.
func (t *troubles) set(kind, subject, reason, message string, lasts time.Duration) {
	t.mu.Lock()
	defer t.unlock()
	now := t.now()
	t.expire(now)
	key := troubleKey{kind, subject}
	r, known := t.all[key]
	if !known && len(t.all) >= maxTroubles {
		return
	}
	if !known || !r.until.IsZero() {
		r.since = now
	}
	if !known || r.reason != reason || !r.said && now.Sub(r.since) >= troubleQuiet {
		attrs := attributes(subject, r.held)
		t.line(func() {
			t.log.With("problem", kind).With(attrs...).Warn("a problem appeared", "message", message)
		})
		r.said, r.held = true, -1
	}
	r.reason, r.message, r.last, r.until, r.expires = reason, message, now, time.Time{}, time.Time{}
	if lasts > 0 {
		r.expires = now.Add(lasts)
	}
	r.held++
	if t.all == nil {
		t.all = make(map[troubleKey]troubleRecord)
	}
	t.all[key] = r
}

// clear ends a trouble, if there is one with this kind and subject.
func (t *troubles) clear(kind, subject string) {
	t.mu.Lock()
	defer t.unlock()
	now := t.now()
	t.expire(now)
	key := troubleKey{kind, subject}
	if r, known := t.all[key]; known && r.until.IsZero() {
		t.end(key, r, now)
	}
}

// end ends a trouble that lasts, and logs that if the trouble was logged. The caller holds the
// lock.
func (t *troubles) end(key troubleKey, r troubleRecord, now time.Time) {
	if r.said {
		attrs, lasted := attributes(key.subject, r.held), now.Sub(r.since).Round(time.Millisecond)
		t.line(func() {
			t.log.With("problem", key.kind).With(attrs...).Info("a problem is over", "lasted", lasted)
		})
	}
	r.said, r.until = false, now
	t.all[key] = r
}

// expire ends the troubles that were not reported again in time, and deletes the records of those
// that ended troubleQuiet ago. The caller holds the lock.
func (t *troubles) expire(now time.Time) {
	for key, r := range t.all {
		switch {
		case r.until.IsZero() && !r.expires.IsZero() && !now.Before(r.expires):
			t.end(key, r, now)
		case !r.until.IsZero() && now.Sub(r.until) >= troubleQuiet:
			delete(t.all, key)
		}
	}
}

// has reports whether there is a trouble of a kind.
func (t *troubles) has(kind string) bool {
	t.mu.Lock()
	defer t.unlock()
	t.expire(t.now())
	for key, r := range t.all {
		if key.kind == kind && r.until.IsZero() {
			return true
		}
	}
	return false
}

// older returns the subjects of the troubles of a kind whose last report is older than age.
func (t *troubles) older(kind string, age time.Duration) (subjects []string) {
	t.mu.Lock()
	defer t.unlock()
	now := t.now()
	for key, r := range t.all {
		if key.kind == kind && r.until.IsZero() && now.Sub(r.last) > age {
			subjects = append(subjects, key.subject)
		}
	}
	return subjects
}

// attributes returns the log attributes that only some lines have: the subject, and the number of
// repeats.
func attributes(subject string, held int) []any {
	var attrs []any
	if subject != "" {
		attrs = append(attrs, "subject", subject)
	}
	if held > 0 {
		attrs = append(attrs, "repeated", held)
	}
	return attrs
}

// list returns the troubles that exist now, ascending by kind and subject. What is over is logged later: a log that
// blocks does not hold up a look at health.
func (t *troubles) list() []trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(t.now())
	var found []trouble
	for _, key := range slices.SortedFunc(maps.Keys(t.all), func(a, b troubleKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject))
	}) {
		if r := t.all[key]; r.until.IsZero() {
			found = append(found, trouble{Kind: key.kind, Subject: key.subject, Message: r.message})
		}
	}
	return found
}

// repeats remembers which lines were logged lately. A cause that persists then has one line in
// each period of length every, and a count of the lines held back. It is safe for concurrent use.
type repeats struct {
	every time.Duration

	mu   sync.Mutex
	seen map[string]repeated
}

type repeated struct {
	said time.Time
	held int // lines held back since said
}

// maxRepeats bounds how many lines are remembered.
const maxRepeats = 512

// say reports whether a line with this key is to be logged now. If it is, say also returns how
// many such lines were held back since the last one.
func (r *repeats) say(key string, now time.Time) (ok bool, held int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, known := r.seen[key]
	if known && now.Sub(last.said) < r.every {
		last.held++
		r.seen[key] = last
		return false, 0
	}
	if r.seen == nil {
		r.seen = make(map[string]repeated)
	}
	if !known && len(r.seen) >= maxRepeats {
		maps.DeleteFunc(r.seen, func(_ string, one repeated) bool { return now.Sub(one.said) >= r.every })
		if len(r.seen) >= maxRepeats {
			clear(r.seen) // repeated lines are better than unbounded memory
		}
	}
	r.seen[key] = repeated{said: now}
	return true, last.held
}
