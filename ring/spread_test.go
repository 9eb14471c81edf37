package ring_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/clusterkit/clusterkit/ring"
)

// spread counts what Spread should count, with sets of names.
func spread(r *ring.Ring) (s ring.Spread) {
	type place struct{ region, zone string }
	count := func(nodes []ring.Node) (zones, regions int) {
		z, g := make(map[place]bool), make(map[string]bool)
		for _, n := range nodes {
			z[place{n.Region, n.Zone}], g[n.Region] = true, true
		}
		return len(z), len(g)
	}
	s.Zones, s.Regions = count(r.Nodes())
	for _, row := range dump(r) {
		zones, regions := count(row)
		if len(row) < r.Config().ReplicationFactor {
			s.UnderReplicated++
		}
		if zones < min(len(row), s.Zones) {
			s.ZoneViolations++
		}
		if regions < min(len(row), s.Regions) {
			s.RegionViolations++
		}
	}
	return s
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := generatedRing(t)
		require.Equal(t, spread(r), r.Spread())
	})
}
