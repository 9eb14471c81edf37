package cluster

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// Publishing a view stores a pointer: lookups run at the same time, and allocate no
// more than without changes.
func TestLookupsDoNotAllocateWhileViewsArePublished(t *testing.T) {
	b := testBuilder()
	one := derived(b, testMembers(6, nil), unpublished())
	other := derived(b, testMembers(7, nil), one)
	c := &Cluster{}
	c.view.Store(one)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for v, next := one, other; ; v, next = next, v {
			select {
			case <-stop:
				return
			default:
				c.view.Store(next)
				runtime.Gosched()
			}
		}
	}()
	defer func() { close(stop); <-stopped }()

	key, raw := "user:42", []byte("user:42")
	keys := []string{"a", "b", "c"}
	var batch ring.Batch
	c.Ring().Group(keys, &batch)
	seen := make(map[int]bool)
	seen[6], seen[7] = false, false // room for both, so that recording them allocates nothing
	for name, look := range map[string]func() int{
		"Primary": func() int { n, _ := c.Lookup(key).Primary(); return len(n.ID()) },
		"Bytes":   func() int { return c.Ring().LookupBytes(raw).Len() },
		"Kept":    func() int { n, _ := c.Ring().Placement(7).Primary(); return len(n.ID()) },
		"All": func() (sum int) {
			for i, n := range c.Lookup(key).All() {
				sum += i + len(n.ID())
			}
			return sum
		},
		"Owns":  func() int { return number(c.Lookup(key).Owns("n001")) },
		"Near":  func() int { return len(c.Lookup(key).Prefer("eu", "z1").At(0).ID()) },
		"Group": func() int { c.Ring().Group(keys, &batch); return len(keys) },
	} {
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			sink += look()
			seen[c.Ring().Len()] = true
			runtime.Gosched()
		}), name)
	}
	require.Equal(t, map[int]bool{6: true, 7: true}, seen, "both views were published meanwhile")
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
