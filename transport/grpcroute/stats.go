package grpcroute

import (
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/route"
)

// counts are the counts of a router. Any number of goroutines may increase them.
type counts struct {
	attempts                             tally.Counts
	unkeyed, retries, overBudget, gaveUp atomic.Uint64
	hedges                               atomic.Uint64
}

func (c *counts) of(o tally.Outcome) route.Attempts { return route.Attempts(c.attempts.Of(o)) }

// Stats returns the counts of this router's server and clients since it was made. Local in
// Answered and Refused counts the calls of routers that this server has let run and has
// refused. The rest are attempts of clients, and a stream counts at its end. A call that was
// answered with any status counts as answered. Crowded is zero. Each count is
// exact. They are read one after the other, so they may be of slightly different moments.
// Stats does not block. transport.NewRouterCollector makes metrics of it.
func (r *Router) Stats() route.Stats {
	c := &r.counts
	return route.Stats{
		ClusterName: r.clusterName, Service: r.options.Service,
		Answered: c.of(tally.Answered), Refused: c.of(tally.Refused), Unreachable: c.of(tally.Unreachable), Broken: c.of(tally.Broken), Canceled: c.of(tally.Canceled),
		Unkeyed: c.unkeyed.Load(), Retries: c.retries.Load(), Hedges: c.hedges.Load(), OverBudget: c.overBudget.Load(), GaveUp: c.gaveUp.Load(),
	}
}

// outcome judges the result of an attempt.
func (c *call) outcome(result *balancer.DoneInfo) tally.Outcome {
	code := status.Code(result.Err)
	switch {
	case result.Err == nil:
		return tally.Answered
	case isRefusal(result.Trailer, c.number):
		return tally.Refused
	case c.Err() != nil || code == codes.Canceled:
		return tally.Canceled
	case code != codes.Unavailable || result.BytesReceived:
		return tally.Answered
	case !result.BytesSent:
		return tally.Unreachable
	default:
		return tally.Broken
	}
}
