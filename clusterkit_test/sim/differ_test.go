package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// The reasons for which a member differs.
const (
	seesOthers      = "sees other members"
	computesAnother = "computes another result from the same members and configuration"
)

// forger is a strategy with the name of another one, and other results.
type forger struct{ ring.RebalanceStrategy }

func (f forger) Assign(t ring.Topology, table ring.Table) error {
	err := f.RebalanceStrategy.Assign(t, table)
	for partition := range t.PartitionCount {
		row := table.Row(partition)
		row[0], row[len(row)-1] = row[len(row)-1], row[0]
	}
	return err
}

// named is a strategy with the results of another one, and its own name.
type named struct {
	rebalance.Rendezvous
	name string
}

func (n named) Name() string { return n.name }

// forge makes a member whose strategy has other results than those of all other
// members.
func forge(o *cluster.Options) { o.Strategy = forger{o.Strategy} }

// oneOrTwo makes members that run the strategy "one" and can run "two".
func oneOrTwo(o *cluster.Options) {
	o.Strategy = named{name: "one"}
	o.AlsoRuns = []cluster.Configuration{{ReplicationFactor: simReplicas, Strategy: named{name: "two"}}}
}

// only makes a member that can run only one strategy.
func only(name string) func(*cluster.Options) {
	return func(o *cluster.Options) { o.Strategy, o.AlsoRuns = named{name: name}, nil }
}

// reasons maps each member that differs to the reason, from the error of WaitConverged.
func (s *sim) reasons(m *simMember, wait time.Duration) map[string]string {
	s.t.Helper()
	err := m.WaitConverged(s.contextFor(wait))
	var differs *cluster.NotConvergedError
	if !errors.As(err, &differs) {
		s.fail("%s should not agree with the others: %v", m, err)
	}
	reasons := make(map[string]string)
	for i, d := range differs.Differing {
		reasons[d.ID] = d.Reason
		if i < 5 { // the message ends there
			require.Contains(s.t, differs.Error(), d.ID+" "+d.Reason)
		}
	}
	return reasons
}

func TestSimNamesAMemberThatComputesAnotherResult(t *testing.T) {
	t.Parallel()
	simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
		all := s.form(9)
		odd := s.make(s.number(9), forge)
		s.start(odd)
		s.sleep(20 * time.Second) // all members know of each other

		for _, m := range all {
			require.Equal(t, map[string]string{odd.id: computesAnother}, s.reasons(m, time.Second), "by %s, seed %d", m, s.seed)
			h := m.Health()
			require.False(t, h.Agreed)
			require.Equal(t, []api.Differing{{ID: odd.id, Reason: computesAnother}}, h.Differing)
			requireProblem(s, m, api.ProblemDisagreement, false)
		}
		want := make(map[string]string)
		for _, m := range all {
			want[m.id] = computesAnother
		}
		require.Equal(t, want, s.reasons(odd, time.Second), "by %s, seed %d", odd, s.seed)

		s.leave(odd)
		s.quiet(time.Minute)
	}, oneOrTwo)
}

// TestSimNamesAMemberThatCannotSeeAnother has two members with no configuration in
// common, so that neither sees the other.
func TestSimNamesAMemberThatCannotSeeAnother(t *testing.T) {
	t.Parallel()
	simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
		all := s.form(8)
		one := s.make(s.number(8), only("one"))
		s.start(one)
		s.sleep(5 * time.Second) // all members run configuration one by now
		two := s.make(s.number(9), only("two"))
		s.start(two)
		s.sleep(5 * time.Second)
		// All members agreed with these two before. The next change makes a view that
		// some of them never hold.
		s.leave(all[7])
		all = all[:7]
		s.sleep(20 * time.Second)

		if _, sees := one.Member(two.id); sees {
			s.fail("%s sees %s, which should be hidden from it", one, two)
		}
		for _, m := range all {
			if len(m.Members()) != 9 {
				s.fail("%s sees %d members", m, len(m.Members()))
			}
			// The member that can run only "two" cannot run "one": it has no part in
			// agreement, and says why.
			require.Equal(t, map[string]string{one.id: seesOthers}, s.reasons(m, time.Second), "by %s, seed %d", m, s.seed)
		}
		for _, m := range []*simMember{one, two} {
			want := make(map[string]string)
			for _, other := range all {
				want[other.id] = seesOthers
			}
			require.Equal(t, want, s.reasons(m, time.Second), "by %s, seed %d", m, s.seed)
		}
	}, oneOrTwo)
}

// requireProblem checks that a member has a problem, and whether it is unready
// for it.
func requireProblem(s *sim, m *simMember, code string, unready bool) {
	s.t.Helper()
	for _, p := range m.Health().Problems {
		if p.Code == code {
			require.Equal(s.t, unready, p.Unready, "%s: %v", m, p)
			return
		}
	}
	s.fail("%s does not have problem %q: %v", m, code, m.Health().Problems)
}

// TestSimLastingDifferenceMakesNoStorm counts the streams of clusters in which one
// member always differs, and compares them with the streams of a healthy cluster.
func TestSimLastingDifferenceMakesNoStorm(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("forms three clusters")
	}
	members, span := scaled(50, 12, 10), 5*time.Minute
	healthy := streamsOf(t, members, span)
	forged := streamsOf(t, members, span, forge)
	hidden := streamsOf(t, members, span, only("one"), only("two"))
	t.Logf("%d members, %v: %d streams and %d bytes in a healthy cluster, %d and %d with another result, %d and %d with members hidden from each other",
		members, span, healthy.Dials, healthy.StreamBytesWritten, forged.Dials, forged.StreamBytesWritten, hidden.Dials, hidden.StreamBytesWritten)
	require.LessOrEqual(t, forged.Dials, healthy.Dials+healthy.Dials/10, "a difference that cannot be mended")
	// For a difference that an exchange might end, each member begins about one
	// exchange in each push/pull interval with each of the two members that differ.
	tries := uint64(span/(30*time.Second)) + 4 // more often at first
	require.LessOrEqual(t, hidden.Dials, healthy.Dials+2*uint64(members)*tries, "a difference that looks as if it could be mended")
}

// streamsOf counts the streams in a span of virtual time, in a cluster with these
// additional members.
func streamsOf(t *testing.T, members int, span time.Duration, beside ...func(*cluster.Options)) memnet.Stats {
	t.Helper()
	var before, after memnet.Stats
	simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
		s.form(members - len(beside))
		for i, config := range beside {
			s.start(s.make(s.number(members-len(beside)+i), config))
		}
		s.sleep(30 * time.Second)
		before = s.net.Stats()
		s.sleep(span)
		after = s.net.Stats()
	}, oneOrTwo)
	after.Dials -= before.Dials
	after.StreamBytesWritten -= before.StreamBytesWritten
	return after
}
