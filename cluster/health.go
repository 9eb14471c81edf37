package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// ErrNoRing says that this member has no ring to answer from yet.
var ErrNoRing = errors.New("cluster: no ring yet")

// Health is how this member is, and why. It is a value, taken at one moment.
type Health struct {
	// Node is this member's NodeID, State what it announces.
	Node  string
	State membership.State
	// Ready says whether this member should be sent requests. It is about
	// this process alone: that others are gone or differ does not make it
	// unready.
	Ready bool
	// Healthy is false while there is any problem.
	Healthy bool
	// Problems are what is wrong, those that make the member unready first.
	Problems []Problem
	// Members counts the members believed alive.
	Members int
	// Spread is how well the ring meets what replication asks for.
	Spread ring.Spread
	// Agreed says that every member believed alive has been seen to hold this
	// member's view; Differing names those that have not.
	Agreed    bool
	Differing []membership.Differing
	// Fingerprint is the view's.
	Fingerprint ring.Fingerprint
	// Configuration names the replication factor and strategy in use.
	Configuration string
	// LastSync is when the list of members was last exchanged in full with
	// another member; zero when never.
	LastSync time.Time
}

// Problem is one thing that is wrong.
type Problem struct {
	// Code says what, for programs; it is one of the Problem constants.
	Code string
	// Message says what, for people, and what to do about it.
	Message string
	// Unready says that this member is not ready because of it.
	Unready bool
	// Critical says that somebody should look now: the member is on the smaller
	// side of a split, as far as can be known, or data may be gone or in one place
	// alone. Other problems mean less than full health. It changes nothing that the
	// member does.
	Critical bool
}

// Codes of problems. Those before ProblemStrategy make a member unready.
const (
	// ProblemNotStarted: Start has not been called, or has not succeeded.
	ProblemNotStarted = "not-started"
	// ProblemLeaving: the member is leaving or has been stopped.
	ProblemLeaving = "leaving"
	// ProblemSuperseded: a newer start of this NodeID speaks for it.
	ProblemSuperseded = "superseded"
	// ProblemConfiguration: this member cannot run the configuration in use.
	ProblemConfiguration = "configuration"
	// ProblemIsolated: most of the members believed alive do not answer.
	ProblemIsolated = "isolated"
	// ProblemJoining: the member does not own anything yet.
	ProblemJoining = "joining"
	// ProblemMinMembers: too few members are there to begin.
	ProblemMinMembers = "min-members"
	// ProblemNoRing: nobody owns anything yet.
	ProblemNoRing = "no-ring"

	// ProblemStrategy: the strategy failed; lookups answer from the last ring.
	ProblemStrategy = "strategy"
	// ProblemDuplicate: another live process has this NodeID.
	ProblemDuplicate = "duplicate"
	// ProblemDisagreement: some members hold another view, for a while now.
	ProblemDisagreement = "disagreement"
	// ProblemUnderReplicated: there are fewer members than replicas.
	ProblemUnderReplicated = "under-replicated"
	// ProblemZones: some partitions span fewer zones than they could.
	ProblemZones = "zones"
	// ProblemExpectedMembers: there are fewer members than expected.
	ProblemExpectedMembers = "expected-members"
	// ProblemMinority: at most half of the expected members are there. The
	// others may be on the other side of a partition.
	ProblemMinority = "minority"
	// ProblemPossibleLoss: so many owners of a partition lost their state that
	// an acknowledged write may be gone.
	ProblemPossibleLoss = "possible-loss"
	// ProblemNotHandedOver: this member is draining or leaving, and nobody else
	// is there to take over what it has.
	ProblemNotHandedOver = "not-handed-over"
	// ProblemHandoffOverdue: partitions have been on their way for long.
	ProblemHandoffOverdue = "handoff-overdue"
)

const (
	// disagreementGrace is how long a view may be news before those who
	// differ are a problem.
	disagreementGrace = 10 * time.Second
	// duplicateGrace is how long a second start of our NodeID may be a
	// process that is gone and not yet noticed.
	duplicateGrace = 20 * time.Second
)

// Health returns how this member is now. It does not block, and costs a few
// microseconds for each member that has not confirmed the view.
func (c *Cluster) Health() Health {
	v := c.view.Load()
	self := c.members.Local()
	agreement := c.members.Agreement()
	h := Health{
		Node:          self.ID,
		State:         self.State,
		Members:       len(v.Members),
		Spread:        v.Spread,
		Agreed:        agreement.Complete,
		Differing:     agreement.Differing,
		Fingerprint:   v.Fingerprint,
		Configuration: v.Configuration,
		LastSync:      c.members.LastSync(),
	}
	c.readiness(&h, v, self)
	c.quality(&h, v, self, agreement)
	c.moving(&h, v)
	h.Healthy = len(h.Problems) == 0
	h.Ready = !slices.ContainsFunc(h.Problems, func(p Problem) bool { return p.Unready })
	return h
}

// critical reports whether a problem is one to look at now.
func critical(code string) bool {
	switch code {
	case ProblemIsolated, ProblemMinority, ProblemPossibleLoss, ProblemNotHandedOver:
		return true
	}
	return false
}

// readiness finds what makes this member unready.
func (c *Cluster) readiness(h *Health, v *published, self membership.Member) {
	unready := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, Problem{Code: code, Message: fmt.Sprintf(format, args...), Unready: true, Critical: critical(code)})
	}
	started := c.check()
	switch {
	case c.leaving.Load() || started == nil && self.State == membership.Leaving:
		unready(ProblemLeaving, "this member is leaving the cluster")
	case errors.Is(started, ErrNotStarted):
		unready(ProblemNotStarted, "this member has not joined yet")
	case started != nil:
		unready(ProblemNotStarted, "starting failed: %v", started)
	}
	if rivals := c.members.Rivals(); len(rivals) > 0 && rivals[0].Start.Compare(self.Start) > 0 {
		unready(ProblemSuperseded, "another process of NodeID %q, started later, speaks for it from %v: this one owns nothing; stop one of the two",
			self.ID, rivals[0].Addr)
	}
	if _, capable := c.settings.configs[v.Configuration]; !capable && v.Configuration != "" {
		unready(ProblemConfiguration, "the cluster runs %q, this member can run %q: start it with that configuration accepted",
			v.Configuration, self.Configurations)
	}
	if c.members.Isolated() {
		unready(ProblemIsolated, "most of %d members do not answer: this one seems cut off", len(v.Members)-1)
	}
	if c.waitsForMembers() && c.present(v) < c.settings.MinMembers {
		unready(ProblemMinMembers, "%d of %d members are here that it takes to begin: start the others, or set BootstrapAlone",
			c.present(v), c.settings.MinMembers)
	}
	if self.State == membership.Joining && len(h.Problems) == 0 {
		if n := c.Handoff().Receiving; n > 0 {
			unready(ProblemJoining, "this member owns nothing yet: it has %d partitions to receive", n)
		} else {
			unready(ProblemJoining, "this member does not own anything yet")
		}
	}
	if v.Ring.Len() == 0 && len(h.Problems) == 0 {
		unready(ProblemNoRing, "no member owns anything yet")
	}
}

// quality finds what is wrong though this member is ready.
func (c *Cluster) quality(h *Health, v *published, self membership.Member, agreement membership.Agreement) {
	degraded := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, Problem{Code: code, Message: fmt.Sprintf(format, args...), Critical: critical(code)})
	}
	if v.Failure != nil {
		degraded(ProblemStrategy, "lookups answer from the last ring: %v", v.Failure)
	}
	for _, rival := range c.members.Rivals() {
		if rival.Start.Compare(self.Start) < 0 && time.Since(agreement.Since) > duplicateGrace {
			degraded(ProblemDuplicate, "another process of NodeID %q runs at %v: it owns nothing; stop one of the two", self.ID, rival.Addr)
			break
		}
	}
	if len(agreement.Differing) > 0 && time.Since(agreement.Since) > disagreementGrace {
		degraded(ProblemDisagreement, "%d of %d members do not confirm this view: %s",
			len(agreement.Differing), len(v.Members), differing(agreement.Differing))
	}
	if n := h.Spread.UnderReplicated; n > 0 {
		degraded(ProblemUnderReplicated, "%d partitions have %d of %d replicas: there are too few members",
			n, v.Ring.Replicas(), v.Ring.Config().ReplicationFactor)
	}
	if n := h.Spread.ZoneViolations; n > 0 {
		degraded(ProblemZones, "%d partitions span fewer zones than they could: the strategy does not spread them", n)
	}
}

// moving finds what is wrong with handoff, and with the number of members.
func (c *Cluster) moving(h *Health, v *published) {
	degraded := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, Problem{Code: code, Message: fmt.Sprintf(format, args...), Critical: critical(code)})
	}
	switch here, expected := c.present(v), c.settings.ExpectedMembers; {
	case !c.settled.Load() || here >= expected:
	case 2*here <= expected:
		degraded(ProblemMinority, "%d of %d expected members are here: the others are down, or on the other side of a partition", here, expected)
	default:
		degraded(ProblemExpectedMembers, "%d of %d expected members are here", here, expected)
	}
	handoff := c.Handoff()
	if n := len(handoff.Lost); n > 0 {
		degraded(ProblemPossibleLoss, "%d partitions, the first of them %d, lost so many owners that acknowledged writes may be gone: "+
			"bring those back, or accept the loss", n, handoff.Lost[0])
	}
	if handoff.Kept > 0 {
		degraded(ProblemNotHandedOver, "%d partitions have nobody to go to, and what is in them is here alone: start another member, or give it up with Stop",
			handoff.Kept)
	}
	if handoff.Overdue > 0 {
		degraded(ProblemHandoffOverdue, "%d partitions have been moving for more than %v; %d calls failed so far",
			handoff.Overdue, c.settings.HandoffOptions.OverdueAfter, handoff.Failed)
	}
}

// differing names a few members that differ, with their reasons.
func differing(members []membership.Differing) string {
	const most = 5
	var parts []string
	for _, d := range members[:min(len(members), most)] {
		parts = append(parts, fmt.Sprintf("%s %s", d.ID, d.Reason))
	}
	if len(members) > most {
		parts = append(parts, fmt.Sprintf("and %d more", len(members)-most))
	}
	return strings.Join(parts, "; ")
}

// checkHealth tells subscribers when health has changed in kind.
func (c *Cluster) checkHealth() {
	now := c.Health()
	before := c.health.Swap(&now)
	if before.Ready == now.Ready && slices.EqualFunc(before.Problems, now.Problems,
		func(a, b Problem) bool { return a.Code == b.Code }) {
		return
	}
	c.events.add(Event{Kind: HealthChanged, At: time.Now(), Health: &HealthChange{Before: *before, After: now}})
	c.changed.signal()
}
