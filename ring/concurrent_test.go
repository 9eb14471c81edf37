package ring_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// Readers of an atomic pointer see one ring or another, never a mixture: every node of
// a placement has the weight that its ring gives.
func TestLookupsWhileRingsAreSwapped(t *testing.T) {
	const readers, generations = 4, 200
	generation := func(i int) *ring.Ring {
		nodes := zoned(3+i%5, "a", "b")
		for n := range nodes {
			nodes[n].Weight = i + 1
		}
		return build(t, 32, 3, scatter(uint64(i)), nodes...)
	}
	var current atomic.Pointer[ring.Ring]
	current.Store(generation(0))
	var done atomic.Bool
	var wg sync.WaitGroup
	torn := make([]int, readers)
	for reader := range readers {
		wg.Go(func() {
			for !done.Load() {
				p := current.Load().Lookup("user:42")
				first := p.At(0)
				for _, n := range p.Prefer("eu", "b").All() {
					if n.Node().Weight != first.Node().Weight || !p.Owns(n.ID()) {
						torn[reader]++
					}
				}
				if p.Len() != 3 || p.Token() != p.Target().Token() {
					torn[reader]++
				}
			}
		})
	}
	for i := range generations {
		current.Store(generation(i))
	}
	done.Store(true)
	wg.Wait()
	require.Equal(t, make([]int, readers), torn)
}
