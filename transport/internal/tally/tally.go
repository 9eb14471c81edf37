// Package tally counts the attempts of routers to send a request, by their outcome and by the
// distance of the member.
package tally

import "sync/atomic"

// Outcome is the result of one attempt.
type Outcome uint8

// The outcomes of an attempt.
const (
	Answered Outcome = iota
	Refused
	Unreachable
	Broken
	Canceled
	outcomes // the number of outcomes
)

func (o Outcome) String() string {
	return [...]string{"answered", "refused", "unreachable", "broken", "canceled"}[o]
}

// Relation is the distance of a member from this one.
type Relation uint8

// The relations of a member to this one.
const (
	Local Relation = iota
	SameZone
	SameRegion
	Remote
	relations // the number of relations
)

// RelationOf returns the relation of another member to the member of a region and zone.
func RelationOf(region, zone, otherRegion, otherZone string) Relation {
	switch {
	case region != otherRegion:
		return Remote
	case zone != otherZone:
		return SameRegion
	default:
		return SameZone
	}
}

// Attempts are counts of attempts by the relation of the member.
type Attempts struct {
	Local, SameZone, SameRegion, Remote uint64
}

// Counts counts attempts. The zero value has counted none. It is safe for concurrent use.
type Counts [outcomes][relations]atomic.Uint64

// Add counts an attempt.
func (c *Counts) Add(o Outcome, at Relation) { c[o][at].Add(1) }

// Of returns the counts of attempts with an outcome.
func (c *Counts) Of(o Outcome) Attempts {
	a := &c[o]
	return Attempts{Local: a[Local].Load(), SameZone: a[SameZone].Load(), SameRegion: a[SameRegion].Load(), Remote: a[Remote].Load()}
}
