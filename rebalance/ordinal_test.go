package rebalance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
)

// numbered makes the members of the numbers from 0 to n - 1, without some. The zone of a
// number is the number modulo zones.
func numbered(n, zones int, without ...int) []ring.Node {
	var nodes []ring.Node
	for i := range n {
		if !slices.Contains(without, i) {
			nodes = append(nodes, ring.Node{ID: fmt.Sprint("orders-", i), Zone: fmt.Sprint("zone-", i%zones), Weight: 1})
		}
	}
	return nodes
}

// fullest returns the slots of the fullest member over the fair share in its zone, in
// thousandths, where each of the zones has the same part of all slots.
func fullest(r *ring.Ring) int {
	sizes, zones, worst := make(map[string]int), make(map[string]string), 0
	for _, n := range r.Nodes() {
		sizes[n.Zone]++
		zones[n.ID] = n.Zone
	}
	owned, _ := slots(r)
	for id, n := range owned {
		worst = max(worst, n*sizes[zones[id]]*len(sizes)*1000/(r.Replicas()*r.Config().PartitionCount))
	}
	return worst
}

// moved returns the slots that change owner between two rings, over those that the members
// that are in one of them only have in it, in thousandths.
func moved(t *testing.T, from, to *ring.Ring) int {
	t.Helper()
	plan, err := rebalance.Diff(from, to)
	require.NoError(t, err)
	must := 0
	for _, pair := range [][2]*ring.Ring{{from, to}, {to, from}} {
		owned, _ := slots(pair[0])
		for _, n := range pair[1].Nodes() {
			delete(owned, n.ID)
		}
		lost := 0
		for _, n := range owned {
			lost += n
		}
		must = max(must, lost)
	}
	return len(plan.Moves) * 1000 / max(1, must)
}

// measured are the numbers of partitions of the tests, with bounds in thousandths: load
// without holes and with two of them, and what the loss of a second member moves, at worst and in
// the mean.
var measured = []struct{ partitions, even, evenWithHoles, second, secondMean int }{
	{4096, 1010, 1050, 1000, 1000},
	{1024, 1040, 1063, 1250, 1020},
}

// The cluster grows by one member after the other, and shrinks at its end: loads are equal,
// and only the slots of that member move.
func TestOrdinalGrows(t *testing.T) {
	for _, bound := range measured {
		for _, zones := range []int{1, 3} {
			s := rebalance.Ordinal{Prefix: "orders-", Zones: zones}
			var even, grow, primaries, changed figure
			var last *ring.Ring
			for n := 3; n <= 100; n++ {
				r := build(t, s, bound.partitions, 3, numbered(n, zones))
				require.Zero(t, r.Spread().ZoneViolations)
				if last != nil {
					even.add(fullest(r), 1000)
					grow.add(moved(t, last, r), 1000)
					plan, err := rebalance.Diff(last, r)
					require.NoError(t, err)
					_, primary := slots(r)
					primaries.add(most(primary)*n, bound.partitions)
					changed.add(plan.PrimaryChanges, primary[fmt.Sprint("orders-", n-1)])
				}
				last = r
			}
			t.Logf("%d partitions, %d zones: load %v, moves %v, primaries %v, primaries that move %v", bound.partitions, zones, even, grow, primaries, changed)
			require.LessOrEqual(t, even.worst, bound.even)
			require.Equal(t, 1000, grow.worst)
			require.LessOrEqual(t, primaries.worst, 1320)
			require.LessOrEqual(t, changed.mean(), 1450)
		}
	}
}

// Two members are lost, one after the other, anywhere: neighbours, members of one zone, the highest,
// and any other. The first moves only its own slots. So does the second with 4096 partitions.
func TestOrdinalHoles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, bound := range measured {
		for _, zones := range []int{1, 3} {
			s := rebalance.Ordinal{Prefix: "orders-", Zones: zones}
			var even, first, second figure
			for n := 9; n <= 100; n += 7 {
				all := build(t, s, bound.partitions, 3, numbered(n, zones))
				a := random.IntN(n - 4)
				for _, pair := range [][2]int{{a + 1, a}, {a, a + zones}, {a, n - 1}, {n - 1, a}, {n - 2, n - 1}, {a, (a + 1 + random.IntN(n-1)) % n}} {
					one := build(t, s, bound.partitions, 3, numbered(n, zones, pair[0]))
					two := build(t, s, bound.partitions, 3, numbered(n, zones, pair[0], pair[1]))
					first.add(moved(t, all, one), 1000)
					second.add(moved(t, one, two), 1000)
					even.add(max(fullest(one), fullest(two)), 1000)
				}
			}
			t.Logf("%d partitions, %d zones: load %v, first %v, second %v", bound.partitions, zones, even, first, second)
			require.LessOrEqual(t, first.worst, 1000)
			require.LessOrEqual(t, second.worst, bound.second)
			require.LessOrEqual(t, second.mean(), bound.secondMean)
			require.LessOrEqual(t, even.worst, bound.evenWithHoles)
		}
	}
}

// Many members are missing. One more, or the loss of the highest, moves little more than its slots.
func TestOrdinalManyHoles(t *testing.T) {
	const n = 60
	random := rand.New(rand.NewPCG(5, 6))
	for zones, bound := range map[int]struct{ even, next, highest int }{1: {1060, 1020, 1020}, 3: {1060, 1020, 1250}} {
		s := rebalance.Ordinal{Prefix: "orders-", Zones: zones}
		var even, next, highest figure
		for _, holes := range []int{3, 6, 12, 24} {
			for range 4 {
				lost := random.Perm(n - 2)[:holes+1]
				before := build(t, s, 4096, 3, numbered(n, zones, lost[1:]...))
				even.add(fullest(before), 1000)
				next.add(moved(t, before, build(t, s, 4096, 3, numbered(n, zones, lost...))), 1000)
				highest.add(moved(t, before, build(t, s, 4096, 3, numbered(n-1, zones, lost[1:]...))), 1000)
			}
		}
		t.Logf("%d zones: load %v, next %v, highest %v", zones, even, next, highest)
		require.LessOrEqual(t, even.worst, bound.even)
		require.LessOrEqual(t, next.worst, bound.next)
		require.LessOrEqual(t, highest.mean(), bound.highest)
	}
}

// With every second of thousands of numbers missing there are no backups, and the race gives out all slots.
func TestOrdinalWithoutBackups(t *testing.T) {
	nodes := numbered(3000, 1)
	for i := range 1500 {
		nodes[i] = nodes[2*i]
	}
	c := strategytest.Cluster{Nodes: nodes[:1500], PartitionCount: 4096, ReplicationFactor: 3}
	s := rebalance.Ordinal{Prefix: "orders-"}
	require.NoError(t, s.Fits(ring.Topology{Nodes: c.Nodes, PartitionCount: c.PartitionCount, Replicas: 3}))
	require.LessOrEqual(t, fullest(build(t, s, c.PartitionCount, 3, c.Nodes)), 1500) // 12 slots, where 8.2 are fair
}

// Where no number is missing, version 1 gives the same table.
func TestOrdinalVersionsDifferInHolesAlone(t *testing.T) {
	table := func(version int, without ...int) (ids []string) {
		return ownersOf(t, rebalance.Ordinal{Prefix: "orders-", Zones: 3, Version: version}, strategytest.Cluster{
			Nodes: append(numbered(20, 3, without...), ring.Node{ID: "guest", Zone: "zone-1"}), PartitionCount: 512, ReplicationFactor: 4,
		})
	}
	require.Equal(t, table(1), table(2))
	require.NotEqual(t, table(1, 7), table(2, 7))
}

// A zone is lost: only its slots move, and each other zone has one and a half of it.
func TestOrdinalLosesAZone(t *testing.T) {
	s := rebalance.Ordinal{Prefix: "orders-", Zones: 3}
	for _, n := range []int{6, 12, 30, 100} {
		all := numbered(n, 3)
		lost := slices.DeleteFunc(slices.Clone(all), func(n ring.Node) bool { return n.Zone == "zone-1" })
		r := build(t, s, 4096, 3, lost)
		require.Equal(t, 1000, moved(t, build(t, s, 4096, 3, all), r), "%d members", n)
		require.Zero(t, r.Spread().ZoneViolations)
		require.LessOrEqual(t, fullest(r), 1080, "%d members", n)
	}
}

// The order of zones may differ from block to block.
func TestOrdinalShuffledZones(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := rebalance.Ordinal{Prefix: "orders-", Zones: 3}
	nodes := numbered(60, 3)
	for block := range slices.Chunk(nodes, 3) {
		random.Shuffle(3, func(i, j int) { block[i].Zone, block[j].Zone = block[j].Zone, block[i].Zone })
	}
	all := build(t, s, 4096, 3, nodes)
	require.LessOrEqual(t, fullest(all), 1010)
	require.Equal(t, 1000, moved(t, build(t, s, 4096, 3, nodes[:59]), all))
	require.Equal(t, 1000, moved(t, all, build(t, s, 4096, 3, append(slices.Clone(nodes[:20]), nodes[21:]...))))
}

// Members without a number take their share from the others, also while numbers are missing.
func TestOrdinalJoiners(t *testing.T) {
	for _, zones := range []int{1, 3} {
		s := rebalance.Ordinal{Prefix: "orders-", Zones: zones}
		for _, nodes := range [][]ring.Node{numbered(12, zones), numbered(30, zones), numbered(30, zones, 4, 12, 17)} {
			for i := range 3 {
				before := build(t, s, 4096, 3, nodes)
				nodes = append(nodes, ring.Node{ID: fmt.Sprint("guest-", i), Zone: fmt.Sprint("zone-", i%zones), Weight: 1})
				after := build(t, s, 4096, 3, nodes)
				require.LessOrEqual(t, fullest(after), 1030)
				require.LessOrEqual(t, moved(t, before, after), 1350)
			}
		}
	}
}

// Where partitions have more owners than there are zones, the slots beyond one in each zone are placed by
// a race. The loads of a zone differ then, and a change at the end moves more.
func TestOrdinalOwnersBeyondZones(t *testing.T) {
	for _, tc := range []struct{ zones, replicas int }{{2, 3}, {3, 5}, {4, 7}} {
		if testing.Short() && tc.zones > 2 {
			continue // builds dozens of rings
		}
		s := rebalance.Ordinal{Prefix: "orders-", Zones: tc.zones}
		var grow figure
		for n := tc.replicas + 2; n <= 24; n++ {
			before := build(t, s, 4096, tc.replicas, numbered(n-1, tc.zones))
			after := build(t, s, 4096, tc.replicas, numbered(n, tc.zones))
			owned, _ := slots(after)
			plan, err := rebalance.Diff(before, after)
			require.NoError(t, err)
			grow.add(len(plan.Moves), owned[fmt.Sprint("orders-", n-1)])
		}
		t.Logf("%d owners in %d zones: %v", tc.replicas, tc.zones, grow)
		require.LessOrEqual(t, grow.mean(), 1400)
		require.LessOrEqual(t, grow.worst, 1900)
	}
}

// Where a condition does not hold, tables are those of Balanced, and Fits says why.
func TestOrdinalFallsBack(t *testing.T) {
	change := func(nodes []ring.Node, changes ...func(*ring.Node)) []ring.Node {
		for i, c := range changes {
			c(&nodes[i])
		}
		return nodes
	}
	for want, tc := range map[string]struct {
		zones, replicas int
		nodes           []ring.Node
	}{
		"":                               {1, 3, numbered(5, 1)},
		"the members are in 2 regions: ": {1, 3, change(numbered(5, 1), func(n *ring.Node) { n.Region = "eu" })},
		"the members are in 3 zones: ":   {2, 3, numbered(6, 3)},
		"a partition has 2 owners, and Zones is 3: ":      {3, 2, numbered(6, 3)},
		"the members have different weights":              {1, 3, change(numbered(5, 1), func(n *ring.Node) { n.Weight = 2 })},
		"the highest number is 79, with 4 ":               {1, 3, append(numbered(3, 1), numbered(80, 1)[79])},
		"2 of 5 members have no number after \"orders-\"": {1, 3, change(numbered(5, 1), func(n *ring.Node) { n.ID = "orders-00" }, func(n *ring.Node) { n.ID = "orders--1" })},
		"4 of 6 members have no number after":             {3, 3, numbered(6, 1)},
	} {
		s := rebalance.Ordinal{Prefix: "orders-", Zones: tc.zones}
		r := build(t, s, 512, tc.replicas, tc.nodes)
		plan, err := rebalance.Diff(r, build(t, rebalance.Balanced{}, 512, tc.replicas, tc.nodes))
		require.NoError(t, err)
		same := len(plan.Moves) == 0 && plan.PrimaryChanges == 0
		err = s.Fits(ring.Topology{Nodes: r.Nodes(), PartitionCount: 512, Replicas: tc.replicas})
		if want == "" {
			require.NoError(t, err)
			require.False(t, same)
			continue
		}
		require.ErrorContains(t, err, want)
		require.True(t, same, want)
	}
}

func TestOrdinalNames(t *testing.T) {
	for s, name := range map[rebalance.Ordinal]string{
		{}:                            "ordinal/2::zones=1",
		{Prefix: "a-", Version: 1}:    "ordinal/1:a-:zones=1",
		{Prefix: "orders-", Zones: 3}: "ordinal/2:orders-:zones=3",
		{Prefix: "a, b"}:              "ordinal/2:010d6384b54fb62f:zones=1",
		{Prefix: strings.Repeat("x", 60), Zones: 16}: "ordinal/2:e4856937d8736639:zones=16",
	} {
		require.Equal(t, name, s.Name())
		require.NoError(t, ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: s}.Validate())
	}
	for _, zones := range []int{-1, 16 + 1} {
		s := rebalance.Ordinal{Zones: zones}
		require.EqualError(t, s.Validate(), fmt.Sprintf("Zones is %d: must be between 1 and 16, or 0 for 1", zones))
		require.EqualError(t, rebalance.Ordinal{Version: 3}.Validate(), "Version is 3: must be between 1 and 2, or 0 for the newest")
		topology := ring.Topology{Nodes: []ring.Node{{ID: "a", Weight: 1}}, PartitionCount: 1, Replicas: 1}
		require.ErrorContains(t, s.Assign(topology, ring.NewTable(topology)), "rebalance: ordinal: Zones is ")
	}
}

// Invariants hold for numbers with and without holes, members without numbers, zones in and
// out of order, and any number of owners.
func TestOrdinalInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rebalance.Ordinal{Prefix: "orders-", Zones: rapid.IntRange(1, 4).Draw(t, "zones")}
		ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 1, 40, rapid.ID[int]).Draw(t, "numbers")
		inOrder := rapid.Bool().Draw(t, "zones in order")
		c := strategytest.Cluster{PartitionCount: rapid.IntRange(1, 60).Draw(t, "partitions"), ReplicationFactor: rapid.IntRange(1, 16).Draw(t, "replicas")}
		for i, number := range ids {
			zone := number % s.Zones
			if !inOrder {
				zone = rapid.IntRange(0, s.Zones-1).Draw(t, "zone")
			}
			id := fmt.Sprint("orders-", number)
			if i > 0 && i%5 == 0 && rapid.Bool().Draw(t, "no number") {
				id = fmt.Sprint("guest-", number)
			}
			c.Nodes = append(c.Nodes, ring.Node{ID: id, Zone: fmt.Sprint("zone-", zone), Weight: 3})
		}
		check(t, s, c)
	})
}

// The tables are part of the protocol, as those of TestGoldenFingerprints.
func TestOrdinalGolden(t *testing.T) {
	guests := append(numbered(30, 3, 4, 11), ring.Node{ID: "guest", Zone: "zone-0"})
	for i, tc := range []struct {
		zones, partitions, replicas int
		nodes                       []ring.Node
		want                        [2]string // of versions 1 and 2
	}{
		{1, 271, 3, numbered(10, 1), [2]string{"0a66221a294fc60d", "8a0662ae43ee194a"}},
		{1, 4096, 3, numbered(40, 1, 3, 17, 38), [2]string{"b2129f610594cf8e", "c31fa2f2c234010c"}},
		{3, 4096, 3, numbered(30, 3), [2]string{"49875390b6c520f1", "12e5fa9c63d4db6d"}},
		{3, 1000, 5, numbered(31, 3, 0, 7, 29), [2]string{"34cdee5fa9065441", "b1acfc4d37a5dd69"}},
		{1, 700, 3, append(numbered(20, 1, 3, 9), ring.Node{ID: "guest", Zone: "zone-0"}), [2]string{"2825ceba1c640228", "c9277fbeed917387"}},
		{3, 512, 3, guests, [2]string{"553425f83e8b77ed", "c8d69b1f2bd249d6"}},
	} {
		for v, want := range tc.want {
			s := rebalance.Ordinal{Prefix: "orders-", Zones: tc.zones, Version: v + 1}
			assert.Equal(t, want, build(t, s, tc.partitions, tc.replicas, tc.nodes).Fingerprint().String(), "cluster %d, version %d", i, v+1)
		}
	}
}
