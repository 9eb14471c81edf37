package view

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func testBuilder() *Builder {
	return &Builder{Configurations: map[string]Configuration{
		"rf3:balanced/3": {Config: ring.Config{PartitionCount: 64, ReplicationFactor: 3, Strategy: rebalance.Balanced{}}},
		"rf2:balanced/3": {Config: ring.Config{PartitionCount: 64, ReplicationFactor: 2, Strategy: rebalance.Balanced{}}},
	}}
}

func inState(state membership.State, which int) func(int, *membership.Member) {
	return func(i int, m *membership.Member) {
		if i == which {
			m.State = state
		}
	}
}

func TestServingAndTargetOwners(t *testing.T) {
	for state, want := range map[membership.State][2]int{
		membership.Active:   {4, 4},
		membership.Joining:  {3, 4},
		membership.Draining: {4, 3},
		membership.Leaving:  {3, 3},
		membership.Observer: {3, 3},
		membership.Away:     {4, 4},
	} {
		v := testBuilder().Derive(testMembers(4, inState(state, 3)), Empty())
		require.NoError(t, v.Failure)
		require.Equal(t, want, [2]int{v.Ring.Len(), v.Ring.Target().Len()}, state)
	}
	everybody := testBuilder().Derive(testMembers(4, func(_ int, m *membership.Member) { m.State = membership.Draining }), Empty())
	require.Equal(t, 4, everybody.Ring.Target().Len(), "when nobody can take over the draining go on")
	handoff := Configuration{Config: ring.Config{PartitionCount: 64, ReplicationFactor: 3, WriteQuorum: 2, Strategy: rebalance.Balanced{}}}
	for _, bare := range []bool{false, true} {
		members := testMembers(4, func(i int, m *membership.Member) {
			if m.Configurations, m.State = []string{handoff.Name()}, membership.Joining; i == 3 {
				m.State, m.Bare = membership.Leaving, bare
			}
		})
		v := (&Builder{Configurations: map[string]Configuration{handoff.Name(): handoff}}).Derive(members, Empty())
		require.NoError(t, v.Failure)
		require.Equal(t, !bare, Formed(members, handoff.Name()))
		require.Equal(t, map[bool]int{false: 1, true: 0}[bare], v.Ring.Len(), "a leaving member serves while no other one does, unless it is bare")
	}
	joining := testBuilder().Derive(testMembers(4, func(_ int, m *membership.Member) { m.State = membership.Joining }), Empty())
	require.Zero(t, joining.Ring.Len(), "nobody owns before somebody is active")
	require.Equal(t, "rf3:balanced/3", joining.Configuration)
}

// Two members with equal lists of members derive equal views, whatever their previous
// views were.
func TestViewsDependOnMembersAlone(t *testing.T) {
	members := testMembers(6, inState(membership.Draining, 2))
	fresh := testBuilder().Derive(members, Empty())
	b := testBuilder()
	v := Empty()
	for _, n := range []int{1, 9, 3, 6} {
		v = b.Derive(testMembers(n, inState(membership.Joining, 0)), v)
		v = b.Derive(testMembers(n, nil), v)
	}
	v = b.Derive(members, v)
	require.Equal(t, fresh.Fingerprint, v.Fingerprint)
	require.Equal(t, fresh.Ring.Fingerprint(), v.Ring.Fingerprint())
	require.Equal(t, fresh.Spread, v.Spread)
}

func TestFingerprintCoversStatesAndStarts(t *testing.T) {
	base := testBuilder().Derive(testMembers(4, nil), Empty())
	for name, edit := range map[string]func(*membership.Member){
		"ID":     func(m *membership.Member) { m.ID = "other" },
		"region": func(m *membership.Member) { m.Region = "us" },
		"zone":   func(m *membership.Member) { m.Zone = "z9" },
		"weight": func(m *membership.Member) { m.Weight = 2 },
		"state":  func(m *membership.Member) { m.State = membership.Draining },
	} {
		v := testBuilder().Derive(testMembers(4, func(i int, m *membership.Member) {
			if i == 3 {
				edit(m)
			}
		}), Empty())
		require.NotEqual(t, base.Fingerprint, v.Fingerprint, name)
	}
	for name, edit := range map[string]func(*membership.Member){
		"metadata": func(m *membership.Member) { m.Metadata = map[string]string{"a": "b"} },
		"services": func(m *membership.Member) { m.Services = map[string]string{"a": "b"} },
		"HTTP":     func(m *membership.Member) { m.HTTPAddr = "h:1" },
		"start":    func(m *membership.Member) { m.Start.Nonce = 7 },
	} {
		v := testBuilder().Derive(testMembers(4, func(_ int, m *membership.Member) { edit(m) }), Empty())
		require.Equal(t, base.Fingerprint, v.Fingerprint, name)
	}
	observers := testBuilder().Derive(testMembers(4, inState(membership.Observer, 3)), Empty())
	leaving := testBuilder().Derive(testMembers(4, inState(membership.Leaving, 3)), Empty())
	require.Equal(t, observers.Ring.Fingerprint(), leaving.Ring.Fingerprint())
	require.NotEqual(t, observers.Fingerprint, leaving.Fingerprint)
}

func TestATableThatDidNotChangeIsKept(t *testing.T) {
	b := testBuilder()
	first := b.Derive(testMembers(4, nil), Empty())
	again := b.Derive(testMembers(4, func(_ int, m *membership.Member) { m.Metadata = map[string]string{"a": "b"} }), first)
	require.Same(t, first.Ring, again.Ring)
	other := b.Derive(testMembers(4, func(_ int, m *membership.Member) { m.Configurations = []string{"rf2:balanced/3"} }), again)
	require.NoError(t, other.Failure)
	require.Equal(t, 2, other.Ring.Replicas(), "the same nodes under another configuration are another ring")
	back := b.Derive(testMembers(4, nil), other)
	require.Equal(t, first.Fingerprint, back.Fingerprint)
}

func TestAViewOfAConfigurationThatIsNotOurs(t *testing.T) {
	b := testBuilder()
	v := b.Derive(testMembers(4, nil), Empty())
	v = b.Derive(testMembers(4, func(_ int, m *membership.Member) { m.Configurations = []string{"rf9:unheard/1"} }), v)
	require.NoError(t, v.Failure)
	require.Equal(t, "rf9:unheard/1", v.Configuration)
	require.Zero(t, v.Ring.Len())
	require.Len(t, v.Members, 4)
	require.Zero(t, v.Spread.UnderReplicated)
}

// The table of a target is used again when it becomes the ring. The table of a ring is
// used again when a joining member is gone.
func TestTablesAreUsedAgain(t *testing.T) {
	b := testBuilder()
	alone := b.Derive(testMembers(4, nil), Empty())
	joining := b.Derive(testMembers(5, inState(membership.Joining, 4)), alone)
	require.NotSame(t, joining.Ring, joining.Ring.Target())
	active := b.Derive(testMembers(5, nil), joining)
	require.Same(t, joining.Ring.Target(), active.Ring)
	again := b.Derive(testMembers(4, nil), joining)
	require.Equal(t, alone.Fingerprint, again.Fingerprint)
	require.Same(t, again.Ring, again.Ring.Target())
}

// Each table is derived from the one before. After any sequence of changes the view
// equals the view of a member that has just started.
func TestDerivedTablesAreThoseOfAFreshMember(t *testing.T) {
	b, v := testBuilder(), Empty()
	states := []membership.State{membership.Active, membership.Joining, membership.Active, membership.Draining, membership.Leaving}
	for step := range 60 {
		members := testMembers(12+step*7%5, inState(states[step%len(states)], step*5%12))
		if step%9 == 4 {
			members[3].Zone = fmt.Sprint("z", step%4)
		}
		v = b.Derive(members, v)
		require.NoError(t, v.Failure)
		fresh := testBuilder().Derive(members, Empty())
		require.Equal(t, fresh.Fingerprint, v.Fingerprint, step)
		require.Equal(t, fresh.Spread, v.Spread, step)
	}
}

// testMembers are n active members.
func testMembers(n int, edit func(i int, m *membership.Member)) []membership.Member {
	var members []membership.Member
	for i := range n {
		m := membership.Member{
			ID: fmt.Sprintf("n%03d", i), Region: "eu", Zone: fmt.Sprint("z", i%3), Weight: 1,
			State: membership.Active, Configurations: []string{"rf3:balanced/3"},
		}
		if edit != nil {
			edit(i, &m)
		}
		members = append(members, m)
	}
	return members
}
