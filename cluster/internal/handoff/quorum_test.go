package handoff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// An owner that stays under a new configuration may have missed a write, as the old configuration
// allowed. The owner stays ready only where the new configuration allows that too.
func TestAnOwnerStaysReadyWhereTheConfigurationAllowsIt(t *testing.T) {
	for _, tt := range []struct {
		factor, quorum int
		ready          bool
	}{
		{3, 2, true}, {4, 3, true}, {5, 3, true}, {5, 4, true}, {3, 3, false}, {2, 2, false}, {1, 1, false},
	} {
		m := New(Config{Self: Process{"a", 1}, Partitions: 16, Parallel: 1})
		see := func(factor, quorum int, ids ...string) {
			v := View{Starts: make(map[string]uint64)}
			var nodes []ring.Node
			for _, id := range ids {
				nodes = append(nodes, ring.Node{ID: id, Weight: 1, Start: 1})
				v.Starts[id] = 1
			}
			var err error
			v.Ring, err = ring.Build(ring.Config{PartitionCount: 16, ReplicationFactor: factor, WriteQuorum: quorum, Strategy: rebalance.Rendezvous{}}, nodes)
			require.NoError(t, err)
			m.Step(v)
		}
		m.Step(Founding{})
		see(3, 2, "a")
		see(3, 2, "a", "b", "c")
		require.True(t, m.Summary().Joined)
		see(tt.factor, tt.quorum, "a", "b", "c")
		owns := 0
		for p := range 16 {
			if st := m.Standing(p); st.Owner {
				owns++
				require.Equal(t, tt.ready, st.Ready(), "%+v", tt)
			}
		}
		require.Positive(t, owns)
	}
}

// Whatever the configurations, an owner merges from at least one member of an owner set.
func TestNeededIsAtLeastOne(t *testing.T) {
	for factor := range uint8(16) {
		for writes := range factor + 1 {
			for n := range maxMembers {
				members := make(set, n)
				o := ownerSet{members: &members, quorums: quorums{factor + 1, writes + 1}}
				require.GreaterOrEqual(t, o.needed(), 1)
				require.GreaterOrEqual(t, o.needed()+int(o.writes), n+1, "each needed subset meets each write quorum")
			}
		}
	}
}
