package handofftest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/clusterkit/clusterkit/cluster"
)

// memory is a correct store.
type memory struct {
	peers Peers

	mu   sync.Mutex
	data map[int]map[string]uint64
}

func newMemory(p Peers) *memory { return &memory{peers: p, data: make(map[int]map[string]uint64)} }

func (m *memory) Put(p int, key string, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data[p] == nil {
		m.data[p] = make(map[string]uint64)
	}
	m.data[p][key] = max(version, m.data[p][key])
	return nil
}

func (m *memory) Get(p int, key string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[p][key], nil
}

func (m *memory) Receive(_ context.Context, p int, from []cluster.Member, need int) error {
	merged := 0
	for _, source := range from {
		s, err := m.peers.Store(source)
		if err != nil {
			continue
		}
		other := s.(interface{ snapshot(int) map[string]uint64 })
		for key, version := range other.snapshot(p) {
			_ = m.Put(p, key, version) // it cannot fail
		}
		merged++
	}
	if merged < need {
		return fmt.Errorf("merged from %d of %d", merged, need)
	}
	return nil
}

func (m *memory) snapshot(p int) map[string]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.data[p])
}

func (m *memory) Release(_ context.Context, p int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, p)
	return nil
}

// number returns the number in an environment variable, or otherwise when it is not
// set.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// With CLUSTERKIT_SIM_FULL=1 there are fifty members. CLUSTERKIT_SIM_SEED is the first
// seed, and CLUSTERKIT_SIM_SEEDS the number of seeds.
func TestRun(t *testing.T) {
	o := Options{New: func(p Peers) Store { return newMemory(p) }}
	seeds, members := 3, 6
	switch {
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		seeds, members, o.Events, o.Partitions = 20, 50, 40, 64
	case testing.Short():
		seeds = 1
	}
	o.Members = members
	first := number("CLUSTERKIT_SIM_SEED", 1)
	for seed := range number("CLUSTERKIT_SIM_SEEDS", seeds) {
		o.Seed = uint64(first + seed)
		Run(t, o)
	}
}

// Stores that survive: with CLUSTERKIT_SIM_FULL=1 as above.
func TestRunDurable(t *testing.T) {
	o := Options{Durable: true, New: func(p Peers) Store { return newMemory(p) }}
	seeds := 2
	switch {
	case os.Getenv("CLUSTERKIT_SIM_FULL") != "":
		seeds, o.Members, o.Events, o.Partitions = 20, 50, 40, 64
	case testing.Short():
		seeds = 1
	}
	first := number("CLUSTERKIT_SIM_SEED", 1)
	for seed := range number("CLUSTERKIT_SIM_SEEDS", seeds) {
		o.Seed = uint64(first + seed)
		Run(t, o)
	}
}

// forgetful and the types below are stores with one fault each.
type forgetful struct{ *memory }

// Receive returns nil without merging.
func (f forgetful) Receive(context.Context, int, []cluster.Member, int) error { return nil }

type replacing struct{ *memory }

// Receive replaces the data of this store by the data of one source.
func (r replacing) Receive(ctx context.Context, p int, from []cluster.Member, _ int) error {
	_ = r.Release(ctx, p) // it cannot fail
	return r.memory.Receive(ctx, p, from[:1], 1)
}

type stuck struct{ *memory }

func (stuck) Receive(context.Context, int, []cluster.Member, int) error { return fmt.Errorf("no") }

type lazy struct{ *memory }

// Put returns nil for every write, and stores only half of them.
func (l lazy) Put(p int, key string, version uint64) error {
	if version%2 == 0 {
		return nil
	}
	return l.memory.Put(p, key, version)
}

func TestWrongStoresAreFound(t *testing.T) {
	if testing.Short() {
		t.Skip("runs many simulations")
	}
	for name, make := range map[string]func(*memory) Store{
		"forgetful": func(m *memory) Store { return forgetful{m} },
		"replacing": func(m *memory) Store { return replacing{m} },
		"stuck":     func(m *memory) Store { return stuck{m} },
		"lazy":      func(m *memory) Store { return lazy{m} },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 10 {
				_, err := simulate(t, Options{Seed: uint64(seed + 1), New: func(p Peers) Store { return make(newMemory(p)) }})
				if err != nil {
					t.Log(err)
					return
				}
			}
			t.Fatal("nothing was found")
		})
	}
}

// Four of six members lose their state at once, more than the guarantee allows. Where that costs a write,
// Run fails. Where it costs none, the loss is accepted, and all members become ready.
func TestNeedlessReportsAreAccepted(t *testing.T) {
	for _, writing := range []bool{false, true} {
		o := Options{Seed: 2, Members: 6, Partitions: 16, New: func(p Peers) Store { return newMemory(p) }}
		needless, wrong := within(t, o, func(r *run) {
			for i := range o.Members {
				r.start(fmt.Sprint("m", i))
			}
			r.settle()
			for range 500 {
				if writing {
					r.write()
				}
			}
			for range 4 {
				r.crash(r.one())
			}
			r.settle()
		})
		if writing {
			if wrong == nil || !strings.Contains(wrong.Error(), "and no member has it") {
				t.Fatal("a write is lost, but it is not found:", wrong)
			}
		} else if len(needless) == 0 || wrong != nil {
			t.Fatal("nothing is lost:", needless, wrong)
		}
	}
}
