package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func testBuilder() *builder {
	return &builder{configurations: map[string]ring.Config{
		"rf3:balanced/1": {PartitionCount: 64, ReplicationFactor: 3, Strategy: rebalance.Balanced{}},
		"rf2:balanced/1": {PartitionCount: 64, ReplicationFactor: 2, Strategy: rebalance.Balanced{}},
	}}
}

func emptyView() *view { return &view{ring: &ring.Ring{}} }

func inState(state membership.State, which int) func(int, *membership.Member) {
	return func(i int, m *membership.Member) {
		if i == which {
			m.State = state
		}
	}
}

func TestWhoServesAndWhoWill(t *testing.T) {
	for state, want := range map[membership.State][2]int{
		membership.Active:   {4, 4},
		membership.Joining:  {3, 4},
		membership.Draining: {4, 3},
		membership.Leaving:  {3, 3},
		membership.Observer: {3, 3},
	} {
		v := testBuilder().derive(testMembers(4, inState(state, 3)), emptyView())
		require.NoError(t, v.failure)
		require.Equal(t, want, [2]int{v.ring.Len(), v.ring.Target().Len()}, state)
	}
	everybody := testBuilder().derive(testMembers(4, func(_ int, m *membership.Member) { m.State = membership.Draining }), emptyView())
	require.Equal(t, 4, everybody.ring.Target().Len(), "when nobody can take over the draining go on")
	joining := testBuilder().derive(testMembers(4, func(_ int, m *membership.Member) { m.State = membership.Joining }), emptyView())
	require.Zero(t, joining.ring.Len(), "nobody owns before somebody is active")
	require.Equal(t, "rf3:balanced/1", joining.configuration)
}

// Two members of equal lists derive equal views, whatever they held before.
func TestViewsDependOnMembersAlone(t *testing.T) {
	members := testMembers(6, inState(membership.Draining, 2))
	fresh := testBuilder().derive(members, emptyView())
	b := testBuilder()
	v := emptyView()
	for _, n := range []int{1, 9, 3, 6} {
		v = b.derive(testMembers(n, inState(membership.Joining, 0)), v)
		v = b.derive(testMembers(n, nil), v)
	}
	v = b.derive(members, v)
	require.Equal(t, fresh.fingerprint, v.fingerprint)
	require.Equal(t, fresh.ring.Fingerprint(), v.ring.Fingerprint())
	require.Equal(t, fresh.spread, v.spread)
}

func TestWhatTheFingerprintCovers(t *testing.T) {
	base := testBuilder().derive(testMembers(4, nil), emptyView())
	for name, edit := range map[string]func(*membership.Member){
		"ID":     func(m *membership.Member) { m.ID = "other" },
		"region": func(m *membership.Member) { m.Region = "us" },
		"zone":   func(m *membership.Member) { m.Zone = "z9" },
		"weight": func(m *membership.Member) { m.Weight = 2 },
		"state":  func(m *membership.Member) { m.State = membership.Draining },
	} {
		v := testBuilder().derive(testMembers(4, func(i int, m *membership.Member) {
			if i == 3 {
				edit(m)
			}
		}), emptyView())
		require.NotEqual(t, base.fingerprint, v.fingerprint, name)
	}
	for name, edit := range map[string]func(*membership.Member){
		"metadata": func(m *membership.Member) { m.Metadata = map[string]string{"a": "b"} },
		"services": func(m *membership.Member) { m.Services = map[string]string{"a": "b"} },
		"HTTP":     func(m *membership.Member) { m.HTTPAddr = "h:1" },
		"start":    func(m *membership.Member) { m.Start.Nonce = 7 },
	} {
		v := testBuilder().derive(testMembers(4, func(_ int, m *membership.Member) { edit(m) }), emptyView())
		require.Equal(t, base.fingerprint, v.fingerprint, name)
	}
	observers := testBuilder().derive(testMembers(4, inState(membership.Observer, 3)), emptyView())
	leaving := testBuilder().derive(testMembers(4, inState(membership.Leaving, 3)), emptyView())
	require.Equal(t, observers.ring.Fingerprint(), leaving.ring.Fingerprint())
	require.NotEqual(t, observers.fingerprint, leaving.fingerprint)
}

func TestATableThatDidNotChangeIsKept(t *testing.T) {
	b := testBuilder()
	first := b.derive(testMembers(4, nil), emptyView())
	again := b.derive(testMembers(4, func(_ int, m *membership.Member) { m.Metadata = map[string]string{"a": "b"} }), first)
	require.Same(t, first.ring, again.ring)
	other := b.derive(testMembers(4, func(_ int, m *membership.Member) { m.Configurations = []string{"rf2:balanced/1"} }), again)
	require.NoError(t, other.failure)
	require.Equal(t, 2, other.ring.Replicas(), "the same nodes under another configuration are another ring")
	back := b.derive(testMembers(4, nil), other)
	require.Equal(t, first.fingerprint, back.fingerprint)
}

func TestAViewOfAConfigurationThatIsNotOurs(t *testing.T) {
	b := testBuilder()
	v := b.derive(testMembers(4, nil), emptyView())
	v = b.derive(testMembers(4, func(_ int, m *membership.Member) { m.Configurations = []string{"rf9:unheard/1"} }), v)
	require.NoError(t, v.failure)
	require.Equal(t, "rf9:unheard/1", v.configuration)
	require.Zero(t, v.ring.Len())
	require.Len(t, v.members, 4)
	require.Zero(t, v.spread.UnderReplicated)
}
