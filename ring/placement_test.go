package ring_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

// preferred returns the result that Prefer should have, by a stable sort.
func preferred(nodes []ring.Node, region, zone string) []string {
	distance := func(n ring.Node) int {
		switch {
		case n.Region == region && n.Zone == zone:
			return 0
		case n.Region == region:
			return 1
		default:
			return 2
		}
	}
	sorted := slices.Clone(nodes)
	slices.SortStableFunc(sorted, func(a, b ring.Node) int { return distance(a) - distance(b) })
	ids := []string{}
	for _, n := range sorted {
		ids = append(ids, n.ID)
	}
	return ids
}

func TestPrefer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := generatedRing(t)
		region := rapid.SampledFrom([]string{"", "eu", "us", "asia"}).Draw(t, "region")
		zone := rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "zone")
		for _, p := range r.All() {
			var nodes []ring.Node
			for _, n := range p.All() {
				nodes = append(nodes, n.Node())
			}
			near := p.Prefer(region, zone)
			require.Equal(t, preferred(nodes, region, zone), owners(near))
			require.Equal(t, owners(near), owners(near.Prefer(region, zone)))
			require.Equal(t, owners(near), owners(p.Prefer("us", "b").Prefer(region, zone)), "the latest preference counts")

			primary, ok := near.Primary()
			require.True(t, ok)
			require.Equal(t, nodes[0], primary.Node())
			require.Equal(t, p.Token(), near.Token())
			require.Equal(t, p.Len(), near.Len())
			for _, n := range r.Nodes() {
				require.Equal(t, slices.Contains(nodes, n), near.Owns(n.ID))
			}
		}
	})
}

func TestAllCanStop(t *testing.T) {
	p := build(t, 1, 3, scatter(1), zoned(3, "a")...).Placement(0)
	seen := 0
	for range p.All() {
		seen++
		break
	}
	require.Equal(t, 1, seen)
}

func TestAtPanicsOutOfRange(t *testing.T) {
	for _, p := range []ring.Placement{
		build(t, 1, 3, scatter(1), zoned(5, "a")...).Placement(0),
		build(t, 1, 16, scatter(1), zoned(16, "a")...).Placement(0),
		build(t, 1, 16, scatter(1), zoned(16, "a")...).Placement(0).Prefer("eu", "b"),
	} {
		require.Panics(t, func() { p.At(p.Len()) })
		require.Panics(t, func() { p.At(-1) })
		require.Panics(t, func() { p.At(1 << 20) })
	}
}

// Tokens are equal if and only if partition, owners and their order are equal, in the
// ring and in the target.
func TestToken(t *testing.T) {
	type list struct {
		partition   int
		now, target [16]string
	}
	pack := func(p ring.Placement) (l list) {
		l.partition = p.Partition()
		copy(l.now[:], owners(p))
		copy(l.target[:], owners(p.Target()))
		return l
	}
	rapid.Check(t, func(t *rapid.T) {
		tokens, lists := make(map[ring.Token]list), make(map[list]ring.Token)
		nodes := zoned(4, "a", "b")
		replicas := rapid.IntRange(1, 4).Draw(t, "replicas")
		var rings []*ring.Ring
		for salt := range uint64(3) {
			rings = append(rings, build(t, 8, replicas, scatter(salt), nodes[:3]...), build(t, 8, replicas, scatter(salt), nodes...))
		}
		for _, r := range slices.Clone(rings) {
			for _, target := range rings[:6] {
				paired, err := r.Toward(target)
				require.NoError(t, err)
				rings = append(rings, paired)
			}
		}
		for _, r := range rings {
			for _, p := range r.All() {
				l, token := pack(p), p.Token()
				if seen, ok := lists[l]; ok {
					require.Equal(t, seen, token, "equal lists")
				}
				if seen, ok := tokens[token]; ok {
					require.Equal(t, seen, l, "equal tokens")
				}
				lists[l], tokens[token] = token, l
			}
		}
	})
}

func TestToward(t *testing.T) {
	nodes := zoned(6, "a", "b", "c")
	from := build(t, 32, 3, scatter(1), nodes[:5]...)
	to := build(t, 32, 3, scatter(1), nodes...)
	third := build(t, 32, 2, scatter(2), nodes...)

	paired, err := from.Toward(to)
	require.NoError(t, err)
	require.Same(t, to, paired.Target())
	require.Same(t, from, from.Target(), "the ring itself is not touched")
	require.Equal(t, dump(from), dump(paired))
	require.Equal(t, from.Nodes(), paired.Nodes())
	for p, placement := range paired.All() {
		require.Equal(t, to.Placement(p), placement.Target())
		require.Equal(t, to.Placement(p), placement.Prefer("eu", "b").Target())
		require.Equal(t, placement.Target(), placement.Target().Target(), "a target is final")
		require.Equal(t, from.Placement(p).Target(), from.Placement(p))
	}
	prints := map[ring.Fingerprint]bool{from.Fingerprint(): true, to.Fingerprint(): true, paired.Fingerprint(): true}
	back, err := to.Toward(from)
	require.NoError(t, err)
	prints[back.Fingerprint()] = true
	require.Len(t, prints, 4, "a ring, another, and the ways between them are four things")

	same, err := from.Toward(build(t, 32, 3, scatter(1), nodes[:5]...))
	require.NoError(t, err)
	require.Same(t, from, same)

	// Toward ignores earlier targets of both rings.
	for _, target := range []*ring.Ring{from, nil} {
		settled, err := paired.Toward(target)
		require.NoError(t, err)
		require.Equal(t, from.Fingerprint(), settled.Fingerprint())
		require.Equal(t, settled.Lookup("k"), settled.Lookup("k").Target())
	}
	chained, err := third.Toward(paired)
	require.NoError(t, err)
	direct, err := third.Toward(from)
	require.NoError(t, err)
	require.Equal(t, direct.Fingerprint(), chained.Fingerprint())
	require.Equal(t, direct.Lookup("k").Token(), chained.Lookup("k").Token())
	final := chained.Lookup("k").Target()
	require.Equal(t, owners(from.Lookup("k")), owners(final))
	require.Equal(t, final, final.Target())
	require.Same(t, chained.Target(), chained.Target().Target())

	_, err = from.Toward(build(t, 64, 3, scatter(1), nodes...))
	require.EqualError(t, err, "ring: target: PartitionCount is 64: must be that of the other ring, 32")
}
