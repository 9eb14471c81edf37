package cluster_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// The methods that answer requests allocate nothing.
func TestLookupsDoNotAllocate(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		c := b.startMany(5)[0]
		key, raw := "user:42", []byte("user:42")
		keys := make([]string, 256)
		for i := range keys {
			keys[i] = fmt.Sprint("user:", i)
		}
		raws := make([][]byte, len(keys))
		for i, key := range keys {
			raws[i] = []byte(key)
		}
		var batch ring.Batch
		c.Ring().Group(keys, &batch)
		var sink int
		for name, f := range map[string]func(){
			"Lookup":      func() { sink += c.Lookup(key).Len() },
			"LookupBytes": func() { sink += c.Ring().LookupBytes(raw).Len() },
			"Primary": func() {
				if n, ok := c.Lookup(key).Primary(); ok {
					sink += len(n.ID())
				}
			},
			"All": func() {
				for i, n := range c.Lookup(key).All() {
					sink += i + len(n.ID())
				}
			},
			"Owns":       func() { _ = c.Lookup(key).Owns("n3") },
			"Token":      func() { sink += int(c.Lookup(key).Token()) },
			"Target":     func() { sink += c.Lookup(key).Target().Len() },
			"Prefer":     func() { sink += len(c.Lookup(key).Prefer("eu", "z1").At(0).ID()) },
			"Ring":       func() { sink += c.Ring().Partition(key) },
			"Members":    func() { sink += len(c.Members()) },
			"Group":      func() { c.Ring().Group(keys, &batch) },
			"GroupBytes": func() { c.Ring().GroupBytes(raws, &batch) },
			"GroupAll": func() {
				for n, positions := range batch.All() {
					sink += len(n.ID()) + len(positions)
				}
			},
			"Member": func() {
				if m, ok := c.Member("n3"); ok {
					sink += m.Weight
				}
			},
			"Fingerprint": func() { sink += int(c.Fingerprint()) },
		} {
			require.Zero(t, testing.AllocsPerRun(100, f), name)
		}
		require.NotZero(t, sink)
	})
}
