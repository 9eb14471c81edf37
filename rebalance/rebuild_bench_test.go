package rebalance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// BenchmarkRebuild measures the whole time to make a ring of 1000 nodes, 65,536
// partitions and three owners: the strategy, the checks, the fingerprint. For
// comparison it measures Add and Remove of package consistent, which place primaries
// only.
func BenchmarkRebuild(b *testing.B) {
	const members, partitions = 1000, 65_536
	config := ring.Config{PartitionCount: partitions, ReplicationFactor: 3, Strategy: rebalance.Rendezvous{}}
	for _, zones := range []int{1, 10} {
		for _, weights := range []string{"equal", "mixed"} {
			b.Run(fmt.Sprintf("zones=%d/weights=%s", zones, weights), func(b *testing.B) {
				nodes := uniform(zones, members/zones)
				for i := range nodes {
					if weights == "mixed" {
						nodes[i].Weight = 1 + i%4
					}
				}
				slices.SortFunc(nodes, func(a, b ring.Node) int { return strings.Compare(a.ID, b.ID) }) // sorted, as the nodes of a ring are
				without := slices.Delete(slices.Clone(nodes), members/2, members/2+1)
				full, smaller := build(b, config.Strategy, partitions, 3, nodes), build(b, config.Strategy, partitions, 3, without)
				for _, step := range []struct {
					name     string
					previous *ring.Ring
					nodes    []ring.Node
					want     *ring.Ring
				}{{"full", nil, nodes, full}, {"join", smaller, nodes, full}, {"leave", full, without, smaller}} {
					b.Run(step.name, func(b *testing.B) {
						b.ReportAllocs()
						for b.Loop() {
							r, err := ring.Rebuild(step.previous, config, step.nodes)
							if err != nil || r.Fingerprint() != step.want.Fingerprint() {
								b.Fatal(err, r.Fingerprint())
							}
						}
					})
				}
			})
		}
	}
	b.Run("consistent", func(b *testing.B) {
		var list []consistent.Member
		for i := range members {
			list = append(list, peer(fmt.Sprintf("node-%04d", i)))
		}
		c := consistent.New(list, consistent.Config{Hasher: xx{}, PartitionCount: partitions, ReplicationFactor: 20, Load: 1.25})
		b.Run("Add", func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				c.Remove("node-0500")
				b.StartTimer()
				c.Add(peer("node-0500"))
			}
		})
		b.Run("Remove", func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				c.Add(peer("node-0500"))
				b.StartTimer()
				c.Remove("node-0500")
			}
		})
	})
}

type peer string

func (p peer) String() string { return string(p) }

type xx struct{}

func (xx) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
