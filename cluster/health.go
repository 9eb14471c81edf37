package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
)

// ErrNoRing says that this member has no ring yet: it has not joined, or no member owns
// partitions.
var ErrNoRing = errors.New("cluster: no ring yet")

// Health says whether this member is ready, and lists its problems. It is the document
// of GET /v1/health.
type Health = api.Health

// The codes of the problems that members are away and have left, and that no owner of a zone answers
// while its members keep their places.
const (
	problemAway     = "member-away"
	problemZoneLost = "zone-lost"
)

const (
	// disagreementGrace is the age of a view from which members that do not confirm it
	// are a problem.
	disagreementGrace = 10 * time.Second
	// duplicateGrace is how long another start of our NodeID is not a problem: it may
	// be a process that is gone, which no member has noticed yet.
	duplicateGrace = 20 * time.Second
	// strategyGrace is how long the strategy may compute a table before that is a problem.
	strategyGrace = 10 * time.Second
)

// Health returns whether this member is ready now, and its problems. It does not block,
// and takes a few microseconds for each member that has not confirmed the view.
func (c *Cluster) Health() Health {
	v := c.view.Load()
	self := c.members.Local()
	agreement := c.agreement()
	h := Health{
		ClusterName:     c.settings.ClusterName,
		NodeID:          self.ID,
		State:           self.State.String(),
		Members:         len(v.Members),
		UnderReplicated: v.Spread.UnderReplicated,
		ZoneViolations:  v.Spread.ZoneViolations,
		Agreed:          agreement.complete,
		Differing:       agreement.differing,
		Fingerprint:     v.Fingerprint,
		Configuration:   v.Configuration,
		LastSync:        membership.Drive(c.members).LastSync(),
	}
	c.readiness(&h, v, self)
	c.quality(&h, v, self, agreement)
	c.moving(&h, v)
	h.Problems = append(h.Problems, c.gossiping()...)
	c.observing(&h, self)
	slices.SortStableFunc(h.Problems, func(a, b api.Problem) int {
		if a.Unready == b.Unready {
			return 0
		}
		if a.Unready {
			return -1
		}
		return 1
	})
	h.Healthy = len(h.Problems) == 0
	h.Ready = !slices.ContainsFunc(h.Problems, func(p api.Problem) bool { return p.Unready })
	return h
}

// critical reports whether a person should look at a problem now.
func critical(code string) bool {
	switch code {
	case api.ProblemIsolated, api.ProblemMinority, api.ProblemPossibleLoss, api.ProblemNotHandedOver, problemZoneLost:
		return true
	}
	return false
}

// ownsIn reports whether a member owns by a view. A view is published a moment after the member has
// changed its state. A member that the view does not have counts as one that owns.
func ownsIn(v *published, id string) bool {
	m, here := v.Member(id)
	return !here || m.State == membership.Active || m.State == membership.Draining
}

// readiness adds the problems that make this member unready.
func (c *Cluster) readiness(h *Health, v *published, self membership.Member) {
	unready := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, api.Problem{Code: code, Message: fmt.Sprintf(format, args...), Unready: true, Critical: critical(code)})
	}
	started := c.check()
	switch {
	case c.leaving.Load() || started == nil && self.State == membership.Leaving:
		unready(api.ProblemLeaving, "this member is leaving the cluster")
	case errors.Is(started, ErrNotStarted):
		unready(api.ProblemNotStarted, "this member has not joined yet")
	case started != nil:
		unready(api.ProblemNotStarted, "starting failed: %v", started)
	}
	if rivals := membership.Drive(c.members).Rivals(); len(rivals) > 0 && rivals[0].Start.Compare(self.Start) > 0 {
		unready(api.ProblemSuperseded, "a later process of NodeID %q, at %v, has replaced this one: this process owns nothing; stop one of the two",
			self.ID, rivals[0].Addr)
	}
	if _, capable := c.settings.configs[v.Configuration]; !capable && v.Configuration != "" {
		unready(api.ProblemConfiguration, "the cluster runs %q, this member can run %q: start it with that configuration in AlsoRuns",
			v.Configuration, self.Configurations)
	}
	if membership.Drive(c.members).Isolated() {
		unready(api.ProblemIsolated, "most of %d members do not answer: this one seems to be cut off", len(v.Members)-1)
	}
	switch waits := c.waitsForMembers(); {
	case waits && c.settings.Bootstrap.MinMembers > 0:
		unready(api.ProblemMinMembers, "%d of %d members that are needed to begin are here: start the others, or set Bootstrap.Alone",
			c.present(v), c.settings.Bootstrap.MinMembers)
	case waits && len(v.Members) == 1:
		unready(api.ProblemMinMembers, "this member is alone, and does not begin a cluster with a handoff beside one that it may not reach: "+
			"start the others, correct Seeds or Discovery, or set Bootstrap.MinMembers, to 1 where this member is to begin alone")
	}
	if c.founding.Load() && c.owning(v) < c.settings.Bootstrap.MinMembers {
		unready(api.ProblemMinMembers, "%d of %d members that are needed to begin own partitions: the others are receiving", c.owning(v), c.settings.Bootstrap.MinMembers)
	}
	if (self.State == membership.Joining || self.State == membership.Active && !ownsIn(v, self.ID)) && len(h.Problems) == 0 {
		if n := c.Handoff().State().Receiving; n > 0 {
			unready(api.ProblemJoining, "this member owns nothing yet: it has %d partitions to receive", n)
		} else {
			unready(api.ProblemJoining, "this member does not own anything yet")
		}
	}
	if v.Ring.Len() == 0 && len(h.Problems) == 0 {
		unready(api.ProblemNoRing, "no member owns anything yet")
	}
}

// observing adds the problem that this member has stepped back and observes, unless another problem
// says why it is not ready. The reason for the step may be over before the member owns again.
func (c *Cluster) observing(h *Health, self membership.Member) {
	if self.State != membership.Observer || c.settings.Observer || slices.ContainsFunc(h.Problems, func(p api.Problem) bool { return p.Unready }) {
		return
	}
	h.Problems = append(h.Problems, api.Problem{
		Code: api.ProblemJoining, Unready: true,
		Message: "this member does not own anything: it stepped back, and observes until other members have reached it for some time",
	})
}

// quality adds the problems that leave this member ready.
func (c *Cluster) quality(h *Health, v *published, self membership.Member, agreement agreement) {
	degraded := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, api.Problem{Code: code, Message: fmt.Sprintf(format, args...), Critical: critical(code)})
	}
	if v.Failure != nil {
		degraded(api.ProblemStrategy, "lookups answer from the last ring: %v", v.Failure)
	} else if begun := c.deriving.Load(); begun != nil && time.Since(*begun) > strategyGrace {
		degraded(api.ProblemStrategy, "lookups answer from the last ring: the strategy has been computing a table for %v", time.Since(*begun).Round(time.Second))
	}
	if v.Misfit != nil {
		degraded(api.ProblemMisfit, "the members do not meet the conditions of %s: %v", v.Configuration, v.Misfit)
	}
	for _, rival := range membership.Drive(c.members).Rivals() {
		if rival.Start.Compare(self.Start) < 0 && time.Since(agreement.since) > duplicateGrace {
			degraded(api.ProblemDuplicate, "another process of NodeID %q runs at %v: it owns nothing; stop one of the two", self.ID, rival.Addr)
			break
		}
	}
	if len(agreement.differing) > 0 && time.Since(agreement.since) > disagreementGrace {
		degraded(api.ProblemDisagreement, "%d of %d members do not confirm this view: %s",
			len(agreement.differing), len(v.Members), describe(h.Differing))
	}
	if n := h.UnderReplicated; n > 0 {
		degraded(api.ProblemUnderReplicated, "%d partitions have %d of %d replicas: there are too few members",
			n, v.Ring.Replicas(), v.Ring.Config().ReplicationFactor)
	}
	if n := h.ZoneViolations; n > 0 && v.Yields != nil {
		degraded(api.ProblemZones, "%d partitions span fewer zones than they could: %v", n, v.Yields)
	} else if n > 0 {
		degraded(api.ProblemZones, "%d partitions span fewer zones than they could: the strategy does not spread them", n)
	} else if n := v.Spread.RegionViolations; n > 0 && v.Yields != nil {
		degraded(api.ProblemZones, "%d partitions span fewer regions than they could: %v", n, v.Yields)
	}
}

// moving adds the problems of handoff, and of the number of members.
func (c *Cluster) moving(h *Health, v *published) {
	degraded := func(code, format string, args ...any) {
		h.Problems = append(h.Problems, api.Problem{Code: code, Message: fmt.Sprintf(format, args...), Critical: critical(code)})
	}
	lost, kept := v.lostZones()
	switch here, expected := c.present(v)-kept, c.settings.Bootstrap.ExpectedMembers; {
	case !c.settled.Load() || here >= expected:
	case 2*here <= expected:
		degraded(api.ProblemMinority, "%d of %d expected members are here: the others are down, or on the other side of a split network", here, expected)
	default:
		degraded(api.ProblemExpectedMembers, "%d of %d expected members are here", here, expected)
	}
	var away []string
	for _, m := range v.Members {
		if _, with := lost[placeOf(m)]; view.Gone(m) && !with {
			away = append(away, fmt.Sprintf("%s until %s", m.ID, m.Until.UTC().Format(time.RFC3339)))
		}
	}
	if len(away) > 0 {
		degraded(problemAway, "%d members are away, keep their partitions and do not answer: %s", len(away), few(away))
	}
	if len(lost) > 0 {
		degraded(problemZoneLost, "%d members keep their partitions and do not answer, because their zones are lost; other members take over when they do not come back: %s",
			kept, describeLost(lost))
	}
	handoff := c.Handoff().State()
	if n := len(handoff.Lost); n > 0 {
		degraded(api.ProblemPossibleLoss, "%d partitions, the first of them %d, may have lost acknowledged writes, because too many of their owners are gone: "+
			"bring the owners back, or accept the loss", n, handoff.Lost[0])
	}
	if handoff.Stranded > 0 {
		degraded(api.ProblemNotHandedOver, "%d partitions cannot go to another member, and their data is here alone: start another member, or give the data up with Stop",
			handoff.Stranded)
	}
	if limit := c.settings.Handoff.OverdueAfter; handoff.Overdue > 0 {
		degraded(api.ProblemHandoffOverdue, "%d partitions have been moving for more than %v; %s", handoff.Overdue, limit,
			cmp.Or(c.handoff.causes(time.Now(), limit), "no call failed here: see the health of the other owners"))
	} else if writes := c.handoff.writes(limit); writes != "" {
		degraded(api.ProblemHandoffOverdue, "%s", writes)
	}
}

// gossiping returns what membership knows to be wrong, which it has logged.
func (c *Cluster) gossiping() (problems []api.Problem) {
	said := make(map[string][]string)
	for _, t := range membership.Drive(c.members).Troubles() {
		said[t.Kind] = append(said[t.Kind], t.Message)
	}
	for _, kind := range gossipProblems {
		if messages := said[kind.code]; len(messages) > 0 {
			p := api.Problem{Code: kind.code, Message: kind.says + few(messages) + kind.cure}
			switch kind.code {
			case "no-seed-reached":
				p.Unready = c.waitsForMembers()
			case "unreachable-address", "declared-dead":
				p.Unready = c.members.Local().State == membership.Observer && !c.settings.Observer
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// gossipProblem is a code, and what stands before and after what membership says.
type gossipProblem struct{ code, says, cure string }

// gossipProblems are the problems that membership knows of, which have its codes.
var gossipProblems = [...]gossipProblem{
	{"no-seed-reached", "this member is alone, and no address to join through leads to another member: ",
		": correct Seeds or Discovery, or open UDP and TCP to these addresses"},
	{"discovery", "addresses to join through cannot be looked up: ", ": correct Seeds or Discovery, or mend what they ask"},
	{"refused", "other members and this one refuse each other: ", ""},
	{"unreachable-address", "", ""},
	{"address-conflict", "other members announce the address of this one: ", ": correct their Gossip.AdvertiseAddr"},
	{"udp-blocked", "", ": open UDP to that address, on every member, or set Gossip.TCPOnly on all members"},
	{"tcp-blocked", "", ": open TCP to that address, on every member"},
	{"pair-blocked", "other members and this one do not reach each other directly, though third ones reach both: ",
		": open UDP and TCP on the gossip ports between them, both ways"},
	{"declared-dead", "", ": look at its CPU time, its memory and its network"},
	{"forged-news", "", ": a stranger may reach the gossip port: set Gossip.Keys"},
	{"flapping", "members fail and come back again and again: ", ": look at their health, their CPU time, and their network"},
}

// describe names a few members that differ, with their reasons.
func describe(members []api.Differing) string {
	parts := make([]string, 0, len(members))
	for _, d := range members {
		parts = append(parts, fmt.Sprintf("%s %s", d.ID, d.Reason))
	}
	return few(parts)
}

// few joins the first parts, and counts the others.
func few(parts []string) string {
	const most = 5
	if len(parts) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(parts[:most], "; "), len(parts)-most)
	}
	return strings.Join(parts, "; ")
}

// checkHealth logs which problems have appeared and which are over, and tells subscribers when
// health has changed in kind.
func (c *Cluster) checkHealth() {
	now := c.Health()
	before := c.health.Swap(&now)
	c.problems.update(time.Now(), now.Problems)
	if before.Ready == now.Ready && slices.EqualFunc(before.Problems, now.Problems,
		func(a, b api.Problem) bool { return a.Code == b.Code }) {
		return
	}
	c.events.add(Event{Kind: HealthChanged, At: time.Now(), Health: &HealthChange{Before: *before, After: now}})
	c.changed.Signal()
}
