package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/ring/option"
)

// Config holds the values that the members of a cluster must have in common to derive
// the same rings.
type Config struct {
	// PartitionCount is the number of partitions, 1 to [MaxPartitionCount]. It is fixed
	// for a cluster's life: with another count, keys belong to other partitions.
	PartitionCount int
	// ReplicationFactor is how many owners a partition should have, 1 to 16. With fewer
	// nodes, every node owns every partition, and [Ring.Spread] reports it.
	ReplicationFactor int
	// WriteQuorum is how many owners must acknowledge a write, 1 to ReplicationFactor.
	// [Placement.Token] covers both numbers, so that writers and readers with different
	// quorums have different tokens. WriteQuorum has no influence on placement. Zero
	// means that tokens cover neither number.
	WriteQuorum int
	// Strategy places partitions on nodes. Required.
	Strategy RebalanceStrategy
}

// Validate returns an [option.Error] for every field that is out of bounds, and a
// [StrategyError] when asking the strategy panics. A strategy may have a method
// Validate() error. Its error is part of the result, and the fields of its option
// errors get the prefix "Strategy.". All errors are joined.
func (c Config) Validate() error {
	_, err := c.validate()
	return err
}

// validate also returns the strategy's name. It asks for the name only once, so that
// the name that was checked is the name that is used.
func (c Config) validate() (name string, err error) {
	var errs []error
	if c.PartitionCount < 1 || c.PartitionCount > MaxPartitionCount {
		errs = append(errs, &option.Error{Field: "PartitionCount", Value: c.PartitionCount, Bound: fmt.Sprintf("between 1 and %d", MaxPartitionCount)})
	}
	if c.ReplicationFactor < 1 || c.ReplicationFactor > maxReplicationFactor {
		errs = append(errs, &option.Error{Field: "ReplicationFactor", Value: c.ReplicationFactor, Bound: fmt.Sprintf("between 1 and %d", maxReplicationFactor)})
	}
	if c.WriteQuorum < 0 || c.WriteQuorum > max(c.ReplicationFactor, 0) {
		errs = append(errs, &option.Error{Field: "WriteQuorum", Value: c.WriteQuorum, Bound: fmt.Sprintf("between 0 and %d, the replication factor", max(c.ReplicationFactor, 0))})
	}
	if c.Strategy == nil {
		errs = append(errs, &option.Error{Field: "Strategy", Bound: "set"})
		return "", errors.Join(errs...)
	}
	errs = append(errs, guard(fmt.Sprintf("%T", c.Strategy), "Name", func() error {
		if name = c.Strategy.Name(); !validName(name) {
			return &option.Error{Field: "Strategy.Name()", Value: name, Bound: fmt.Sprintf("1 to %d bytes of printable ASCII without spaces or commas", maxStrategyName)}
		}
		return nil
	}))
	if v, ok := c.Strategy.(interface{ Validate() error }); ok {
		errs = append(errs, option.Under("Strategy", guard(fmt.Sprintf("%T", c.Strategy), "Validate", v.Validate)))
	}
	return name, errors.Join(errs...)
}

func validName(name string) bool {
	return name != "" && len(name) <= maxStrategyName && !strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || c == ','
	})
}

// Build computes the ring of a set of nodes. The order of the nodes does not
// matter, and the slice is not kept. No nodes give an empty ring.
//
// It returns an error that wraps an [option.Error] for each field of the configuration or of a node that is out of
// bounds. It returns a [StrategyError] when the strategy fails, panics or fills an invalid table. It takes as long as
// the strategy does, and is safe for concurrent use.
func Build(c Config, nodes []Node) (*Ring, error) { return build(nil, c, nodes) }

// build computes a ring, from the table of the previous ring if that is possible.
func build(previous *Ring, c Config, nodes []Node) (*Ring, error) {
	name, err := c.validate()
	if _, invalid := errors.AsType[*option.Error](err); invalid {
		return nil, fmt.Errorf("ring: invalid configuration: %w", err)
	} else if err != nil {
		return nil, err // the error of the strategy's own check
	}
	sorted, err := normalize(nodes)
	if err != nil {
		return nil, err
	}
	r := &Ring{
		config:   c,
		strategy: name,
		nodes:    sorted,
		count:    uint64(c.PartitionCount),
		replicas: min(c.ReplicationFactor, len(sorted)),
		memo:     new(memo),
	}
	r.views = &views{ring: r}
	if len(sorted) == 0 {
		return r, nil
	}
	if r.sharesTable(previous) {
		r.owners, r.note = previous.owners, previous.note // neither ring modifies the shared slices
	} else if err := r.place(previous); err != nil {
		return nil, err
	}
	r.shown = r.owners
	r.zones, r.places = zonesOf(sorted)
	r.hashes = r.identities()
	r.print = r.fingerprint()
	return r, nil
}

// place fills the table.
func (r *Ring) place(previous *Ring) error {
	topology := r.topology()
	if derived, err := r.derive(previous, topology); derived || err != nil {
		return err
	}
	table := NewTable(topology)
	if err := r.assign(topology, table); err != nil {
		return err
	}
	// The strategy may have kept the table it was given; the ring must not
	// change with it.
	r.owners, r.note = slices.Clone(table.owners), *table.note
	return r.check(0, len(r.owners))
}

// topology returns the part of the ring that the strategy sees. The strategy may keep
// the slice of nodes.
func (r *Ring) topology() Topology {
	nodes := slices.Clone(r.nodes)
	for i := range nodes {
		nodes[i].Start = 0
	}
	return Topology{Nodes: nodes, PartitionCount: int(r.count), Replicas: r.replicas}
}

// identities returns, for each node, the hash that tokens combine. The hash covers the
// quorums too, so that a token needs no time for them.
func (r *Ring) identities() []uint64 {
	hashes := make([]uint64, len(r.nodes))
	for i, n := range r.nodes {
		h := xxhash.Sum64String(n.ID)
		if n.Start != 0 {
			h = mix(h ^ mix(n.Start))
		}
		if w := r.config.WriteQuorum; w != 0 {
			h = mix(h ^ mix(uint64(w)<<32|uint64(r.config.ReplicationFactor)))
		}
		hashes[i] = h
	}
	return hashes
}

// normalize returns the nodes sorted by ID and checked, as strategies expect them.
func normalize(nodes []Node) ([]Node, error) {
	if len(nodes) > MaxNodes {
		return nil, fmt.Errorf("ring: %w", &option.Error{Field: "len(nodes)", Value: len(nodes), Bound: fmt.Sprintf("at most %d", MaxNodes)})
	}
	sorted := sortByID(nodes)
	for i := range sorted {
		n := &sorted[i]
		if n.Weight == 0 {
			n.Weight = 1
		}
		if n.ID == "" {
			return nil, nodeError(n.ID, "ID", n.ID, "set")
		}
		if n.Weight < 1 || n.Weight > maxWeight {
			return nil, nodeError(n.ID, "Weight", n.Weight, fmt.Sprintf("between 1 and %d", maxWeight))
		}
		if i > 0 && sorted[i-1].ID == n.ID {
			return nil, nodeError(n.ID, "ID", n.ID, "unique")
		}
	}
	return sorted, nil
}

// sortByID returns the nodes in ascending order of ID. It sorts numbers, which is faster than to
// compare strings and to move nodes: for each node the six bytes that follow the beginning that
// all IDs share, and in the lowest two bytes its index. Nodes that have these six bytes in common
// are then sorted by their whole IDs.
func sortByID(nodes []Node) []Node {
	byID := func(a, b Node) int { return strings.Compare(a.ID, b.ID) }
	if slices.IsSortedFunc(nodes, byID) {
		return slices.Clone(nodes)
	}
	shared := len(nodes[0].ID)
	for i := range nodes {
		shared = min(shared, len(nodes[i].ID))
		for nodes[i].ID[:shared] != nodes[0].ID[:shared] {
			shared--
		}
	}
	order := make([]uint64, len(nodes))
	for i := range nodes {
		var part [8]byte
		copy(part[:6], nodes[i].ID[shared:])
		order[i] = binary.BigEndian.Uint64(part[:]) | uint64(i)
	}
	slices.Sort(order)
	sorted := make([]Node, len(nodes))
	first := 0 // the first of the nodes that have the six bytes in common
	for i, v := range order {
		sorted[i] = nodes[v&0xFFFF]
		if i+1 == len(order) || order[i+1]>>16 != v>>16 {
			slices.SortFunc(sorted[first:i+1], byID)
			first = i + 1
		}
	}
	return sorted
}

func nodeError(id, field string, value any, bound string) error {
	return fmt.Errorf("ring: node %q: %w", id, &option.Error{Field: field, Value: value, Bound: bound})
}

// guard runs a method of a strategy and turns a panic into an error.
func guard(strategy, method string, call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &StrategyError{Strategy: strategy, Partition: -1, Rule: method + " does not panic", Err: fmt.Errorf("panic: %v", v)}
		}
	}()
	return call()
}

// assign runs the strategy, and turns a failure or a panic into an error.
func (r *Ring) assign(topology Topology, table Table) error {
	return guard(r.strategy, "Assign", func() error {
		if err := r.config.Strategy.Assign(topology, table); err != nil {
			return &StrategyError{Strategy: r.strategy, Partition: -1, Rule: "Assign succeeds", Err: err}
		}
		return nil
	})
}

// check checks the rules of the table that every lookup relies on, for the rows in a range of slots.
func (r *Ring) check(from, to int) error {
	nodes, replicas := len(r.nodes), r.replicas
	for p, rest := from/replicas, r.owners[from:to]; len(rest) > 0; p, rest = p+1, rest[replicas:] {
		row := rest[:replicas]
		if replicas == 3 { // rows of one to three owners, the most frequent case
			a, b, c := row[0], row[1], row[2]
			if int(max(a, b, c)) < nodes && a != b && a != c && b != c {
				continue
			}
		}
		for i, owner := range row {
			if int(owner) >= nodes || slices.Contains(row[:i], owner) {
				return r.broken(p, row, i)
			}
		}
	}
	return nil
}

// broken returns the rule that the i-th owner of a row breaks.
func (r *Ring) broken(partition int, row []uint16, i int) error {
	e := &StrategyError{Strategy: r.strategy, Partition: partition}
	if owner := int(row[i]); owner >= len(r.nodes) {
		e.Rule, e.Err = "owners are nodes of the topology", fmt.Errorf("owner %d is index %d of %d nodes", i, owner, len(r.nodes))
	} else {
		e.Rule, e.Err = "owners are distinct", fmt.Errorf("node %q is listed twice", r.nodes[owner].ID)
	}
	return e
}
