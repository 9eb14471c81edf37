package view

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// handoffBuilder has a configuration with a handoff, and one of another write quorum.
func handoffBuilder() *Builder {
	b := &Builder{Configurations: make(map[string]Configuration)}
	for _, w := range []int{2, 3} {
		c := Configuration{ring.Config{PartitionCount: 64, ReplicationFactor: 3, WriteQuorum: w, Strategy: rebalance.Balanced{}}}
		b.Configurations[c.Name()] = c
	}
	return b
}

// withData returns members with a handoff. The member with the number which has the
// nonce of another start.
func withData(which int, nonce uint64, edit func(*membership.Member)) []membership.Member {
	return testMembers(4, func(i int, m *membership.Member) {
		m.Configurations, m.Start.Nonce = []string{"rf3w2:balanced/3"}, uint64(100+i)
		if i == which {
			m.Start.Nonce = nonce
			if edit != nil {
				edit(m)
			}
		}
	})
}

// changed counts the partitions whose tokens differ: the partitions that a member owns, and the
// others.
func changed(a, b *ring.Ring, id string) (owned, others int) {
	for p, was := range a.All() {
		switch differs := was.Token() != b.Placement(p).Token(); {
		case differs && (was.Owns(id) || was.Target().Owns(id)):
			owned++
		case differs:
			others++
		}
	}
	return owned, others
}

// With a handoff a start without the data of the one before it is another owner: the tokens of its
// partitions change, and nothing else. No strategy is asked. A start that has the data is the
// same owner.
func TestAnEmptyStartHasOtherTokens(t *testing.T) {
	for name, edit := range map[string]func(*membership.Member){
		"active":   nil,
		"draining": func(m *membership.Member) { m.State = membership.Draining },
		"joining":  func(m *membership.Member) { m.State = membership.Joining },
	} {
		b := handoffBuilder()
		before := b.Derive(withData(1, 101, edit), Empty())
		asked := b.Asked()
		after := b.Derive(withData(1, 7, edit), before)
		require.Equal(t, asked, b.Asked(), name)
		require.NotSame(t, before.Ring, after.Ring, name)
		require.Equal(t, before.Ring.Fingerprint(), after.Ring.Fingerprint(), name)
		require.NotEqual(t, before.Fingerprint, after.Fingerprint, "members of one fingerprint have the same tokens")
		owned, others := changed(before.Ring, after.Ring, "n001")
		require.Positive(t, owned, name)
		require.Zero(t, others, name)
		fresh := handoffBuilder().Derive(withData(1, 7, edit), Empty())
		require.Equal(t, fresh.Fingerprint, after.Fingerprint, name)
		owned, others = changed(fresh.Ring, after.Ring, "n001")
		require.Zero(t, owned+others, name)
		require.Same(t, after.Ring, b.Derive(withData(1, 7, edit), after).Ring, name)

		back := b.Derive(withData(1, 8, func(m *membership.Member) {
			if edit != nil {
				edit(m)
			}
			m.Origin = 7
		}), after)
		if name != "joining" { // with data it serves at once
			require.Same(t, after.Ring, back.Ring, name)
			require.Equal(t, after.Fingerprint, back.Fingerprint, name)
		}
	}
}

// Without a handoff a restart changes neither tokens nor fingerprint.
func TestWithoutHandoffStartsAreNotNamed(t *testing.T) {
	b := testBuilder()
	before := b.Derive(testMembers(4, nil), Empty())
	after := b.Derive(testMembers(4, func(_ int, m *membership.Member) { m.Start.Nonce = 7 }), before)
	require.Same(t, before.Ring, after.Ring)
	require.Equal(t, before.Fingerprint, after.Fingerprint)
	for _, n := range after.Ring.Nodes() {
		require.Zero(t, n.Start)
	}
}

// With another write quorum the tokens differ, also where the owners are the same.
func TestAWriteQuorumHasTokensOfItsOwn(t *testing.T) {
	b := handoffBuilder()
	two := b.Derive(withData(-1, 0, nil), Empty())
	three := b.Derive(testMembers(4, func(i int, m *membership.Member) {
		m.Configurations, m.Start.Nonce = []string{"rf3w3:balanced/3"}, uint64(100+i)
	}), two)
	require.NoError(t, three.Failure)
	require.Equal(t, 3, three.Ring.Config().WriteQuorum)
	owned, others := changed(two.Ring, three.Ring, "n001")
	require.Equal(t, 64, owned+others)
}
