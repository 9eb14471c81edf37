package route

import "sync/atomic"

// Stats count what a [Router] has done since it was made. A request that was sent more
// than once is counted among the attempts each time. It is a value.
type Stats struct {
	// ClusterName and Service say what the router routes.
	ClusterName, Service string

	// Answered counts attempts after which the handler ran here, or an answer came,
	// whatever its status.
	Answered Attempts
	// Refused counts attempts after which the member said that the key is another's.
	// Local are those of other routers that this member has refused.
	Refused Attempts
	// Unreachable counts attempts without a connection: nothing was sent.
	Unreachable Attempts
	// Broken counts attempts whose connection failed before an answer: the request
	// may have run.
	Broken Attempts
	// Canceled counts attempts during which the caller went away, or its deadline
	// passed.
	Canceled Attempts

	// Unkeyed counts requests that have no key.
	Unkeyed uint64
	// Retries counts attempts after the first of a request.
	Retries uint64
	// Hedges counts reads that were sent to a second owner while the first was slow.
	Hedges uint64
	// OverBudget counts requests that were not sent again because the budget for
	// that was spent.
	OverBudget uint64
	// GaveUp counts requests that the router has answered with 502, 503 or 504
	// because no owner did.
	GaveUp uint64
}

// Attempts count attempts by how far away the member is, the nearest first: this
// member itself, another one in the same region and zone, one in another zone of the
// same region, and one in another region. Traffic of the last two crosses zones.
type Attempts struct {
	Local, SameZone, SameRegion, Remote uint64
}

// outcome is what came of one attempt to have a request answered.
type outcome uint8

const (
	answered outcome = iota
	refused
	unreachable
	broken
	canceled
	outcomes // how many there are
)

func (r outcome) String() string {
	return [...]string{"answered", "refused", "unreachable", "broken", "canceled"}[r]
}

// relation says how far a member is from this one.
type relation uint8

const (
	local relation = iota
	sameZone
	sameRegion
	remote
	relations // how many there are
)

// counts are Stats that many goroutines write.
type counts struct {
	attempts   [outcomes][relations]atomic.Uint64
	unkeyed    atomic.Uint64
	retries    atomic.Uint64
	hedges     atomic.Uint64
	overBudget atomic.Uint64
	gaveUp     atomic.Uint64
}

func (c *counts) add(r outcome, at relation) { c.attempts[r][at].Add(1) }

func (c *counts) of(r outcome) Attempts {
	a := &c.attempts[r]
	return Attempts{Local: a[local].Load(), SameZone: a[sameZone].Load(), SameRegion: a[sameRegion].Load(), Remote: a[remote].Load()}
}

// Stats returns the counts so far. Each is exact; together they are of about the
// same moment. It does not block.
func (rt *Router) Stats() Stats {
	c := &rt.counts
	return Stats{
		ClusterName: rt.clusterName, Service: rt.options.Service,
		Answered: c.of(answered), Refused: c.of(refused), Unreachable: c.of(unreachable), Broken: c.of(broken), Canceled: c.of(canceled),
		Unkeyed: c.unkeyed.Load(), Retries: c.retries.Load(), Hedges: c.hedges.Load(), OverBudget: c.overBudget.Load(), GaveUp: c.gaveUp.Load(),
	}
}
