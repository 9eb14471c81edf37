package membership

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// The kinds of trouble. They are the codes of problems in the health of package cluster.
const (
	troubleDiscovery = "discovery"           // discovery, or the look-up of a name, fails
	troubleNoSeed    = "no-seed-reached"     // this member is alone, and no address led to another member
	troubleRefused   = "refused"             // a member or a seed and this member refuse each other
	troubleUnreached = "unreachable-address" // no other member reaches the address that this one announces
	troubleConflict  = "address-conflict"    // another member announces the address of this one
	troubleNoPackets = "udp-blocked"         // packets of other members do not arrive, their streams do
	troubleNoStreams = "tcp-blocked"         // streams of other members do not arrive, their packets do
	troubleFlaps     = "flapping"            // a process that was taken for dead comes back, again and again
)

const (
	// troubleQuiet is how long a trouble that is over is remembered. When it comes back within
	// that time it is counted, and not logged again.
	troubleQuiet = 10 * time.Minute
	// maxTroubles bounds how many troubles are kept.
	maxTroubles = 256
)

// trouble is something that is wrong with gossip, as far as this process knows.
type trouble struct {
	// Kind is the code of the problem in health.
	Kind string
	// Subject is the NodeID or the address of the other side. It may be empty.
	Subject string
	// Message says what is wrong, and why.
	Message string
}

// troubles keeps what is wrong. It logs a trouble once when it appears, and once when it is over.
// It is safe for concurrent use and never blocks for long.
type troubles struct {
	log *slog.Logger
	now func() time.Time

	mu  sync.Mutex
	all map[troubleKey]troubleRecord
}

// troubleKey is a kind and a subject.
type troubleKey struct{ kind, subject string }

// troubleRecord is what is remembered of a trouble, also after it is over.
type troubleRecord struct {
	reason  string // the line in the log was for this reason
	message string
	since   time.Time
	last    time.Time // when it was last reported
	until   time.Time // of one that is over: when it ended; zero while it lasts
	expires time.Time // when it is over without another report; zero: never
	said    bool
	held    int // how often it was reported since then without a line
}

// set reports a trouble. The log has a line for each reason of it. One that is not reported again
// within lasts is over; zero means that it lasts until clear.
func (t *troubles) set(kind, subject, reason, message string, lasts time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
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
		t.log.With("problem", kind).With(attributes(subject, r.held)...).Warn("a problem appeared", "message", message)
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

// clear says that a trouble is over, if there is one.
func (t *troubles) clear(kind, subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.expire(now)
	key := troubleKey{kind, subject}
	if r, known := t.all[key]; known && r.until.IsZero() {
		t.end(key, r, now)
	}
}

// end ends a trouble that lasts. The lock is held.
func (t *troubles) end(key troubleKey, r troubleRecord, now time.Time) {
	if r.said {
		t.log.With("problem", key.kind).With(attributes(key.subject, r.held)...).Info("a problem is over",
			"lasted", now.Sub(r.since).Round(time.Millisecond))
	}
	r.said, r.until = false, now
	t.all[key] = r
}

// expire ends the troubles that were not reported again, and forgets those that are over for long.
// The lock is held.
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

// older returns the subjects of the troubles of a kind that were last reported a while ago.
func (t *troubles) older(kind string, age time.Duration) (subjects []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for key, r := range t.all {
		if key.kind == kind && r.until.IsZero() && now.Sub(r.last) > age {
			subjects = append(subjects, key.subject)
		}
	}
	return subjects
}

// attributes are those that not every line has.
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

// list returns what is wrong now, ascending by kind and subject.
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

// repeats says which lines the log has had lately, so that a cause that persists has one line in
// a while, and a count. It is safe for concurrent use.
type repeats struct {
	every time.Duration

	mu   sync.Mutex
	seen map[string]repeated
}

type repeated struct {
	said time.Time
	held int // lines held back since
}

// maxRepeats bounds how many lines are remembered.
const maxRepeats = 512

// say reports whether the line of a key is to be logged now, and how many were held back since
// the last one.
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
			clear(r.seen) // a line too many is better than memory without an end
		}
	}
	r.seen[key] = repeated{said: now}
	return true, last.held
}
