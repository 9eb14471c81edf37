package view

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/usercode"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/stopping"
)

// Builder derives views, each from the one before it. It asks no strategy for a table
// that the view before has. It is not safe for concurrent use.
type Builder struct {
	// Configurations are the configurations that this process has, by [Configuration.Name].
	Configurations map[string]Configuration
	// Self is the ID of the member whose [View.Holding] is counted.
	Self string
	// Stop tells strategies that the view is no longer needed: see [ring.Topology.Stop]. The view that
	// is derived then must not be used. Nil means that it is needed.
	Stop func() bool

	// made is the configuration of the last ring, kept because asking a strategy for
	// its name may panic.
	made  string
	asked int
}

// Asked returns the number of tables that strategies were asked for so far.
func (b *Builder) Asked() int { return b.asked }

// Derive returns the view of a list of members, ascending by ID. It keeps the list. The
// previous view only saves work, and does not change the result, with one exception: when
// the strategy fails, the new view has the previous ring and the failure. Under a
// configuration that is not among Configurations the ring is empty. Derive takes as long as
// the strategy does.
func (b *Builder) Derive(members []membership.Member, previous *View) *View {
	v := &View{Members: members, Configuration: chooseConfiguration(members), Ring: previous.Ring}
	config, ok := b.Configurations[v.Configuration]
	serving, target := owners(members, v.Configuration, config.WriteQuorum > 0)
	if ok || len(serving)+len(target) == 0 {
		v.Ring, v.Failure = b.build(v.Configuration, serving, target, previous.Ring)
	} else {
		v.Ring = &ring.Ring{}
	}
	if v.Failure != nil {
		v.Ring = previous.Ring
	}
	v.Spread, v.Misfit, v.Yields, v.Holding = previous.Spread, previous.Misfit, previous.Yields, previous.Holding
	if v.Ring != previous.Ring {
		v.Spread, v.Misfit, v.Yields, v.Holding = v.Ring.Spread(), misfit(v.Ring), yields(v.Ring), holdingOf(v.Ring, b.Self)
	}
	v.Fingerprint = fingerprint(v)
	return v
}

// misfit returns why the ring's strategy places its nodes otherwise than it is meant to.
func misfit(r *ring.Ring) error {
	if s, ok := r.Config().Strategy.(interface{ Fits(ring.Topology) error }); ok {
		return ask(r, "Fits", s.Fits)
	}
	return nil
}

// yields returns why the ring's strategy places partitions in fewer zones than possible.
func yields(r *ring.Ring) error {
	if s, ok := r.Config().Strategy.(interface{ Yields(ring.Topology) error }); ok {
		return ask(r, "Yields", s.Yields)
	}
	return nil
}

// ask calls a method of the ring's strategy with the topology of the ring, unless the ring is
// empty.
func ask(r *ring.Ring, name string, method func(ring.Topology) error) error {
	if r.Len() == 0 {
		return nil
	}
	return contain("method "+name, func() error {
		return method(ring.Topology{Nodes: r.Nodes(), PartitionCount: r.PartitionCount(), Replicas: r.Replicas()})
	})
}

// contain calls the user's strategy. The error says which call did not return.
func contain(what string, call func() error) error {
	err := usercode.Await(call)
	if _, ok := errors.AsType[*usercode.Error](err); ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// rebuild is [ring.Rebuild], contained.
func (b *Builder) rebuild(configuration string, previous *ring.Ring, nodes []ring.Node) (r *ring.Ring, err error) {
	err = contain(fmt.Sprintf("the strategy of %q", configuration), func() (err error) {
		config := b.Configurations[configuration].Config
		if b.Stop == nil {
			r, err = ring.Rebuild(previous, config, nodes)
			return err
		}
		if err := config.Validate(); err != nil {
			return err // names the strategy within
		}
		told := config
		told.Strategy = stopping.Strategy{RebalanceStrategy: config.Strategy, Stop: b.Stop}
		if r, err = ring.Rebuild(previous, told, nodes); err != nil {
			return err
		}
		r, err = ring.Rebuild(r, config, nodes) // shares the table
		return err
	})
	return r, err
}

func (b *Builder) build(configuration string, serving, target []ring.Node, previous *ring.Ring) (*ring.Ring, error) {
	if len(serving) == 0 && len(target) == 0 {
		return &ring.Ring{}, nil
	}
	now, err := b.table(configuration, serving, previous)
	if err != nil {
		return nil, err
	}
	next := now
	if !slices.Equal(serving, target) {
		if next, err = b.table(configuration, target, previous.Target()); err != nil {
			return nil, err
		}
	}
	paired, err := now.Toward(next)
	if err != nil {
		return nil, err
	}
	b.made = configuration
	if same(paired, previous) && same(paired.Target(), previous.Target()) {
		return previous, nil
	}
	return paired, nil
}

// same reports whether two rings give equal answers, with equal tokens.
func same(a, b *ring.Ring) bool {
	return a.Fingerprint() == b.Fingerprint() && slices.Equal(a.Nodes(), b.Nodes())
}

// table returns the ring of some nodes: the previous ring or its target if that is the one,
// or a new ring. A strategy may derive its table from the previous one; the result is the
// same as without. No strategy is asked where only the starts of members differ.
func (b *Builder) table(configuration string, nodes []ring.Node, previous *ring.Ring) (*ring.Ring, error) {
	if b.made == configuration {
		for _, r := range []*ring.Ring{previous, previous.Target()} {
			switch had := r.Nodes(); {
			case len(had) == 0:
			case slices.Equal(had, nodes):
				return r, nil
			case slices.EqualFunc(had, nodes, sameButForStart):
				return b.rebuild(configuration, r, nodes)
			}
		}
	}
	b.asked++
	return b.rebuild(configuration, previous, nodes)
}

func sameButForStart(a, b ring.Node) bool {
	a.Start = b.Start
	return a == b
}
