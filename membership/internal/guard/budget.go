package guard

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// A guard has two budgets: one for the addresses of known members, and one that all other senders
// share. Each bounds the number of streams and the bytes of messages that are not processed yet. A
// new stream is admitted in a full budget too: it takes the place of the stream that has waited
// longest for the rest of its message. An honest message is complete within milliseconds, so it is
// rarely the one that waits longest.

var (
	errOverBudget = errors.New("too many bytes of messages wait at a time")
	errEvicted    = errors.New("closed to make room for other streams")
)

// answerPatience is how long a stream whose message is complete keeps its place in a full budget.
const answerPatience = time.Second

// maxAnswers is how many messages of unknown senders memberlist answers at a time. memberlist serves 127 exchanges
// at a time, of members and of others. An exchange lasts until the other side has read the whole answer.
const maxAnswers = 64

// budget bounds what the streams of one class of senders hold.
type budget struct {
	maxStreams, maxPerSource, maxBytes int
	maxAnswers                         int           // streams whose message is complete; 0: as many as there are streams
	maxWait                            time.Duration // until more is read from a network

	mu      sync.Mutex
	bytes   int
	charges map[*charge]struct{}
	next    uint64                 // numbers the charges
	paces   map[netip.Prefix]*pace // by network; nil: all is read at once
	counted time.Time              // when paces was last searched for networks to forget
}

func newBudget(o Options, maxBytes int) budget {
	return budget{
		maxStreams: o.MaxStreams, maxPerSource: o.MaxPerSource, maxBytes: maxBytes, maxWait: o.HeadTimeout,
		charges: make(map[*charge]struct{}),
	}
}

// charge is what one stream holds of a budget. The lock of the budget guards the fields that
// change.
type charge struct {
	budget *budget
	source netip.Prefix // not valid when the transport has no addresses
	dialed bool         // this member has opened the stream; it does not count as a stream
	began  time.Time
	close  func()        // closes the stream; it may be called at any time
	ended  chan struct{} // closed when the charge has ended; nil for a dialed stream
	read   int           // bytes that count for the pace of the network; only the goroutine that reads uses it

	number  uint64
	bytes   int
	whole   bool // the message is complete
	evicted bool
}

// full says which limit a stream exceeded.
type full uint8

const (
	fullNot full = iota
	fullTotal
	fullSource
)

// admit adds the charge of a new stream. At a limit it closes another stream, or does not admit
// the new one when none may be closed. It returns the limit.
func (b *budget) admit(c *charge) (admitted bool, limit full) {
	b.mu.Lock()
	limit = b.limit(c)
	var victim *charge
	switch limit {
	case fullSource:
		victim = b.oldest(func(other *charge) bool { return other.source == c.source })
	case fullTotal:
		victim = b.oldest(b.largest(func(other *charge) int {
			if other.dialed {
				return 0
			}
			return 1
		}))
	}
	admitted = limit == fullNot || victim != nil
	if victim != nil {
		b.evict(victim)
	}
	if admitted {
		b.next++
		c.number = b.next
		b.charges[c] = struct{}{}
	}
	b.mu.Unlock()
	if victim != nil {
		victim.close()
	}
	return admitted, limit
}

// limit returns the limit that one more stream would exceed. The caller holds the lock.
func (b *budget) limit(c *charge) full {
	if c.dialed {
		return fullNot
	}
	total, source := 0, 0
	for other := range b.charges {
		if other.dialed {
			continue
		}
		total++
		if c.source.IsValid() && other.source == c.source {
			source++
		}
	}
	switch {
	case source >= b.maxPerSource:
		return fullSource
	case total >= b.maxStreams:
		return fullTotal
	}
	return fullNot
}

// largest reports of a stream whether it belongs to a network whose streams have the largest sum of
// a value. The caller holds the lock.
func (b *budget) largest(value func(*charge) int) func(*charge) bool {
	sums := make(map[netip.Prefix]int)
	most := 0
	for c := range b.charges {
		sums[c.source] += value(c)
		most = max(most, sums[c.source])
	}
	return func(c *charge) bool { return sums[c.source] == most }
}

// oldest returns the stream to close first, or nil if none may be closed. That is the stream that
// has waited longest for its message, otherwise the oldest stream whose answer takes long. The
// caller holds the lock.
func (b *budget) oldest(may func(*charge) bool) *charge {
	var waiting, answering *charge
	for c := range b.charges {
		switch {
		case c.dialed || !may(c):
		case !c.whole && (waiting == nil || c.number < waiting.number):
			waiting = c
		case c.whole && time.Since(c.began) > answerPatience && (answering == nil || c.number < answering.number):
			answering = c
		}
	}
	if waiting != nil {
		return waiting
	}
	return answering
}

// evict removes a charge. The caller holds the lock, and closes the stream afterwards.
func (b *budget) evict(c *charge) {
	c.evicted = true
	b.remove(c)
}

func (b *budget) remove(c *charge) {
	if _, ok := b.charges[c]; ok {
		if c.ended != nil {
			close(c.ended)
		}
		delete(b.charges, c)
		b.bytes -= c.bytes
		c.bytes = 0
	}
}

// release ends a charge. Further calls have no effect.
func (c *charge) release() {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	c.budget.remove(c)
}

// complete records that the message is complete. Beyond maxAnswers it closes the oldest of the complete streams of the
// network that has the most.
func (c *charge) complete() {
	if victim := c.budget.complete(c); victim != nil {
		victim.close()
	}
}

func (b *budget) complete(c *charge) (victim *charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.whole = true
	if b.maxAnswers == 0 {
		return nil
	}
	answers := 0
	count := func(c *charge) int {
		if c.whole {
			return 1
		}
		return 0
	}
	may := b.largest(count)
	for other := range b.charges {
		answers += count(other)
		if other.whole && may(other) && (victim == nil || other.number < victim.number) {
			victim = other
		}
	}
	if answers <= b.maxAnswers {
		return nil
	}
	b.evict(victim)
	return victim
}

// isEvicted reports whether the stream was closed to make room for another one.
func (c *charge) isEvicted() bool {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.evicted
}

// grow adds bytes to a charge. While the budget is full, it closes the stream with the most bytes
// of the network with the most bytes. It returns an error when that is this stream.
func (c *charge) grow(n int) error {
	b := c.budget
	var victims []*charge
	defer func() {
		for _, victim := range victims {
			victim.close()
		}
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, held := b.charges[c]; !held {
		return errEvicted
	}
	c.bytes += n
	b.bytes += n
	for b.bytes > b.maxBytes {
		victim := b.heaviest()
		if victim == nil || victim == c {
			b.remove(c)
			return errOverBudget
		}
		b.evict(victim)
		victims = append(victims, victim)
	}
	return nil
}

// heaviest returns the stream that holds the most bytes of those that wait for their message, in
// the network that holds the most, or else in any. The caller holds the lock.
func (b *budget) heaviest() *charge {
	var heaviest, other *charge
	may := b.largest(func(c *charge) int { return c.bytes })
	for c := range b.charges {
		switch {
		case c.whole:
		case may(c) && (heaviest == nil || c.bytes > heaviest.bytes):
			heaviest = c
		case other == nil || c.bytes > other.bytes:
			other = c
		}
	}
	if heaviest != nil {
		return heaviest
	}
	return other
}
