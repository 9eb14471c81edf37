package sim_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// quiet waits until all starts and stops are complete and all views are right: in each
// component every member sees exactly the members of the component, all fingerprints
// are equal, and all members know that. It checks the rings, and returns how long it
// waited.
func (s *sim) quiet(limit time.Duration) time.Duration {
	s.t.Helper()
	began := time.Now()
	s.until("starting", limit, func() bool { return len(s.starting()) == 0 }, func() string { return fmt.Sprint(s.starting()) })
	s.working.Wait() // Stop returns within its own time limits
	s.untilBy(coarseStep, "a quiet point", limit, func() bool {
		return !slices.ContainsFunc(s.components(), func(component []*simMember) bool { return !settled(component) })
	}, func() string {
		var text string
		for _, component := range s.components() {
			text += differences(component)
		}
		return text
	})
	for _, component := range s.components() {
		s.checkRing(component)
	}
	return time.Since(began)
}

// starting returns the members that have not joined yet. It fails the test when Start
// of a member has failed.
func (s *sim) starting() (late []*simMember) {
	s.t.Helper()
	for _, m := range s.sorted() {
		switch up, err := m.startedAt(); {
		case err != nil:
			s.fail("starting %s: %v", m, err)
		case up.IsZero():
			late = append(late, m)
		}
	}
	return late
}

// settled reports whether the members of a component see each other and no
// other member, in their final states, have equal fingerprints, and know it.
func settled(component []*simMember) bool {
	first := component[0].Fingerprint()
	for _, m := range component {
		if m.Fingerprint() != first || len(m.Members()) != len(component) {
			return false
		}
	}
	for _, m := range component {
		for i, seen := range m.Members() {
			if seen.ID != component[i].id || seen.Addr != component[i].addr || !final(seen.State) {
				return false
			}
		}
		if h := m.Health(); !h.Agreed || !h.Ready {
			return false
		}
	}
	return true
}

// final reports whether a member will not change its state by itself.
func final(state membership.State) bool {
	return state == membership.Active || state == membership.Observer
}

// differences says which members do not meet the conditions of settled, and why.
func differences(component []*simMember) string {
	var text strings.Builder
	first := component[0].Fingerprint()
	for _, m := range component {
		var wrong []string
		if missing, extra := compareMembers(component, m.Members()); missing != "" || extra != "" {
			wrong = append(wrong, fmt.Sprintf("misses [%s], has [%s] too many", missing, extra))
		} else if m.Fingerprint() != first {
			wrong = append(wrong, fmt.Sprintf("fingerprint %v, not that of %s, %v", m.Fingerprint(), component[0], first))
		}
		for _, other := range m.Members() {
			if !final(other.State) {
				wrong = append(wrong, fmt.Sprintf("sees %s %v", other.ID, other.State))
			}
		}
		if h := m.Health(); len(wrong) > 0 || !h.Agreed || !h.Ready {
			fmt.Fprintf(&text, "%s at %v (%d of %d): %s; ready %v, problems %v, differing %v\n",
				m, m.addr, h.Members, len(component), strings.Join(wrong, ", "), h.Ready, h.Problems, h.Differing)
		}
	}
	return text.String()
}

// compareMembers returns the members that are missing in a view at their addresses, and
// the members of the view that should not be there.
func compareMembers(want []*simMember, view []membership.Member) (missing, extra string) {
	var lacks, has []string
	w, v := 0, 0
	for w < len(want) || v < len(view) {
		switch {
		case v == len(view) || w < len(want) && want[w].id < view[v].ID:
			lacks = append(lacks, want[w].id)
			w++
		case w == len(want) || view[v].ID < want[w].id:
			has = append(has, view[v].ID)
			v++
		default:
			if want[w].addr != view[v].Addr {
				has = append(has, fmt.Sprintf("%s at %v", view[v].ID, view[v].Addr))
			}
			w, v = w+1, v+1
		}
	}
	return strings.Join(lacks, " "), strings.Join(has, " ")
}

// checkRing checks the rings of members that agree. All have one ring. Every partition
// has distinct owners, all of them members: as many as the replication factor, or all
// if there are fewer.
func (s *sim) checkRing(component []*simMember) {
	s.t.Helper()
	owners := make(map[string]bool)
	for _, m := range component {
		if !m.observer {
			owners[m.id] = true
		}
	}
	first := component[0].Ring()
	for _, m := range component {
		if m.Ring().Fingerprint() != first.Fingerprint() {
			s.fail("%s and %s agree on the view, and not on the ring", component[0], m)
		}
	}
	if len(owners) == 0 {
		return
	}
	if first.PartitionCount() != simPartitions {
		s.fail("the ring of %s has %d partitions, not %d", component[0], first.PartitionCount(), simPartitions)
	}
	for partition, p := range first.All() {
		var found []string
		for _, node := range p.All() {
			if !owners[node.ID()] || slices.Contains(found, node.ID()) {
				s.fail("partition %d: owner %s is twice there or no member: %v", partition, node.ID(), found)
			}
			found = append(found, node.ID())
		}
		if want := min(simReplicas, len(owners)); len(found) != want {
			s.fail("partition %d has owners %v, should have %d", partition, found, want)
		}
	}
}

// sameFingerprint returns the fingerprint of the members, and whether all have the
// same.
func sameFingerprint(members []*simMember) (ring.Fingerprint, bool) {
	first := members[0].Fingerprint()
	for _, m := range members[1:] {
		if m.Fingerprint() != first {
			return 0, false
		}
	}
	return first, true
}

func addrsOf(members []*simMember) []netip.AddrPort {
	addrs := make([]netip.AddrPort, len(members))
	for i, m := range members {
		addrs[i] = m.addr
	}
	return addrs
}

// dns answers lookups from a table that tests change.
type dns struct {
	mu      sync.Mutex
	answers map[string][]netip.Addr
}

var _ membership.Resolver = (*dns)(nil)

func newDNS() *dns { return &dns{answers: make(map[string][]netip.Addr)} }

// set changes the answer for a host.
func (d *dns) set(host string, addrs []netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ips []netip.Addr
	for _, addr := range addrs {
		ips = append(ips, addr.Addr())
	}
	d.answers[host] = ips
}

// LookupNetIP answers from the table.
func (d *dns) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.answers[host]) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return slices.Clone(d.answers[host]), ctx.Err()
}

// LookupSRV finds nothing.
func (d *dns) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such service", Name: name, IsNotFound: true}
}

// quantiles formats quantiles of durations.
func quantiles(durations []time.Duration) string {
	if len(durations) == 0 {
		return "none"
	}
	sorted := slices.Sorted(slices.Values(durations))
	at := func(percent int) time.Duration {
		return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d", at(50), at(99), at(100), len(sorted))
}

// contextFor returns a context that ends after a while of virtual time.
func (s *sim) contextFor(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), d)
	s.t.Cleanup(cancel)
	return ctx
}
