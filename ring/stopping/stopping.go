// Package stopping tells a strategy that its table is no longer needed.
//
// It is for the packages of this module, and may change in any release.
package stopping

import (
	"errors"

	"github.com/clusterkit/clusterkit/ring"
)

// Strategy is a strategy whose [ring.Topology.Stop] is a given function. It has the name of the strategy
// within, and gives the same tables.
type Strategy struct {
	ring.RebalanceStrategy
	// Stop reports whether the table is no longer needed. It must be set. It is called from any goroutine.
	Stop func() bool
}

func (s Strategy) stops(t ring.Topology) ring.Topology {
	t.Stop = s.Stop
	return t
}

// Assign implements [ring.RebalanceStrategy].
func (s Strategy) Assign(t ring.Topology, table ring.Table) error {
	if s.Stop() {
		return errors.New("the table is no longer needed")
	}
	return s.RebalanceStrategy.Assign(s.stops(t), table)
}

// Derive implements [ring.Deriver] where the strategy does.
func (s Strategy) Derive(from, to ring.Topology, table ring.Table) bool {
	d, ok := s.RebalanceStrategy.(ring.Deriver)
	return ok && d.Derive(from, s.stops(to), table)
}
