package route

import (
	"sync/atomic"

	"github.com/clusterkit/clusterkit/transport/internal/tally"
)

// Stats are the counts of a [Router] since it was made. Each attempt of a request that
// was sent more than once is counted.
type Stats struct {
	// ClusterName and Service say which router this is.
	ClusterName, Service string

	// Answered counts attempts for which the handler ran here, or an answer came, with
	// any status.
	Answered Attempts
	// Refused counts attempts that the member refused because it does not own the key.
	// Refused.Local counts the requests of other routers that this member has refused.
	Refused Attempts
	// Unreachable counts attempts for which no connection could be made: nothing was
	// sent.
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
	// OverBudget counts requests that were not sent again because the retry budget had
	// no token.
	OverBudget uint64
	// Crowded counts attempts for which no connection was free in time, because too many
	// requests to the member were under way. They count as Unreachable too. Only a
	// client.Pool in Options.Transport tells it.
	Crowded uint64
	// GaveUp counts requests that the router has answered with 502, 503 or 504 because
	// no owner answered.
	GaveUp uint64
}

// Attempts are counts of attempts by the distance of the member, the nearest first:
// this member itself, another member in the same region and zone, a member in another
// zone of the same region, and a member in another region. Traffic of the last two
// crosses zones.
type Attempts struct {
	Local, SameZone, SameRegion, Remote uint64
}

// counts are Stats that any number of goroutines may increase.
type counts struct {
	attempts   tally.Counts
	unkeyed    atomic.Uint64
	retries    atomic.Uint64
	hedges     atomic.Uint64
	overBudget atomic.Uint64
	crowded    atomic.Uint64
	gaveUp     atomic.Uint64
}

func (c *counts) of(o tally.Outcome) Attempts { return Attempts(c.attempts.Of(o)) }

// Stats returns the counts so far. Each is exact. They are read one after the other, so
// they may be of slightly different moments. It does not block.
func (rt *Router) Stats() Stats { return rt.stats() }

func (e *engine) stats() Stats {
	c := &e.counts
	return Stats{
		ClusterName: e.clusterName, Service: e.options.Service,
		Answered: c.of(tally.Answered), Refused: c.of(tally.Refused), Unreachable: c.of(tally.Unreachable), Broken: c.of(tally.Broken), Canceled: c.of(tally.Canceled),
		Unkeyed: c.unkeyed.Load(), Retries: c.retries.Load(), Hedges: c.hedges.Load(), OverBudget: c.overBudget.Load(), Crowded: c.crowded.Load(), GaveUp: c.gaveUp.Load(),
	}
}
