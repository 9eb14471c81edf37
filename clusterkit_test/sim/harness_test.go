package sim_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/bubble"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

const (
	simPort       = 7946
	simZones      = 4
	simPartitions = 64
	simReplicas   = 3
	simSeedName   = "seeds.sim"
)

// sim is a cluster in a bubble of virtual time. Only the goroutine of the test may call
// its methods, unless they say otherwise.
type sim struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand
	net  *memnet.Network
	dns  *dns
	log  *slog.Logger

	began   time.Time
	lastIP  uint32
	members map[string]*simMember   // the running members, by NodeID
	cut     map[netip.AddrPort]bool // the smaller side while the network is split, otherwise nil
	working sync.WaitGroup          // starts and stops under way
	history []string
	configs []func(*cluster.Options)
	watch   func() // called while sleeping, every coarseStep at least, when set
}

// simMember is one start of a member.
type simMember struct {
	*cluster.Cluster
	id       string
	addr     netip.AddrPort
	observer bool
	at       time.Time // the time of the call of Start

	mu  sync.Mutex
	up  time.Time // when Start returned
	err error     // the error of Start
}

func (m *simMember) String() string { return m.id }

// startedAt returns when Start returned, zero when it has not.
func (m *simMember) startedAt() (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up, m.err
}

// simulate runs a simulation in a bubble, and releases everything at its end, also when
// it fails. The last argument changes the options of every member.
func simulate(t *testing.T, options memnet.Options, run func(*sim), configs ...func(*cluster.Options)) {
	t.Helper()
	seed := simSeed(t)
	logger := simLogger(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to run it again: %s=%d go test ./clusterkit_test/sim -run '^%s$'", envSeed, seed, t.Name())
		}
	})
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // takes a fifth of the time, and more memory
	options.Seed = seed
	bubble.Run(t, options, func(t *testing.T, b *bubble.Bubble) {
		s := &sim{
			t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), net: b.Net, dns: newDNS(), log: logger,
			began: time.Now(), members: make(map[string]*simMember), configs: configs,
		}
		defer func() {
			for _, m := range s.members {
				b.Add(m.Cluster)
			}
		}()
		run(s)
	})
}

// note adds a line to the history, which every failure shows.
func (s *sim) note(format string, args ...any) {
	line := fmt.Sprintf("%9.3fs  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
	s.history = append(s.history, line)
	if os.Getenv(envTrace) != "" {
		fmt.Fprintln(os.Stderr, s.t.Name(), line)
	}
}

// fail ends the test.
func (s *sim) fail(format string, args ...any) {
	s.t.Helper()
	const most = 400
	history := s.history[max(0, len(s.history)-most):]
	s.t.Fatalf("%s\nseed %d, after %v of virtual time; what happened:\n%s",
		fmt.Sprintf(format, args...), s.seed, time.Since(s.began), strings.Join(history, "\n"))
}

// number returns the n-th NodeID. Their order is that of the numbers.
func (s *sim) number(n int) string { return fmt.Sprintf("m%03d", n) }

// nextAddr returns an address that no member has had.
func (s *sim) nextAddr() netip.AddrPort {
	s.lastIP++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(s.lastIP >> 16), byte(s.lastIP >> 8), byte(s.lastIP)}), simPort)
}

// make returns a new member at a new address, without starting it. Its zone depends on
// its NodeID, so that a restart is in the same zone.
func (s *sim) make(id string, configs ...func(*cluster.Options)) *simMember {
	s.t.Helper()
	n, err := strconv.Atoi(id[1:])
	require.NoError(s.t, err)
	addr := s.nextAddr()
	o := cluster.Options{
		ClusterName: "sim", NodeID: id, GossipAddr: addr.String(),
		Seeds:  []string{simSeedName},
		Region: "r", Zone: fmt.Sprintf("z%d", n%simZones),
		PartitionCount: simPartitions, ReplicationFactor: simReplicas,
		Gossip: membership.GossipOptions{Network: s.net, Resolver: s.dns, TrustedNetwork: true}, Logger: s.log.With("node", id),
	}
	for _, config := range slices.Concat(s.configs, configs) {
		config(&o)
	}
	c, err := cluster.New(o)
	require.NoError(s.t, err)
	return &simMember{Cluster: c, id: id, addr: addr, observer: o.Observer}
}

// launch starts a member in the background.
func (s *sim) launch(m *simMember) {
	m.at = time.Now()
	s.members[m.id] = m
	s.working.Go(func() {
		err := m.Start(context.Background())
		m.mu.Lock()
		defer m.mu.Unlock()
		m.up, m.err = time.Now(), err
	})
}

// start starts members one by one, and returns when all have joined.
func (s *sim) start(members ...*simMember) {
	s.t.Helper()
	for _, m := range members {
		s.launch(m)
		s.working.Wait()
		if _, err := m.startedAt(); err != nil {
			s.fail("starting %s: %v", m, err)
		}
	}
}

// form starts the members 0 to n-1, the first of them before the others, and waits
// until they agree. The seeds are the first three.
func (s *sim) form(n int) []*simMember {
	s.t.Helper()
	all := make([]*simMember, n)
	for i := range all {
		all[i] = s.make(s.number(i))
	}
	s.dns.set(simSeedName, addrsOf(all[:min(n, 3)]))
	s.start(all[0])
	for _, m := range all[1:] {
		s.launch(m)
	}
	took := s.quiet(5 * time.Minute)
	s.note("%d members formed a cluster in %v", n, took)
	return all
}

// leave stops a member gracefully, in the background. The channel is closed when Stop
// has returned.
func (s *sim) leave(m *simMember) <-chan struct{} {
	delete(s.members, m.id)
	gone := make(chan struct{})
	s.working.Go(func() {
		_ = m.Stop(context.Background()) // Stop returns no error, because the context does not end
		close(gone)
	})
	return gone
}

// crash ends a member without notice. Its goroutines are stopped after it is cut off
// from the network, so that nothing it sends arrives.
func (s *sim) crash(m *simMember) {
	delete(s.members, m.id)
	s.net.Crash(m.addr)
	_ = m.Stop(bubble.Ended())
}

// partition cuts some members off from the rest.
func (s *sim) partition(members []*simMember) {
	s.t.Helper()
	s.cut = make(map[netip.AddrPort]bool)
	for _, m := range members {
		s.cut[m.addr] = true
	}
	s.applyPartition()
}

// cutOff puts an address that will be used later on the side that is cut off.
func (s *sim) cutOff(addr netip.AddrPort) {
	s.t.Helper()
	s.cut[addr] = true
	s.applyPartition()
}

func (s *sim) applyPartition() {
	s.t.Helper()
	var side []netip.AddrPort
	for addr := range s.cut {
		side = append(side, addr)
	}
	require.NoError(s.t, s.net.Partition(side))
}

// heal ends the split.
func (s *sim) heal() {
	s.cut = nil
	s.net.Heal()
}

// sorted returns the running members, by NodeID.
func (s *sim) sorted() []*simMember {
	all := make([]*simMember, 0, len(s.members))
	for _, m := range s.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *simMember) int { return strings.Compare(a.id, b.id) })
	return all
}

// components returns the running members, in groups that reach each other.
func (s *sim) components() [][]*simMember {
	var sides [2][]*simMember
	for _, m := range s.sorted() {
		side := 0
		if s.cut[m.addr] {
			side = 1
		}
		sides[side] = append(sides[side], m)
	}
	return slices.DeleteFunc(sides[:], func(side []*simMember) bool { return len(side) == 0 })
}
