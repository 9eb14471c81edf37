package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/hostport"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

// settings are checked options, with their defaults filled in.
type settings struct {
	Options
	membership membership.Options
	configs    map[string]view.Configuration // by the name that members gossip
	journal    *journalState                 // nil without one
}

// parse fills in the defaults and checks every bound. Each check covers one group of options;
// the paths in its errors are those of the fields of Options.
func (o Options) parse() (settings, error) {
	s := settings{Options: o.withDefaults(), configs: make(map[string]view.Configuration)}
	names, err := s.checkConfigurations()
	return s, errors.Join(err, s.checkSeeds(), s.checkHTTP(), s.checkBootstrap(), s.checkHandoff(), s.checkMembership(names))
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.HTTP.Server.Logger = cmp.Or(o.HTTP.Server.Logger, o.Logger)
	o.HTTP.Guard.Logger = cmp.Or(o.HTTP.Guard.Logger, o.Logger)
	o.HTTP.Handler.Logger = cmp.Or(o.HTTP.Handler.Logger, o.Logger)
	o.PartitionCount = cmp.Or(o.PartitionCount, 4096)
	o.ReplicationFactor = cmp.Or(o.ReplicationFactor, 3)
	if o.Strategy == nil {
		o.Strategy = rebalance.Balanced{}
	}
	o.Bootstrap.Timeout = cmp.Or(o.Bootstrap.Timeout, 5*time.Second)
	if expected := o.Bootstrap.ExpectedMembers; expected > 0 && o.Bootstrap.MinMembers == 0 {
		o.Bootstrap.MinMembers = expected/2 + 1
	}
	if !o.Handoff.Off {
		o.Handoff.WriteQuorum = cmp.Or(o.Handoff.WriteQuorum, o.ReplicationFactor/2+1)
	}
	o.Handoff.Parallel = cmp.Or(o.Handoff.Parallel, 8)
	o.Handoff.RetryAfter = cmp.Or(o.Handoff.RetryAfter, 250*time.Millisecond)
	o.Handoff.CallLimit = cmp.Or(o.Handoff.CallLimit, 10*time.Minute)
	o.Handoff.OverdueAfter = cmp.Or(o.Handoff.OverdueAfter, time.Minute)
	return o
}

// checkConfigurations collects the configurations, and returns their names, the preferred one
// last. The partition count is common to all of them, and is reported once.
func (s *settings) checkConfigurations() (names []string, err error) {
	var errs []error
	if n := len(s.AlsoRuns); n >= membership.MaxConfigurations {
		errs = append(errs, &option.Error{Field: "AlsoRuns", Value: n, Bound: fmt.Sprintf("at most %d configurations", membership.MaxConfigurations-1)})
	}
	all := append(slices.Clone(s.AlsoRuns), Configuration{ReplicationFactor: s.ReplicationFactor, Strategy: s.Strategy, HandoffOff: s.Handoff.Off})
	if s.Handoff.Mover != nil {
		all[len(s.AlsoRuns)].WriteQuorum = s.Handoff.WriteQuorum // checkHandoff checks it
	}
	place := make(map[string]int) // the index of a name in all
	for i, c := range all {
		main := i == len(s.AlsoRuns)
		config := view.Configuration{Config: ring.Config{
			PartitionCount: s.PartitionCount, ReplicationFactor: cmp.Or(c.ReplicationFactor, 3), Strategy: c.Strategy,
		}}
		var quorum error
		writes := 0
		switch {
		case c.HandoffOff && c.WriteQuorum != 0:
			quorum = &option.Error{Field: "WriteQuorum", Value: c.WriteQuorum, Bound: "zero with HandoffOff"}
		case s.Handoff.Mover != nil && !c.HandoffOff:
			writes = cmp.Or(c.WriteQuorum, config.ReplicationFactor/2+1)
			quorum = between("WriteQuorum", writes, 1, max(config.ReplicationFactor, 1))
		case c.WriteQuorum != 0:
			quorum = &option.Error{Field: "WriteQuorum", Value: c.WriteQuorum, Bound: "zero without Handoff.Mover"}
		}
		if config.Strategy == nil {
			config.Strategy = rebalance.Balanced{}
		}
		if !main && !s.countable() {
			config.PartitionCount = 1
		}
		err := soundness(config.Config)
		if !main {
			err = option.Under(fmt.Sprintf("AlsoRuns[%d]", i), errors.Join(err, quorum))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		config.WriteQuorum = writes
		name := config.Name()
		if first, twice := place[name]; twice {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("AlsoRuns[%d]", first), Value: name, Bound: "a configuration that is not listed twice"})
			continue
		}
		place[name], s.configs[name] = i, config
		names = append(names, name)
	}
	return names, errors.Join(errs...)
}

// countable reports whether the partition count is within its bounds.
func (s *settings) countable() bool {
	return s.PartitionCount >= 1 && s.PartitionCount <= ring.MaxPartitionCount
}

// soundness returns the error of a configuration. An error of the strategy becomes an error of
// the option Strategy.
func soundness(c ring.Config) error {
	all := option.All(c.Validate())
	errs := make([]error, 0, len(all))
	for _, err := range all {
		if _, ours := errors.AsType[*option.Error](err); !ours {
			err = &option.Error{Field: "Strategy", Value: fmt.Sprintf("%T", c.Strategy), Bound: "sound: " + err.Error()}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *settings) checkSeeds() error {
	var errs []error
	for i, seed := range s.Seeds {
		if _, err := hostport.Parse(seed); err != nil {
			errs = append(errs, &option.Error{Field: fmt.Sprintf("Seeds[%d]", i), Value: seed, Bound: "host:port or host"})
		}
	}
	return errors.Join(errs...)
}

func (s *settings) checkBootstrap() error {
	b := s.Bootstrap
	return option.Under("Bootstrap", errors.Join(
		between("Timeout", b.Timeout, 0, time.Hour),
		between("MinMembers", b.MinMembers, 0, ring.MaxNodes),
		between("ExpectedMembers", b.ExpectedMembers, 0, ring.MaxNodes),
	))
}

func (s *settings) checkHandoff() error {
	h := s.Handoff
	var alone error
	quorum := between("WriteQuorum", h.WriteQuorum, 1, max(s.ReplicationFactor, 1))
	if h.Off {
		quorum = nil
		if h.WriteQuorum != 0 {
			quorum = &option.Error{Field: "WriteQuorum", Value: h.WriteQuorum, Bound: "zero with Off"}
		}
	}
	if h.Journal != nil && h.Mover == nil {
		alone = &option.Error{Field: "Mover", Value: nil, Bound: "set where Journal is"}
	}
	const week = 7 * 24 * time.Hour
	var exposed error
	if h.Mover != nil && len(s.Gossip.Keys) == 0 && !s.Gossip.TrustedNetwork {
		exposed = &option.Error{Field: "Gossip.Keys", Value: nil, Bound: "set with Handoff.Mover, or Gossip.TrustedNetwork set where strangers cannot reach the gossip port: a stranger could make members delete data"}
	}
	return errors.Join(exposed, option.Under("Handoff", errors.Join(
		alone,
		quorum,
		between("Parallel", h.Parallel, 1, 1024),
		between("RetryAfter", h.RetryAfter, time.Millisecond, time.Hour),
		between("CallLimit", h.CallLimit, time.Millisecond, week),
		between("OverdueAfter", h.OverdueAfter, time.Millisecond, week),
	)))
}

// checkMembership fills in the options of membership, whose fields have the same paths as in
// Options. Values that were checked before are replaced by values within bounds, so that no
// error is reported twice.
func (s *settings) checkMembership(names []string) error {
	discovery := membership.Static(s.Seeds...)
	if s.Discovery != nil {
		discovery = membership.Join(discovery, s.Discovery)
	}
	s.membership = membership.Options{
		ClusterName: s.ClusterName, NodeID: s.NodeID,
		GossipAddr: s.GossipAddr, HTTPAddr: s.expectedHTTPAddr(),
		Region: s.Region, Zone: s.Zone, Weight: s.Weight,
		Services: s.Services, Metadata: s.Metadata, Version: s.Version,
		PartitionCount: s.PartitionCount, Configurations: names, RestartGrace: s.RestartGrace, ZoneGrace: s.ZoneGrace,
		Discovery: discovery, BootstrapTimeout: s.Bootstrap.Timeout,
		Gossip: s.Gossip, Logger: s.Logger,
	}
	checked := s.membership
	if !s.countable() {
		checked.PartitionCount = 1
	}
	if len(names) == 0 || len(names) > membership.MaxConfigurations {
		checked.Configurations = []string{"invalid"}
	}
	if s.checkBootstrap() != nil {
		checked.BootstrapTimeout = 0
	}
	if s.checkSeeds() != nil {
		checked.Discovery = s.Discovery
	}
	if s.checkAdvertised() != nil {
		checked.HTTPAddr = ""
	}
	return checked.Validate()
}

// between returns an error unless a value lies within its bounds.
func between[T ~int | ~int64](field string, value, least, most T) error {
	if value >= least && value <= most {
		return nil
	}
	return &option.Error{Field: field, Value: value, Bound: fmt.Sprintf("between %v and %v", least, most)}
}
