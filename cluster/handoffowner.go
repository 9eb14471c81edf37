package cluster

import (
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/ring"
)

// before returns who served a partition before this process became an owner of
// it: by the last view, by the present one if there was none.
func (c *core) before(p int, before *ring.Ring, starts map[string]uint64, now ring.Placement) []process {
	if c.founding {
		return nil
	}
	place := now
	if before != nil {
		place = before.Placement(p)
	} else {
		starts = c.starts
	}
	var prior []process
	for _, o := range place.All() {
		if o.ID() != c.self.id {
			prior = append(prior, process{o.ID(), starts[o.ID()]})
		}
	}
	slices.SortFunc(prior, process.compare)
	return prior
}

// begin makes this process an owner, one that owes what those before it had.
func (c *core) begin(pt *part, now time.Time) {
	wasWhole := pt.holds && len(pt.debts) == 0
	pt.asks = make(map[process]uint64)
	if pt.holds && !c.safe.noAsks {
		for _, o := range pt.owners {
			if o != c.self {
				pt.asks[o] = c.fences + 1
			}
		}
	}
	c.fences++
	pt.fence, pt.begun, pt.owner, pt.steady, pt.since = c.fences, c.fences, true, true, now
	pt.merged, pt.seen, pt.proof, pt.lost = make(map[process]uint64), make(map[process]report), nil, false
	pt.inquest, pt.suspicions = nil, nil
	pt.fails, pt.retry = 0, time.Time{}
	switch {
	case len(pt.prior) == 0 && c.founding:
		pt.complete = len(pt.debts) == 0
	case len(pt.prior) == 0:
		pt.complete = false
		if !pt.resumed {
			pt.owe(debt{owed: []process{{}}}) // to somebody, nobody knows whom
		}
	case c.safe.noDebts && wasWhole:
	default:
		pt.complete = false
		pt.owe(debt{owed: pt.prior})
	}
	pt.holds, pt.leftover, pt.paid, pt.resumed, pt.unrecorded = true, false, nil, false, true
}

// lose ends an ownership. What is held is held until each owner has it; but this
// process is not ready any more, whatever becomes of the ring.
func (c *core) lose(pt *part, now time.Time) {
	c.fences++
	pt.since, pt.unrecorded = now, true
	pt.fence, pt.owner, pt.complete, pt.vouched, pt.fenced = c.fences, false, false, nil, false
	pt.merged, pt.asks, pt.seen, pt.proof = nil, nil, make(map[process]report), nil
	pt.inquest, pt.suspicions = nil, nil
	pt.fails, pt.retry = 0, time.Time{}
	if pt.job != nil && !pt.job.release {
		c.out = append(c.out, handoffAction{cancel: pt.job.id})
	}
}

// unmissable reports whether no write can be acknowledged without this process.
func (c *core) unmissable(pt *part) bool {
	serves := slices.Contains(pt.owners[:pt.serving], c.self)
	return serves && pt.serving <= c.quorum || slices.Contains(pt.target, c.self) && len(pt.target) <= c.quorum
}
