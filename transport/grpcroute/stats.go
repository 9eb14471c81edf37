package grpcroute

import (
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/route"
)

// outcome is the result of one attempt.
type outcome uint8

const (
	answered outcome = iota
	refused
	unreachable
	broken
	canceled
	outcomes // the number of outcomes
)

// relation is the distance of a member from this one.
type relation uint8

const (
	local relation = iota
	sameZone
	sameRegion
	remote
	relations // the number of relations
)

// relationTo returns the distance of a member from a region and zone.
func relationTo(region, zone string, m *membership.Member) relation {
	switch {
	case m.Region != region:
		return remote
	case m.Zone != zone:
		return sameRegion
	default:
		return sameZone
	}
}

// counts are the counts of a router. Any number of goroutines may increase them.
type counts struct {
	attempts                             [outcomes][relations]atomic.Uint64
	unkeyed, retries, overBudget, gaveUp atomic.Uint64
}

func (c *counts) of(o outcome) route.Attempts {
	a := &c.attempts[o]
	return route.Attempts{Local: a[local].Load(), SameZone: a[sameZone].Load(), SameRegion: a[sameRegion].Load(), Remote: a[remote].Load()}
}

// Stats returns the counts of this router's server and clients since it was made. Local in
// Answered and Refused counts the calls of routers that this server has let run and has
// refused. The rest are attempts of clients, and a stream counts at its end. A call that was
// answered with any status counts as answered. Hedges and Crowded are zero. Each count is
// exact. They are read one after the other, so they may be of slightly different moments.
// Stats does not block. transport.NewRouterCollector makes metrics of it.
func (r *Router) Stats() route.Stats {
	c := &r.counts
	return route.Stats{
		ClusterName: r.clusterName, Service: r.options.Service,
		Answered: c.of(answered), Refused: c.of(refused), Unreachable: c.of(unreachable), Broken: c.of(broken), Canceled: c.of(canceled),
		Unkeyed: c.unkeyed.Load(), Retries: c.retries.Load(), OverBudget: c.overBudget.Load(), GaveUp: c.gaveUp.Load(),
	}
}

// outcome judges the result of an attempt.
func (c *call) outcome(result *balancer.DoneInfo) outcome {
	code := status.Code(result.Err)
	switch {
	case result.Err == nil:
		return answered
	case isRefusal(result, c.number):
		return refused
	case c.Err() != nil || code == codes.Canceled:
		return canceled
	case code != codes.Unavailable || result.BytesReceived:
		return answered
	case !result.BytesSent:
		return unreachable
	default:
		return broken
	}
}
