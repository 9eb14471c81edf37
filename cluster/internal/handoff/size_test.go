package handoff

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// The memory of a machine does not grow with members that are replaced under new NodeIDs.
func TestMemoryIsFlatWhileMembersAreReplaced(t *testing.T) {
	if underRace {
		t.Skip("it runs in one goroutine")
	}
	sizes := []struct{ members, partitions int }{{5, 64}, {50, 1024}}
	if seedCount(0, 1) > 0 {
		sizes = append(sizes, struct{ members, partitions int }{1000, 65536})
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size.members, "x", size.partitions), func(t *testing.T) {
			f := newFed(t, size.members, size.partitions)
			after := make(map[int]int)
			for n := range 500 {
				f.replace(1+n%(size.members-1), size.members < 100)
				if n == 49 || n == 499 {
					after[n+1] = bytesOf(f.machine)
				}
			}
			t.Logf("%d KiB after 50 replacements, %d after 500", after[50]>>10, after[500]>>10)
			require.Less(t, float64(after[500]), 1.1*float64(after[50]))
			require.Empty(t, f.machine.mail.asking)
			require.Empty(t, f.machine.work.waiting)
		})
	}
}

// A view changes only the partitions whose owners it changes. For other partitions it allocates nothing.
func TestAViewTouchesWhatItChanges(t *testing.T) {
	for _, partitions := range []int{512, 4096} {
		f := newFed(t, 40, partitions)
		for i := range 5 {
			before := f.view.Ring
			f.leave(3 * (i + 1))
			var want []int
			for p, place := range before.All() {
				if next := f.view.Ring.Placement(p); place.Token() != next.Token() && (place.Owns("n00001") || next.Owns("n00001")) {
					want = append(want, p)
				}
			}
			require.NotEmpty(t, want)
			var changed []int
			for _, c := range f.effects.Changed {
				changed = append(changed, c.Partition)
			}
			require.ElementsMatch(t, want, changed)
		}
		// A new member that owns nothing joins the view.
		starts := f.starts()
		starts["observer"] = 1
		require.Empty(t, f.machine.Step(View{Ring: f.view.Ring, Starts: starts}).Changed)
		allocs := testing.AllocsPerRun(10, func() { f.machine.Step(View{Ring: f.view.Ring, Starts: starts}) })
		require.Less(t, allocs, 40.0, "%d partitions", partitions)
	}
}

// BenchmarkView takes one view of a cluster whose handoffs are complete, as the driver does under
// its lock: a member leaves, one joins, and it is active. It reports the median of each.
func BenchmarkView(b *testing.B) {
	for _, members := range []int{5, 100, 1000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			if testing.Short() {
				b.Skip("large")
			}
			f := newFed(b, members, 65536)
			took := map[string][]time.Duration{"start-ms": {f.took}}
			see := func(what string) { took[what] = append(took[what], f.took) }
			for n := 0; b.Loop(); n++ {
				f.leave(1 + n%(members-1))
				see("leave-ms")
				f.add(membership.Joining)
				f.see()
				see("join-ms")
				f.members[len(f.members)-1].State = membership.Active
				f.see()
				see("active-ms")
			}
			for what, all := range took {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, what)
			}
			b.ReportMetric(float64(bytesOf(f.machine))/(1<<20), "MiB-kept")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bytesOf returns how many bytes a value keeps, without the ring, which belongs to the cluster. Of maps
// it counts only keys and values.
func bytesOf[T any](m *T) int {
	seen := make(map[unsafe.Pointer]bool)
	first := func(p unsafe.Pointer) bool {
		known := p == nil || seen[p]
		seen[p] = true
		return !known
	}
	var behind func(v reflect.Value) int
	behind = func(v reflect.Value) (n int) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.Type() != reflect.TypeFor[*ring.Ring]() && first(v.UnsafePointer()) {
				n = int(v.Type().Elem().Size()) + behind(v.Elem())
			}
		case reflect.Slice:
			if first(v.UnsafePointer()) {
				n = v.Cap() * int(v.Type().Elem().Size())
			}
			for i := range v.Len() {
				n += behind(v.Index(i))
			}
		case reflect.Map:
			if first(v.UnsafePointer()) {
				for key, value := range v.Seq2() {
					n += int(key.Type().Size()+value.Type().Size()) + behind(key) + behind(value)
				}
			}
		case reflect.Array:
			if k := v.Type().Elem().Kind(); k == reflect.Pointer || k == reflect.Struct {
				for i := range v.Len() {
					n += behind(v.Index(i))
				}
			}
		case reflect.Struct:
			for _, field := range v.Fields() {
				n += behind(field)
			}
		case reflect.String:
			if first(unsafe.Pointer(unsafe.StringData(v.String()))) {
				n = v.Len()
			}
		}
		return n
	}
	return behind(reflect.ValueOf(m))
}
