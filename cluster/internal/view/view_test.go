package view

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

func TestMemberFindsEachByItsID(t *testing.T) {
	v := testBuilder().Derive(testMembers(5, nil), Empty())
	for _, want := range v.Members {
		m, ok := v.Member(want.ID)
		require.True(t, ok)
		require.Equal(t, want, m)
	}
	_, ok := v.Member("n0005")
	require.False(t, ok)
	_, ok = Empty().Member("")
	require.False(t, ok)
}

func TestParticipantsHaveTheConfiguration(t *testing.T) {
	v := testBuilder().Derive(testMembers(4, nil), Empty())
	require.Equal(t, v.Members, v.Participants())
	v = testBuilder().Derive(testMembers(4, func(i int, m *membership.Member) {
		if i == 1 {
			m.Configurations, m.State = []string{"rf2:balanced/3"}, membership.Joining
		}
	}), Empty())
	require.Equal(t, "rf3:balanced/3", v.Configuration)
	require.Equal(t, []membership.Member{v.Members[0], v.Members[2], v.Members[3]}, v.Participants())
	require.Len(t, v.Members, 4, "the members stay as they are")
	require.Empty(t, Empty().Participants())
}

func TestOriginIsTheStartOfTheData(t *testing.T) {
	m := membership.Member{Start: membership.Start{Nonce: 7}}
	require.Equal(t, uint64(7), Origin(m))
	m.Origin = 5
	require.Equal(t, uint64(5), Origin(m))
}

func TestHoldingCountsPartitionsOfAMember(t *testing.T) {
	b := testBuilder()
	b.Self = "n000"
	v := b.Derive(testMembers(4, inState(membership.Draining, 0)), Empty())
	owned := 0
	for _, p := range v.Ring.All() {
		if p.Owns("n000") {
			owned++
		}
	}
	require.Equal(t, owned, v.Holding.Primaries+v.Holding.Replicas)
	require.Equal(t, owned, v.Holding.Outgoing)
	require.Zero(t, v.Holding.Incoming)
	require.Positive(t, v.Holding.Primaries)
	b.Self = "n003"
	v = b.Derive(testMembers(4, inState(membership.Joining, 3)), Empty())
	require.Zero(t, v.Holding.Primaries+v.Holding.Replicas)
	require.Positive(t, v.Holding.Incoming)
}
