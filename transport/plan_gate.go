package transport

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/stopping"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	// maxPlans is how many plans are computed or wait, and maxPlansPerClient how many of
	// one client.
	maxPlans, maxPlansPerClient = 16, 4
	// maxPlanWait is how long a plan waits for others, and maxPlanTime how long it is
	// computed. Together they are less than the time that a server has for an answer.
	maxPlanWait, maxPlanTime = 10 * time.Second, 30 * time.Second
)

// planGate lets one plan be computed at a time, and few wait. A plan takes about as much
// time as a new ring, and the other processors are left for lookups.
type planGate struct {
	places budget
	slot   chan struct{}
}

func newPlanGate() planGate { return planGate{slot: make(chan struct{}, 1)} }

// enter waits for the slot. The caller must call leave after the plan. The error is a
// refusal.
func (g *planGate) enter(ctx context.Context, client netip.Prefix) (leave func(), err error) {
	if !g.places.take(client, 1, maxPlansPerClient, maxPlans) {
		p := wire.New(wire.TooManyWaiting, http.StatusServiceUnavailable, "%d plans, or %d of this client, are computed or wait here already: ask another member, or try again", maxPlans, maxPlansPerClient)
		p.Bound = maxPlans
		return nil, p
	}
	limit := time.NewTimer(maxPlanWait)
	defer limit.Stop()
	select {
	case g.slot <- struct{}{}:
		return func() {
			<-g.slot
			g.places.give(client, 1)
		}, nil
	case <-limit.C:
		err = wire.New(wire.TooManyWaiting, http.StatusServiceUnavailable, "the plan has waited %v for other plans: ask another member, or try again", maxPlanWait)
	case <-ctx.Done():
		err = errPlanEnded()
	}
	g.places.give(client, 1)
	return nil, err
}

// errPlanTooLong refuses a plan that has taken maxPlanTime.
func errPlanTooLong() error {
	return wire.New(wire.PlanTooLarge, http.StatusRequestEntityTooLarge, "the plan takes longer than %v: compute it with package rebalance", maxPlanTime)
}

func errPlanEnded() error {
	return wire.New(wire.Blank, http.StatusServiceUnavailable, "the request ended before its plan was complete")
}

// stoppable returns the ring with a strategy that stops when a context ends. It shares
// the ring's table.
func stoppable(ctx context.Context, r *ring.Ring) (*ring.Ring, error) {
	config := r.Config()
	config.Strategy = stopping.Strategy{RebalanceStrategy: config.Strategy, Stop: func() bool { return ctx.Err() != nil }}
	return ring.Rebuild(r, config, r.Nodes())
}

// tooCostly refuses a plan that is larger than a bound, by an estimate of its cost.
func tooCostly(r *ring.Ring, change rebalance.Change, bound int64) error {
	cost := int64(r.PartitionCount()) * int64(r.Len()+len(change.Add))
	if cost <= bound {
		return nil
	}
	p := wire.New(wire.PlanTooLarge, http.StatusRequestEntityTooLarge, "%d partitions times %d members is %d: at most %d", r.PartitionCount(), r.Len()+len(change.Add), cost, bound)
	p.Bound = bound
	return p
}
