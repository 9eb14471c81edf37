package rebalance_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/rebalance/strategytest"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/ring/option"
)

func TestInvariants(t *testing.T) {
	each(t, func(t *rapid.T, s ring.RebalanceStrategy) {
		check(t, s, generated(1, 24).Draw(t, "cluster"))
	})
}

// check requires the properties that every strategy has.
func check(t *rapid.T, s ring.RebalanceStrategy, c strategytest.Cluster) {
	require.NoError(t, strategytest.CheckCluster(s, c, strategytest.Options{Seed: rapid.Uint64().Draw(t, "seed")}))
}

func TestNames(t *testing.T) {
	for s, name := range map[ring.RebalanceStrategy]string{
		rebalance.Rendezvous{}:                                     "rendezvous/4",
		rebalance.Rendezvous{Version: 3}:                           "rendezvous/3",
		rebalance.Rendezvous{Version: 2}:                           "rendezvous/2",
		rebalance.Rendezvous{Version: 1}:                           "rendezvous/1",
		rebalance.RoundRobin{}:                                     "round-robin/1",
		rebalance.Balanced{Slack: 7, Overload: 1500}:               "balanced/3:slack=7:overload=1500",
		rebalance.Balanced{Overload: 2000, Version: 2}:             "balanced/2",
		rebalance.Balanced{Overload: option.None}:                  "balanced/3:overload=none",
		rebalance.Balanced{Version: 1, Slack: option.None}:         "balanced/1:slack=exact",
		rebalance.ConsistentHash{}:                                 "consistent-hash/4:load=1250:vnodes=20",
		rebalance.ConsistentHash{Load: 1250, VirtualNodes: 20}:     "consistent-hash/4:load=1250:vnodes=20",
		rebalance.ConsistentHash{Version: 3}:                       "consistent-hash/3:load=1250:vnodes=20",
		rebalance.ConsistentHash{Version: 2}:                       "consistent-hash/2:load=1250:vnodes=20",
		rebalance.ConsistentHash{Version: 1}:                       "consistent-hash/1:load=1250:vnodes=20",
		rebalance.ConsistentHash{Load: 10_000, VirtualNodes: 1000}: "consistent-hash/4:load=10000:vnodes=1000",
	} {
		require.Equal(t, name, s.Name())
		require.NoError(t, ring.Config{PartitionCount: 1, ReplicationFactor: 1, Strategy: s}.Validate())
	}
}

func TestVersions(t *testing.T) {
	for _, version := range []int{-1, 5} {
		require.EqualError(t, rebalance.Rendezvous{Version: version}.Validate(), fmt.Sprintf("Version is %d: must be between 1 and 4, or 0 for the newest", version))
		topology := ring.Topology{Nodes: []ring.Node{{ID: "a", Weight: 1}}, PartitionCount: 1, Replicas: 1}
		require.ErrorContains(t, rebalance.Rendezvous{Version: version}.Assign(topology, ring.NewTable(topology)), "rebalance: rendezvous: Version is ")
		require.ErrorContains(t, rebalance.Balanced{Version: version}.Assign(topology, ring.NewTable(topology)), "rebalance: balanced: Version is ")
		require.ErrorContains(t, rebalance.ConsistentHash{Version: version}.Assign(topology, ring.NewTable(topology)), "rebalance: consistent hash: Version is ")
	}
}

// The tables are part of the protocol: members of every release and architecture must
// derive exactly the same tables.
func TestGoldenFingerprints(t *testing.T) {
	weighted := uniform(3, 4)
	for i := range weighted {
		weighted[i].Weight = 1 + i*i*i
	}
	uneven := []ring.Node{
		{ID: "a", Region: "eu", Zone: "1"}, {ID: "b", Region: "eu", Zone: "1"}, {ID: "c", Region: "eu", Zone: "2"},
		{ID: "d", Region: "us", Zone: "1"}, {ID: "e", Region: "us", Zone: "1"}, {ID: "f", Region: "us", Zone: "1", Weight: 1 << 20},
	}
	got := make(map[string][]string)
	all := slices.Clone(strategies)
	for _, version := range []int{2, 3} {
		all = append(all, rebalance.Rendezvous{Version: version}, rebalance.ConsistentHash{Version: version}, rebalance.ConsistentHash{Load: 1000, VirtualNodes: 1, Version: version})
	}
	for _, s := range all {
		for _, c := range []strategytest.Cluster{
			{Nodes: []ring.Node{{ID: "only"}}, PartitionCount: 1, ReplicationFactor: 3},
			{Nodes: uniform(1, 10), PartitionCount: 271, ReplicationFactor: 3},
			{Nodes: uniform(3, 10), PartitionCount: 4096, ReplicationFactor: 3},
			{Nodes: weighted, PartitionCount: 1000, ReplicationFactor: 2},
			{Nodes: uneven, PartitionCount: 512, ReplicationFactor: 5},
			{Nodes: seeded(1, 1, 9, 9, 1), PartitionCount: 300, ReplicationFactor: 3},
		} {
			got[s.Name()] = append(got[s.Name()], build(t, s, c.PartitionCount, c.ReplicationFactor, c.Nodes).Fingerprint().String())
		}
	}
	require.Equal(t, map[string][]string{
		"balanced/1":                            {"f2ef96d0e3ca723a", "ee6f7980daddf542", "9f555bb681f4f5ea", "dbe2120763733808", "77e037cf9c053cb8", "e402c2db492605d8"},
		"balanced/2":                            {"767f4fb145f10e39", "e7fe02434d2bbd2f", "592855018e97d8c6", "ff99444eff8fd3e5", "f0e9724790681311", "a1444ebb0686520f"},
		"balanced/3":                            {"aa31522ae9ef43e2", "d37300b6166c5e53", "4ae2fbc003a5b0dc", "1c8fc2dcd7807358", "6691c9d793505904", "9a1b530717981242"},
		"balanced/3:overload=none":              {"46e0269c66d6ae8d", "92af388f611d2633", "817486deb0179eb1", "03b280a53f10398b", "79945dda614da9c4", "49e1cebabf8ca301"},
		"balanced/3:slack=50":                   {"c1d383932b4688c9", "6884877299c412bf", "5a6a2eeec9dc43bb", "e77feb4dc0c6eb5e", "fb10b818f3be0453", "7aaccae14e339750"},
		"balanced/3:slack=exact":                {"9e834db3b4bffa18", "b9e236ed1416f558", "a8d62c1874b8818e", "a41f76f738c51dba", "d07432f25d152ad4", "ac1b843a76d41679"},
		"consistent-hash/1:load=1250:vnodes=20": {"d0514c4342a7a3ce", "4036a82ca8410336", "83e04efc12c4acf6", "f7eca3606593ef8d", "eec396af2a2477a3", "a6d360ef3a957f8c"},
		"consistent-hash/2:load=1000:vnodes=1":  {"7628c8301b2bfc5c", "3b7b6a78178869b8", "3a599ee87fa5997f", "926b0576525f9d39", "f766ef399be9ec2a", "280ef5153bcb6343"},
		"consistent-hash/2:load=1250:vnodes=20": {"fcf786ac8a0abf6b", "f200bce5306e612b", "19f28407840a74b6", "e090f4def3778071", "2bdf53b50034892e", "5ee47e5abd63f0a8"},
		"consistent-hash/3:load=1000:vnodes=1":  {"c7aafff5d03d1f78", "730e0a2e338223a9", "f862fec388fd00cc", "6681f0c87e5ed59f", "f2cc23d753046eff", "f2de69a53ef432e5"},
		"consistent-hash/3:load=1250:vnodes=20": {"c17fdcc6421b5672", "d74b7e81f61db9b8", "147157d93d4c4d55", "e758cfb022c84809", "e8304879db9b880b", "8c4f34ba2a3eadbe"},
		"consistent-hash/4:load=1000:vnodes=1":  {"fc958d1352a9ffb1", "4ff4fe02c1da1289", "1bd93cc1bf33dee4", "9b21ecf417ac0966", "ad2c0a1663b5e8cf", "61590791fb40962d"},
		"consistent-hash/4:load=1250:vnodes=20": {"912fd019c03bb65f", "f09b67487bcafbb8", "cf3ba1cb138f8d9c", "f19f035f4852bbd6", "8e4ba25d4bb84c3e", "2d37672f9ce1c636"},
		"ordinal/1:node-0-:zones=1":             {"c7c7442acb39921a", "c6065d3a8716a031", "6ed4b6c60255494e", "0df58059f87dee8d", "d0b3787de2e3dbd1", "ddc9dbeb754bdded"},
		"ordinal/2:node-0-:zones=1":             {"c5f4994fae73f815", "46cb505f4ac6a442", "e1b6ff084bf182a3", "b296cb230d97243a", "06d77a26d231657e", "09c5360b506f1164"},
		"rendezvous/1":                          {"27110c79ecb24056", "6e4f95eeadfb1e48", "346a7e0736a657e0", "7eb2cb29174bb446", "7356edc5f57b9d97", "66776420f9c20364"},
		"rendezvous/2":                          {"36fa5c450f456809", "0b65f56e94833c74", "65373f303c0ebf06", "6041e68616c3e31d", "82eafed850b7fc7a", "fab0d6b6ef6b802d"},
		"rendezvous/3":                          {"26983ed3c70e1d68", "f34a828b8664891a", "3bfdedef99d5eb58", "58187c6142635b62", "0c2c566f75247741", "a0a7fc93151ea9d6"},
		"rendezvous/4":                          {"6fb92b0f6c7669d0", "aaf3d70b23e048c7", "5359dc251a1ee049", "12996d984087b4f5", "d6969ff4829546d3", "504b71656ada66be"},
		"round-robin/1":                         {"799f343f95552038", "09e828b26ee6ece7", "579d64ed9a3db352", "e09505b1e0003656", "fd93a6e357f055e4", "6116e7c3e0814c0d"},
	}, got)
}

// A join or a leave that does not change the set of zones moves at most one owner of a
// row, and only to the joining or from the leaving node.
func TestRendezvousMovesTheMinimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := strategytest.Cluster{
			PartitionCount:    64,
			ReplicationFactor: rapid.IntRange(1, 6).Draw(t, "replicas"),
		}
		// Every zone has at least as many nodes as a row has owners, so that no zone
		// has too few nodes and a join changes no limits.
		var places []ring.Node
		for i := range rapid.IntRange(1, 5).Draw(t, "zones") {
			p := ring.Node{Region: rapid.SampledFrom([]string{"eu", "us"}).Draw(t, "region"), Zone: fmt.Sprint(i)}
			places = append(places, p)
			for j := range rapid.IntRange(c.ReplicationFactor, 8).Draw(t, "size") {
				c.Nodes = append(c.Nodes, ring.Node{
					ID: fmt.Sprintf("%d-%d", i, j), Region: p.Region, Zone: p.Zone,
					Weight: rapid.SampledFrom([]int{1, 1, 2, 9, 1 << 20}).Draw(t, "weight"),
				})
			}
		}
		p := rapid.SampledFrom(places).Draw(t, "place")
		joiner := ring.Node{ID: "x", Region: p.Region, Zone: p.Zone, Weight: rapid.SampledFrom([]int{1, 5, 1 << 20}).Draw(t, "joiner's weight")}
		require.NoError(t, strategytest.MovesOnlyToJoiner(rebalance.Rendezvous{Version: 2}, c, joiner))
		if s := (rebalance.Rendezvous{}); !yields(t, s, c) && !yields(t, s, c.With(joiner)) {
			require.NoError(t, strategytest.MovesOnlyToJoiner(s, c, joiner))
		}
	})
}

// When a node leaves, at most one owner of a row changes, as long as no zone runs out of
// nodes: always with Rendezvous, and with ConsistentHash where a row has one owner in a
// zone.
func TestOneLeaveChangesOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.IntRange(1, 6).Draw(t, "zones")
		c := strategytest.Cluster{
			PartitionCount:    rapid.IntRange(1, 200).Draw(t, "partitions"),
			ReplicationFactor: rapid.IntRange(1, 5).Draw(t, "replicas"),
		}
		for z := range zones {
			for i := range rapid.IntRange(c.ReplicationFactor+1, 9).Draw(t, "size") {
				c.Nodes = append(c.Nodes, ring.Node{ID: fmt.Sprint(z, "-", i), Region: fmt.Sprint(z % 2), Zone: fmt.Sprint(z), Weight: rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "weight")})
			}
		}
		leaver := rapid.IntRange(0, len(c.Nodes)-1).Draw(t, "leaver")
		require.NoError(t, strategytest.OneOwnerALeave(rebalance.Rendezvous{Version: 2}, c, leaver))
		if s := (rebalance.Rendezvous{}); !yields(t, s, c) && !yields(t, s, c.Without(leaver)) {
			require.NoError(t, strategytest.OneOwnerALeave(s, c, leaver))
		}
		require.NoError(t, strategytest.OneOwnerALeave(rebalance.Rendezvous{Version: 1}, c, leaver))
		c.ReplicationFactor = min(c.ReplicationFactor, zones)
		require.NoError(t, strategytest.OneOwnerALeave(rebalance.ConsistentHash{Version: 2}, c, leaver))
		if alike(t, c) && alike(t, c.Without(leaver)) {
			require.NoError(t, strategytest.OneOwnerALeave(rebalance.ConsistentHash{}, c, leaver))
		}
	})
}

// yields reports whether rows span fewer zones because the members of some zone are too few.
func yields(t require.TestingT, s interface {
	ring.RebalanceStrategy
	Yields(ring.Topology) error
}, c strategytest.Cluster) bool {
	r, err := c.Build(s)
	require.NoError(t, err)
	return s.Yields(topologyOf(r)) != nil
}

// alike reports whether both versions of ConsistentHash give the same table, because no zone is too
// small for it.
func alike(t require.TestingT, c strategytest.Cluster) bool {
	return slices.Equal(ownersOf(t, rebalance.ConsistentHash{}, c), ownersOf(t, rebalance.ConsistentHash{Version: 2}, c))
}

// ownersOf returns the owners of all rows.
func ownersOf(t require.TestingT, s ring.RebalanceStrategy, c strategytest.Cluster) (ids []string) {
	r, err := c.Build(s)
	require.NoError(t, err)
	for _, p := range r.All() {
		for _, n := range p.All() {
			ids = append(ids, n.ID())
		}
	}
	return ids
}

// No member owns more than its limit.
func TestNoMemberAboveItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "members")
		c := strategytest.Cluster{Nodes: uniform(1, n), PartitionCount: rapid.IntRange(1, 1000).Draw(t, "partitions"), ReplicationFactor: rapid.IntRange(1, 5).Draw(t, "replicas")}
		slots := c.PartitionCount * min(c.ReplicationFactor, n)
		mean := (slots + n - 1) / n
		require.NoError(t, strategytest.WithinLimit(rebalance.Balanced{Slack: option.None}, c, func(ring.Node) int { return mean }))
		require.NoError(t, strategytest.WithinLimit(rebalance.Balanced{}, c, func(ring.Node) int {
			over := 0 // three quarters of the root of the mean
			for 16*(over+1)*(over+1)*n <= 9*slots {
				over++
			}
			return mean + over + 1
		}))
	})
}

// A member's load is within a quarter of the mean.
func TestConsistentHashIsEven(t *testing.T) {
	for seed := range 10 {
		owned, _ := slots(build(t, rebalance.ConsistentHash{}, 4096, 3, seeded(seed, 1, 10)))
		for id, n := range owned {
			require.InDelta(t, 4096*3/10, n, 4096*3/10/4, "seed %d, member %s", seed, id)
		}
	}
}

// movement returns how many slots move for each hundred slots that a joining node gains
// or a leaving node loses, and the same for primaries. It sums over ten joins and ten
// leaves. A hundred is the minimum.
func movement(t *testing.T, s ring.RebalanceStrategy, zones, each int) (join, leave, primaries int) {
	nodes := uniform(zones, each)
	r := build(t, s, 4096, 3, nodes)
	var gained, joined, became, changed, lost, left int
	for i := range 10 {
		id := fmt.Sprintf("joiner-%d", i)
		to, plan, err := rebalance.WhatIf(r, rebalance.Change{Add: []ring.Node{{ID: id, Region: "eu", Zone: "eu-0"}}})
		require.NoError(t, err)
		owned, primary := slots(to)
		gained += owned[id]
		joined += len(plan.Moves)
		became += primary[id]
		changed += plan.PrimaryChanges

		owned, _ = slots(r)
		_, plan, err = rebalance.WhatIf(r, rebalance.Change{Remove: []string{nodes[i].ID}})
		require.NoError(t, err)
		lost += owned[nodes[i].ID]
		left += len(plan.Moves)
	}
	return joined * 100 / gained, left * 100 / lost, changed * 100 / became
}

func TestMovement(t *testing.T) {
	for _, tc := range []struct {
		strategy               ring.RebalanceStrategy
		zones, each            int
		join, leave, primaries int // at most
	}{
		{rebalance.Rendezvous{}, 1, 100, 100, 100, 100},
		{rebalance.Rendezvous{}, 3, 10, 100, 100, 100},
		{rebalance.Rendezvous{}, 5, 6, 100, 100, 100},
		{rebalance.Rendezvous{Version: 1}, 3, 10, 100, 100, 100},
		{rebalance.ConsistentHash{}, 1, 100, 150, 150, 300},
		{rebalance.ConsistentHash{}, 3, 10, 110, 110, 300},
		{rebalance.ConsistentHash{}, 5, 6, 110, 110, 300},
	} {
		t.Run(fmt.Sprintf("%s/%dx%d", tc.strategy.Name(), tc.zones, tc.each), func(t *testing.T) {
			join, leave, primaries := movement(t, tc.strategy, tc.zones, tc.each)
			t.Log("join", join, "leave", leave, "primaries", primaries)
			assert.LessOrEqual(t, join, tc.join)
			assert.LessOrEqual(t, leave, tc.leave)
			assert.LessOrEqual(t, primaries, tc.primaries)
		})
	}
}

// A joining node gains its fair share: with one zone 1/101 of the slots, with three
// zones 1/11 of the slots of its zone.
func TestJoinerGainsItsShare(t *testing.T) {
	for _, tc := range []struct{ zones, each, share int }{{1, 100, 4096 * 3 / 101}, {3, 10, 4096 / 11}} {
		gained := 0
		for i := range 40 {
			id := fmt.Sprintf("joiner-%d", i)
			owned, _ := slots(build(t, rebalance.Rendezvous{}, 4096, 3, append(uniform(tc.zones, tc.each), ring.Node{ID: id, Region: "eu", Zone: "eu-0"})))
			gained += owned[id]
		}
		t.Log(tc.zones, "x", tc.each, "gained per thousand of the share", gained*1000/(40*tc.share))
		require.InEpsilon(t, tc.share*40, gained, 0.05)
	}
}

// When one of a hundred nodes is lost, many others take its slots over.
func TestLostLoadIsShared(t *testing.T) {
	for _, s := range []ring.RebalanceStrategy{rebalance.Rendezvous{}, rebalance.ConsistentHash{}} {
		r := build(t, s, 4096, 3, uniform(1, 100))
		_, plan, err := rebalance.WhatIf(r, rebalance.Change{Remove: []string{"node-0-50"}})
		require.NoError(t, err)
		heirs, most, lost := 0, 0, 0
		for _, m := range plan.Members {
			if m.Gained > m.Lost {
				heirs++
			}
			most, lost = max(most, m.Gained-m.Lost), max(lost, m.Lost)
		}
		t.Log(s.Name(), heirs, "heirs, the largest takes", most, "of", lost)
		require.GreaterOrEqual(t, heirs, 50, s.Name())
		require.LessOrEqual(t, most*100, lost*8, s.Name())
	}
}

func TestBalance(t *testing.T) {
	for _, tc := range []struct {
		strategy       ring.RebalanceStrategy
		zones, each    int
		owned, primary int // the largest load of a node, per thousand of the mean
	}{
		{rebalance.Rendezvous{}, 1, 10, 1040, 1080},
		{rebalance.Rendezvous{}, 1, 100, 1180, 1400},
		{rebalance.Rendezvous{}, 3, 10, 1090, 1200},
		{rebalance.Rendezvous{}, 5, 6, 1100, 1200},
		{rebalance.ConsistentHash{}, 1, 10, 1250, 1255},
		{rebalance.ConsistentHash{}, 1, 100, 1250, 1270},
		{rebalance.ConsistentHash{}, 3, 10, 1200, 1260},
		{rebalance.ConsistentHash{Load: 1050}, 3, 10, 1150, 1060},
		{rebalance.RoundRobin{}, 1, 100, 1002, 1010},
		{rebalance.RoundRobin{}, 3, 10, 1002, 1010},
	} {
		t.Run(fmt.Sprintf("%s/%dx%d", tc.strategy.Name(), tc.zones, tc.each), func(t *testing.T) {
			r := build(t, tc.strategy, 4096, 3, uniform(tc.zones, tc.each))
			owned, primary := slots(r)
			members := tc.zones * tc.each
			most := func(counts map[string]int, slots int) int {
				fullest := 0
				for _, n := range counts {
					fullest = max(fullest, n)
				}
				return fullest * members * 1000 / slots
			}
			o, p := most(owned, 3*4096), most(primary, 4096)
			t.Log("owned", o, "primary", p)
			assert.LessOrEqual(t, o, tc.owned)
			assert.LessOrEqual(t, p, tc.primary)
		})
	}
}

func TestRoundRobinEvensOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		regions, zones, size := rapid.IntRange(1, 3).Draw(t, "regions"), rapid.IntRange(1, 4).Draw(t, "zones"), rapid.IntRange(1, 6).Draw(t, "nodes of a zone")
		var nodes []ring.Node
		for i := range regions * zones * size {
			nodes = append(nodes, ring.Node{ID: fmt.Sprint(i), Region: fmt.Sprint(i % regions), Zone: fmt.Sprint(i / regions % zones), Weight: 1 + i})
		}
		r := build(t, rebalance.RoundRobin{}, rapid.IntRange(1, 200).Draw(t, "partitions"), rapid.IntRange(1, 8).Draw(t, "replicas"), nodes)
		least, most := 1<<30, 0
		owned, _ := slots(r)
		for _, n := range owned {
			least, most = min(least, n), max(most, n)
		}
		require.LessOrEqual(t, most-least, min(regions, 2))
	})
}

func TestRoundRobinMovesNearlyEverything(t *testing.T) {
	join, leave, _ := movement(t, rebalance.RoundRobin{}, 1, 100)
	require.Greater(t, join, 5000)
	require.Greater(t, leave, 5000)
}

// A zone gets another name. With the new name on all members nothing moves for Balanced and Rendezvous. While
// members have either name there is a zone more.
func TestZonesThatAreRenamed(t *testing.T) {
	for _, zones := range [][]int{{10, 10, 10}, {16, 12, 8, 4}, {6, 6, 6, 6, 6}, {20, 10}} {
		for _, s := range []ring.RebalanceStrategy{rebalance.Balanced{}, rebalance.Rendezvous{}, rebalance.ConsistentHash{}} {
			nodes := seeded(1, 1, zones...)
			first := build(t, s, 4096, 3, nodes)
			last, path := first, 0
			for i := range nodes {
				if nodes[i].Zone != "0" {
					continue
				}
				nodes[i].Zone = "Zone 0"
				next := build(t, s, 4096, 3, nodes)
				plan, err := rebalance.Diff(last, next)
				require.NoError(t, err)
				path, last = path+len(plan.Moves), next
			}
			plan, err := rebalance.Diff(first, last)
			require.NoError(t, err)
			t.Logf("%v, %s: at once %d, one by one %d of %d", zones, s.Name(), len(plan.Moves), path, plan.Slots)
			if s == (rebalance.ConsistentHash{}) {
				require.Less(t, len(plan.Moves), plan.Slots/4, "%v", zones)
			} else {
				require.True(t, plan.Empty(), "%v, %s", zones, s.Name())
			}
		}
	}
}
