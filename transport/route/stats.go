package transport

import (
	"fmt"
	"sync/atomic"
)

// Relation says how far a member is from this one.
type Relation uint8

// The relations, nearest first. Traffic of the last two crosses zones.
const (
	// Local is this member itself.
	Local Relation = iota
	// SameZone is another member in the same region and zone.
	SameZone
	// SameRegion is a member in another zone of the same region.
	SameRegion
	// Remote is a member in another region.
	Remote
	// Relations is how many there are.
	Relations
)

// String returns the name, such as "same-zone".
func (r Relation) String() string {
	if r >= Relations {
		return fmt.Sprintf("Relation(%d)", uint8(r))
	}
	return [...]string{"local", "same-zone", "same-region", "remote"}[r]
}

// Result is what came of one attempt to have a request answered.
type Result uint8

// The results.
const (
	// Answered: the handler ran here, or an answer came, whatever its status.
	Answered Result = iota
	// Refused: the member says that the key is another's. For [Local] this
	// member has said so to another.
	Refused
	// Unreachable: no connection could be made; nothing was sent.
	Unreachable
	// Broken: the connection failed before an answer; the request may have
	// run.
	Broken
	// Canceled: the caller has gone, or its deadline has passed.
	Canceled
	// Results is how many there are.
	Results
)

// String returns the name, such as "unreachable".
func (r Result) String() string {
	if r >= Results {
		return fmt.Sprintf("Result(%d)", uint8(r))
	}
	return [...]string{"answered", "refused", "unreachable", "broken", "canceled"}[r]
}

// RouterStats count what a [Router] has done since it was made. A request that
// was sent more than once is counted among the attempts each time.
type RouterStats struct {
	// Attempts counts attempts by what came of them and how far they went.
	Attempts [Results][Relations]uint64
	// Unkeyed counts requests that have no key.
	Unkeyed uint64
	// Retries counts attempts after the first of a request.
	Retries uint64
	// OverBudget counts requests that were not sent again because the
	// [RetryBudget] was spent.
	OverBudget uint64
	// GaveUp counts requests that the router has answered with 502, 503 or
	// 504 because no owner did.
	GaveUp uint64
}

// Of returns the number of attempts with a result, over all relations.
func (s RouterStats) Of(result Result) (n uint64) {
	for _, count := range s.Attempts[result] {
		n += count
	}
	return n
}

// CrossZone returns how many requests were answered in another zone.
func (s RouterStats) CrossZone() uint64 {
	return s.Attempts[Answered][SameRegion] + s.Attempts[Answered][Remote]
}

// counts are RouterStats that many goroutines write.
type counts struct {
	attempts   [Results][Relations]atomic.Uint64
	unkeyed    atomic.Uint64
	retries    atomic.Uint64
	overBudget atomic.Uint64
	gaveUp     atomic.Uint64
}

func (c *counts) add(result Result, relation Relation) { c.attempts[result][relation].Add(1) }

// Stats returns the counts so far. Each is exact; together they are of about the
// same moment.
func (rt *Router) Stats() RouterStats {
	s := RouterStats{
		Unkeyed: rt.counts.unkeyed.Load(), Retries: rt.counts.retries.Load(),
		OverBudget: rt.counts.overBudget.Load(), GaveUp: rt.counts.gaveUp.Load(),
	}
	for result := range s.Attempts {
		for relation := range s.Attempts[result] {
			s.Attempts[result][relation] = rt.counts.attempts[result][relation].Load()
		}
	}
	return s
}
