package ring

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// inZones returns nodes in a number of zones of two regions.
func inZones(nodes, zones int) []Node {
	all := make([]Node, nodes)
	for i := range all {
		z := i % zones
		all[i] = Node{ID: fmt.Sprintf("n%03d", i), Region: []string{"eu", "us"}[z%2], Zone: fmt.Sprint("zone-", z)}
	}
	return all
}

func turned(t require.TestingT, partitions, replicas int, nodes []Node) *Ring {
	r, err := Build(Config{PartitionCount: partitions, ReplicationFactor: replicas, Strategy: consecutive{}}, nodes)
	require.NoError(t, err)
	return r
}

// consecutive puts a row on nodes that follow each other.
type consecutive struct{}

func (consecutive) Name() string { return "consecutive" }

func (consecutive) Assign(t Topology, table Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			first := int64(p) * int64(p) % int64(len(t.Nodes))
			table.Row(p)[i] = uint16((int(first) + i) % len(t.Nodes))
		}
	}
	return nil
}

// differs compares the answers for a partition with those of the table itself, and says
// which one differs.
func differs(r *Ring, p int, region, zone, id string) string {
	placement, partition, row := r.Placement(p), uint32(p), r.row(uint32(p))
	closeness := func(n uint16) int {
		switch node := r.nodes[n]; {
		case node.Region != region:
			return 2
		case node.Zone != zone:
			return 1
		}
		return 0
	}
	nearest := slices.Clone(row)
	slices.SortStableFunc(nearest, func(a, b uint16) int { return closeness(a) - closeness(b) })
	near := placement.Prefer(region, zone)
	for i, n := range nearest {
		if near.At(i).ID() != r.nodes[n].ID {
			return fmt.Sprintf("owner %d of %d as seen from %s/%s", i, p, region, zone)
		}
	}
	for i, o := range near.All() {
		if o != near.At(i) {
			return fmt.Sprintf("owner %d of %d as seen from %s/%s, iterated", i, p, region, zone)
		}
	}
	first, _ := placement.Primary()
	if still, _ := near.Primary(); still != first || near.Owns(id) != placement.Owns(id) || near.Token() != placement.Token() {
		return fmt.Sprintf("owners of %d once they are seen from %s/%s", p, region, zone)
	}
	if elsewhere := near.Prefer("us", "zone-1"); elsewhere.At(0) != placement.Prefer("us", "zone-1").At(0) {
		return fmt.Sprintf("owners of %d as seen from %s/%s and then from elsewhere", p, region, zone)
	}
	if placement.Owns(id) != slices.ContainsFunc(row, func(n uint16) bool { return r.nodes[n].ID == id }) {
		return fmt.Sprintf("whether %s owns %d", id, p)
	}
	if r.hash(partition) != r.digest(partition) {
		return fmt.Sprintf("hash of %d", p)
	}
	return ""
}

// Whatever was asked before, a ring answers as its table says.
func TestMemoAnswersLikeTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.IntRange(1, 8).Draw(t, "zones")
		nodes := inZones(rapid.IntRange(1, 40).Draw(t, "nodes"), zones)
		partitions := rapid.IntRange(1, 100).Draw(t, "partitions")
		r := turned(t, partitions, rapid.IntRange(1, 16).Draw(t, "replicas"), nodes)
		seen := rapid.IntRange(1, 7).Draw(t, "zones and nodes that are asked for")
		for range 3 {
			for p := range partitions {
				for i := range seen {
					// Built anew each time, so that no two strings are identical.
					zone := Node{ID: fmt.Sprintf("n%03d", i), Region: []string{"eu", "us", ""}[i%3], Zone: fmt.Sprint("zone-", i)}
					require.Empty(t, differs(r, p, zone.Region, zone.Zone, zone.ID))
				}
				require.Empty(t, differs(r, p, "eu", "zone-0", "n000"))
			}
		}
		require.True(t, r.memo.hashes.Load() != nil && r.memo.nodes[0].Load() != nil)
	})
}

// With sixteen owners nearly every row has an order of its own.
func TestMemoOfManyOrders(t *testing.T) {
	nodes := inZones(1009, 2)
	for i := range nodes {
		nodes[i].Region, nodes[i].Zone = "eu", fmt.Sprint("zone-", mix(uint64(i)+1)%3)
	}
	r := turned(t, 4096, 16, nodes)
	for range 2 {
		for p := range 4096 {
			require.Empty(t, differs(r, p, "eu", "zone-0", "n000"))
		}
	}
	require.NotNil(t, r.views.from[0].Load())
}

// A ring with a target has views of its own, which have the target too. The rings share the tables.
func TestViewsKeepTheTarget(t *testing.T) {
	r, target := turned(t, 64, 3, inZones(20, 3)), turned(t, 64, 3, inZones(21, 3))
	paired, err := r.Toward(target)
	require.NoError(t, err)
	for range 2 {
		for p := range 64 {
			for _, from := range []*Ring{r, paired, paired.settled()} {
				plain := from.Placement(p)
				near := plain.Prefer("eu", "zone-2")
				require.Equal(t, plain.Token(), near.Token())
				require.Equal(t, plain.Target().ring == from, near.Target().ring == near.ring, "no target")
				require.Equal(t, "zone-2", near.At(0).Zone())
			}
		}
	}
	require.Same(t, target, paired.Placement(7).Prefer("eu", "zone-2").Target().ring)
	require.Same(t, &r.memo.zones[0].Load().owners[0], &paired.views.from[0].Load().shown[0])
	require.NotSame(t, r.views.from[0].Load(), paired.views.from[0].Load())
}

func TestMemoForManyGoroutines(t *testing.T) {
	r := turned(t, 1024, 3, inZones(20, 3))
	paired, err := r.Toward(turned(t, 1024, 3, inZones(21, 3)))
	require.NoError(t, err)
	tokens := make([]Token, 1024)
	for p := range tokens {
		h, target := r.digest(uint32(p)), paired.target.digest(uint32(p))
		if tokens[p] = Token(h); h != target {
			tokens[p] = Token(mix(h ^ mix(target)))
		}
	}
	var all sync.WaitGroup
	wrong := make([]string, 4)
	for g := range wrong {
		all.Go(func() {
			region, zone, id := []string{"eu", "us"}[g%2], fmt.Sprint("zone-", g%3), fmt.Sprintf("n%03d", g)
			for i := range 4 * 1024 {
				p := (i*(2*g+1) + g) % 1024
				placement := paired.Placement(p)
				switch {
				case placement.Token() != tokens[p]:
					wrong[g] = fmt.Sprint("token of ", p)
				case placement.Owns(id) != r.search(uint32(p), id):
					wrong[g] = fmt.Sprint("owner of ", p)
				}
				order := r.arrange(uint32(p), region, zone)
				for i, o := range placement.Prefer(region, zone).All() {
					if o.node != &r.nodes[r.row(uint32(p))[order>>(4*i)&15]] {
						wrong[g] = fmt.Sprint("order of ", p)
					}
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, make([]string, 4), wrong)
}

// A ring holds no table until it is asked, and then as few bytes as its documentation
// says. Rings with the same table share it, with and without a target.
func TestMemoTakesLittleMemory(t *testing.T) {
	r := turned(t, 4096, 3, inZones(20, 3))
	for p := range 4096 {
		_, _ = r.Placement(p).Primary()
		_ = r.Placement(p).At(2)
	}
	require.True(t, r.memo.hashPart.Load() == nil && r.memo.zoneParts[0].Load() == nil && r.memo.nodeParts[0].Load() == nil)

	paired, err := r.Toward(turned(t, 4096, 3, inZones(21, 3)))
	require.NoError(t, err)
	require.Same(t, r.memo, paired.memo)
	require.NotSame(t, r.memo, paired.target.memo)
	for i := range 4096 {
		p := paired.Placement(i)
		_ = p.Token()
		for n := range 9 { // more zones and nodes than have tables
			_ = p.Prefer("eu", strings.Repeat("z", n))
			_ = p.Owns(strings.Repeat("n", n))
		}
	}
	for _, m := range []*memo{r.memo, paired.target.memo} {
		require.Len(t, *m.hashes.Load(), 4096)
	}
	for i := range r.memo.zones {
		require.Len(t, r.memo.zones[i].Load().owners, 3*4096)
	}
	for i := range r.memo.nodes {
		require.Len(t, r.memo.nodes[i].Load().bits, 64)
	}

	// Another start of a node is another token, so nothing is shared with that ring.
	nodes := inZones(20, 3)
	nodes[0].Start = 7
	restarted, err := Rebuild(r, r.config, nodes)
	require.NoError(t, err)
	require.NotSame(t, r.memo, restarted.memo)
}

// A question fills a few rows at most, so no question takes long.
func TestMemoFillsAFewRowsAQuestion(t *testing.T) {
	r := turned(t, 100_000, 3, inZones(20, 3))
	for i := range uint32(3) {
		_ = r.Placement(7).Token()
		require.Equal(t, (i+1)*rowsAtOnce, r.memo.hashPart.Load().filled)
	}
}
