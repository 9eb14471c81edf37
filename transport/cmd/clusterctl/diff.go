package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// difference is the answer of diff.
type difference struct {
	// Agreed says that every member was asked, or is known to agree, and that all have one
	// view.
	Agreed bool `json:"agreed"`
	// Fingerprint is that of most members.
	Fingerprint ring.Fingerprint `json:"fingerprint"`
	Members     []compared       `json:"members"`
}

// compared is a member, compared with most members.
type compared struct {
	ID          string            `json:"id"`
	Addr        string            `json:"addr,omitempty"`
	Fingerprint *ring.Fingerprint `json:"fingerprint,omitempty"`
	Same        bool              `json:"same"`
	Reason      string            `json:"reason,omitempty"`
}

// seen is what one member says.
type seen struct {
	addr    string // the address at which the member was asked
	id      string // the NodeID, as others name it or as it answers
	err     error
	health  api.Health
	members api.Members
}

func (c *cli) diffCommand() *cobra.Command {
	return c.asking(&cobra.Command{
		Use: "diff", Short: "Ask every member for its view, and name those that differ and why; exit status 1 when one does", Args: cobra.NoArgs,
		Long: `Asks every member for its view, beginning with --addr, and compares the fingerprints. It
names each member that differs from most members, with the reason, and each member that
does not answer. While the cluster changes, members may differ for a moment.

Members that share no configuration do not know each other: give an address of each.`,
	}, func(cmd *cobra.Command, m *members, _ []string) error {
		all := m.survey(cmd.Context())
		d, err := compare(all)
		if err != nil {
			return err
		}
		err = c.show(d, "ID SAME FINGERPRINT REASON", func(row func(...any)) {
			for _, m := range d.Members {
				fingerprint := ""
				if m.Fingerprint != nil {
					fingerprint = m.Fingerprint.String()
				}
				row(m.ID, m.Same, fingerprint, m.Reason)
			}
		})
		if err != nil {
			return err
		}
		text := fmt.Sprintf("all %d members agree on %v", len(d.Members), d.Fingerprint)
		if !d.Agreed {
			text = "the members do not agree"
		}
		if err := c.say(c.mark(d.Agreed, text)); err != nil || d.Agreed {
			return err
		}
		return errFound
	})
}

// survey asks the given members, and then all members of whom these know, until no further
// one becomes known.
func (m *members) survey(ctx context.Context) []seen {
	var all []seen
	asked := make(map[string]bool)
	type target struct{ addr, id string }
	next := make([]target, 0, len(m.settings.addrs))
	for _, a := range m.settings.addrs {
		next = append(next, target{addr: m.settings.url(a)})
	}
	for len(next) > 0 {
		answers := make([]seen, len(next))
		var wait sync.WaitGroup
		slots := make(chan struct{}, 32)
		for i, t := range next {
			asked[t.addr] = true
			wait.Go(func() {
				slots <- struct{}{}
				answers[i] = m.ask(ctx, t.addr, t.id)
				<-slots
			})
		}
		wait.Wait()
		all = append(all, answers...)
		next = nil
		known := make(map[string]bool)
		for _, s := range all {
			known[s.id] = true
		}
		for _, s := range answers {
			for _, other := range s.members.Members {
				if addr := m.settings.url(other.HTTPAddr); other.HTTPAddr != "" && !asked[addr] && !known[other.ID] {
					known[other.ID] = true
					next = append(next, target{addr, other.ID})
				}
			}
		}
	}
	// A member may have been asked under two addresses.
	slices.SortStableFunc(all, func(a, b seen) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(all, func(a, b seen) bool { return a.id != "" && a.id == b.id && a.err == nil && b.err == nil })
}

// ask asks one member.
func (m *members) ask(ctx context.Context, addr, id string) seen {
	s := seen{addr: addr, id: id}
	one, err := m.client(0, addr)
	if err != nil {
		s.err = err
		return s
	}
	defer func() { _ = one.Close() }() // Close returns nil
	if s.health, s.err = one.Health(ctx); s.err == nil {
		s.id = s.health.NodeID
		s.members, s.err = one.Members(ctx)
	}
	return s
}

// compare compares each member with most of them.
func compare(all []seen) (difference, error) {
	votes := make(map[ring.Fingerprint]int)
	var most *seen
	for i := range all {
		if s := &all[i]; s.err == nil {
			votes[s.health.Fingerprint]++
			if most == nil || votes[s.health.Fingerprint] > votes[most.health.Fingerprint] {
				most = s
			}
		}
	}
	if most == nil {
		return difference{}, fmt.Errorf("no member answers: %w", all[0].err)
	}
	d := difference{Agreed: true, Fingerprint: most.health.Fingerprint}
	listed := make(map[string]bool)
	for _, s := range all {
		row := compared{ID: cmp.Or(s.id, s.addr), Addr: s.addr, Reason: reason(most, &s)}
		listed[row.ID] = true
		if s.err == nil {
			row.Fingerprint = &s.health.Fingerprint
		}
		row.Same = row.Reason == ""
		d.Agreed = d.Agreed && row.Same
		d.Members = append(d.Members, row)
	}
	for _, m := range most.members.Members {
		if listed[m.ID] {
			continue
		}
		row := compared{ID: m.ID, Same: true, Reason: "announces no HTTP address; agrees, by gossip"}
		if i := slices.IndexFunc(most.health.Differing, func(d api.Differing) bool { return d.ID == m.ID }); i >= 0 {
			row.Same, row.Reason = false, "announces no HTTP address; "+most.health.Differing[i].Reason
		}
		d.Agreed = d.Agreed && row.Same
		d.Members = append(d.Members, row)
	}
	slices.SortFunc(d.Members, func(a, b compared) int { return cmp.Compare(a.ID, b.ID) })
	return d, nil
}

// reason returns why a member differs from most. It is empty if the member does not.
func reason(most, s *seen) string {
	switch {
	case s.err != nil:
		return "does not answer: " + s.err.Error()
	case s.health.ClusterName != most.health.ClusterName:
		return fmt.Sprintf("is a member of the cluster %q, and most are of %q", s.health.ClusterName, most.health.ClusterName)
	case s.health.Fingerprint == most.health.Fingerprint:
		return ""
	}
	var reasons []string
	if a, b := s.health.Configuration, most.health.Configuration; a != b {
		reasons = append(reasons, fmt.Sprintf("runs the configuration %q, and most run %q", a, b))
	}
	mine, theirs := byID(s.members), byID(most.members)
	var lacks, more, states []string
	for _, m := range most.members.Members {
		own, ok := mine[m.ID]
		switch {
		case !ok:
			lacks = append(lacks, m.ID)
		case own.State != m.State:
			states = append(states, fmt.Sprintf("%s as %s and not %s", m.ID, own.State, m.State))
		case own.Weight != m.Weight || own.Region != m.Region || own.Zone != m.Zone:
			states = append(states, m.ID+" with another weight or zone")
		}
	}
	for _, m := range s.members.Members {
		if _, ok := theirs[m.ID]; !ok {
			more = append(more, m.ID)
		}
	}
	for _, list := range []struct {
		what string
		ids  []string
	}{{"does not see ", lacks}, {"also sees ", more}, {"sees ", states}} {
		if len(list.ids) > 0 {
			reasons = append(reasons, list.what+few(list.ids))
		}
	}
	for _, p := range s.health.Problems {
		if p.Unready || p.Code == api.ProblemStrategy {
			reasons = append(reasons, p.Code+": "+p.Message)
		}
	}
	if len(reasons) == 0 {
		return "has another table for the same members and configuration: compare the versions of the programs"
	}
	return strings.Join(reasons, "; ")
}

func byID(m api.Members) map[string]api.Member {
	all := make(map[string]api.Member, len(m.Members))
	for _, one := range m.Members {
		all[one.ID] = one
	}
	return all
}

// few lists the first ten IDs, and the number of the others.
func few(ids []string) string {
	const most = 10
	if len(ids) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
	}
	return strings.Join(ids, ", ")
}
