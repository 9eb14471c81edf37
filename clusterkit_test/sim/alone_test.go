package sim_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// lookup is a resolver whose answers a function decides.
type lookup func(ctx context.Context) ([]netip.Addr, error)

func (l lookup) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) { return l(ctx) }

func (l lookup) LookupSRV(ctx context.Context, _, _, name string) (string, []*net.SRV, error) {
	return "", nil, &net.DNSError{Err: "no such service", Name: name, IsNotFound: true}
}

var errNoSuchHost = &net.DNSError{Err: "no such host", Name: simSeedName, IsNotFound: true}

// service is a network in which one more address leads to one of several members at random, as the
// virtual address of a load balancer does.
type service struct {
	membership.Network
	addr netip.AddrPort

	mu   sync.Mutex
	rand *rand.Rand
	ends []netip.AddrPort
}

func (s *service) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := s.Network.Listen(addr, logger)
	return &serviced{inner, s}, err
}

type serviced struct {
	membership.Transport
	*service
}

func (s *serviced) DialAddressTimeout(a membership.Address, timeout time.Duration) (net.Conn, error) {
	if a.Addr == s.addr.String() {
		s.mu.Lock()
		a.Addr = s.ends[s.rand.IntN(len(s.ends))].String()
		s.mu.Unlock()
	}
	return s.Transport.DialAddressTimeout(a, timeout)
}

// mixture is what the only seed name of a starting member leads to.
type mixture struct {
	name string
	vip  bool // the name leads to a load balancer, and own is how often the starting member is behind it
	own  int
	// late returns for how long the name fails, or leads to the starting member alone.
	late func(r *rand.Rand) time.Duration
	fail func(ctx context.Context, self netip.Addr) ([]netip.Addr, error)
	// hang is the largest number of lookups that are never answered, as when a packet is lost.
	hang int
}

// A member starts again and again beside a cluster of three. Its seeds are a mixture of addresses
// that no process has, of hosts that do not answer, of load balancers, and of DNS that fails at
// first. It must never be ready alone.
func TestNoMemberIsReadyAloneBesideACluster(t *testing.T) {
	within := func(d time.Duration) func(*rand.Rand) time.Duration {
		return func(r *rand.Rand) time.Duration {
			return time.Duration(r.Int64N(int64(d))) * time.Duration(min(r.IntN(4), 1))
		}
	}
	for _, m := range []mixture{
		{name: "names"},
		{name: "load balancer", vip: true, own: 1},
		{name: "load balancer that mostly leads back", vip: true, own: 6},
		{name: "no such host at first", late: within(3 * time.Second), fail: func(context.Context, netip.Addr) ([]netip.Addr, error) { return nil, errNoSuchHost }},
		{name: "itself at first", late: within(3 * time.Second), fail: func(_ context.Context, self netip.Addr) ([]netip.Addr, error) { return []netip.Addr{self}, nil }},
		{name: "lookups that are never answered", hang: 2},
	} {
		for _, stale := range []int{0, 40, 200} {
			t.Run(fmt.Sprintf("%s, %d stale", m.name, stale), func(t *testing.T) {
				simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) { s.startBeside(m, stale) })
			})
		}
	}
}

// startBeside starts members one after the other beside a cluster of three.
func (s *sim) startBeside(m mixture, stale int) {
	s.t.Helper()
	live := s.form(3)
	vip := netip.MustParseAddrPort("10.200.0.1:7946")
	starts := scaled(40, 4, 1)
	if n, err := strconv.Atoi(os.Getenv(envStarts)); err == nil {
		starts = n
	}
	for n := range starts {
		one := s.beside(n, m, stale, vip, live)
		s.launch(one)
		alone := ""
		s.until(fmt.Sprintf("start %d finds the others", n), time.Minute, func() bool {
			if h := one.Health(); h.Ready && h.Members == 1 {
				alone = fmt.Sprintf("start %d was ready alone after %v: %v", n, time.Since(one.at), h.Problems)
				return true
			}
			return len(one.Members()) == 4 && one.Health().Ready
		}, func() string { return fmt.Sprint(one.Health().Problems) })
		if alone != "" {
			s.fail("%s", alone)
		}
		<-s.leave(one)
		s.sleep(2 * time.Second)
	}
}

// beside makes a member with a mixture of seeds.
func (s *sim) beside(n int, m mixture, stale int, vip netip.AddrPort, live []*simMember) *simMember {
	var addrs []netip.Addr
	for i := range stale {
		gone := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 201, byte(i), byte(n)}), simPort)
		if s.rand.IntN(3) > 0 { // the others refuse
			s.net.Isolate(gone)
		}
		addrs = append(addrs, gone.Addr())
	}
	behind := &service{Network: s.net, addr: vip, rand: rand.New(rand.NewPCG(s.seed, uint64(n)))}
	for _, one := range live {
		behind.ends = append(behind.ends, one.addr)
	}
	if m.vip {
		addrs = append(addrs, vip.Addr())
	} else {
		for _, one := range behind.ends {
			addrs = append(addrs, one.Addr())
		}
	}
	var late time.Duration
	if m.late != nil {
		late = m.late(s.rand)
	}
	hangs, begun := s.rand.IntN(m.hang+1), time.Now()
	var mu sync.Mutex
	one := s.make(s.number(100+n), func(o *cluster.Options) {
		self := netip.MustParseAddrPort(o.GossipAddr)
		o.Gossip.Network = behind
		o.Gossip.Resolver = lookup(func(ctx context.Context) ([]netip.Addr, error) {
			mu.Lock()
			hangs--
			hang := hangs >= 0
			mu.Unlock()
			switch {
			case hang:
				<-ctx.Done()
				return nil, ctx.Err()
			case time.Since(begun) < late:
				return m.fail(ctx, self.Addr())
			}
			return append(slices.Clone(addrs), self.Addr()), nil
		})
	})
	for range m.own {
		behind.ends = append(behind.ends, one.addr)
	}
	return one
}

// filling is DNS that fills up slowly while many members start.
type filling struct {
	name string
	// answer returns what DNS answers to the member self. pods are all that have an address, and
	// registered are those of them that DNS knows by now.
	answer func(r *rand.Rand, self netip.Addr, pods, registered []netip.Addr) ([]netip.Addr, error)
}

var fillings = []filling{
	{"only itself at first", func(_ *rand.Rand, self netip.Addr, _, registered []netip.Addr) ([]netip.Addr, error) {
		if !slices.Contains(registered, self) {
			return []netip.Addr{self}, nil
		}
		return registered, nil
	}},
	{"random subsets", func(r *rand.Rand, self netip.Addr, _, registered []netip.Addr) ([]netip.Addr, error) {
		some := []netip.Addr{self}
		for _, one := range registered {
			if r.IntN(3) == 0 {
				some = append(some, one)
			}
		}
		return some, nil
	}},
	{"pods that do not listen yet", func(_ *rand.Rand, _ netip.Addr, pods, _ []netip.Addr) ([]netip.Addr, error) { return pods, nil }},
	{"fails at first", func(r *rand.Rand, self netip.Addr, _, registered []netip.Addr) ([]netip.Addr, error) {
		if !slices.Contains(registered, self) || r.IntN(3) == 0 {
			return nil, errNoSuchHost
		}
		return registered, nil
	}},
}

// nothing is a Mover of a service without data.
type nothing struct{}

func (nothing) Receive(context.Context, int, []cluster.Member, int) error { return nil }
func (nothing) Release(context.Context, int) error                        { return nil }

// Many members start behind DNS that fills up slowly. They become one cluster. With a handoff and
// a number of expected members there are never two groups that both accept writes.
func TestAColdStartBehindSlowDNS(t *testing.T) {
	for _, f := range fillings {
		for _, n := range []int{3, 30} {
			for _, with := range []string{"no handoff", "a handoff", "a handoff and ExpectedMembers"} {
				t.Run(fmt.Sprintf("%s, %d members, %s", f.name, n, with), func(t *testing.T) {
					seeds := scaled(20, 1, 1)
					switch {
					case n == 3:
					case f.name == "random subsets" && with == "no handoff":
						seeds = scaled(5, 1, 0)
					default: // up to 15 s each
						seeds = scaled(1, 0, 0)
					}
					for seed := range seeds {
						simulate(t, memnet.Options{Latency: time.Millisecond}, func(s *sim) {
							s.rand = rand.New(rand.NewPCG(s.seed, uint64(seed)))
							s.coldStart(f, n, with)
						})
					}
				})
			}
		}
	}
}

func (s *sim) coldStart(f filling, n int, with string) {
	s.t.Helper()
	begun := time.Now()
	after := func(most time.Duration) time.Time { return begun.Add(time.Duration(s.rand.Int64N(int64(most)))) }
	var pods []netip.Addr
	registered := make(map[netip.Addr]time.Time)
	var mu sync.Mutex // guards random
	random := rand.New(rand.NewPCG(s.rand.Uint64(), 0))
	all := make([]*simMember, n)
	for i := range all {
		all[i] = s.make(s.number(i), func(o *cluster.Options) {
			self := netip.MustParseAddrPort(o.GossipAddr).Addr()
			pods = append(pods, self)
			registered[self] = after(20 * time.Second)
			o.Gossip.Resolver = lookup(func(context.Context) ([]netip.Addr, error) {
				var there []netip.Addr
				for _, pod := range pods {
					if !time.Now().Before(registered[pod]) {
						there = append(there, pod)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				return f.answer(random, self, slices.Clone(pods), there)
			})
			if with != "no handoff" {
				o.Handoff.Mover = nothing{}
			}
			if with == "a handoff and ExpectedMembers" {
				o.Bootstrap.ExpectedMembers = n
			}
		})
	}
	starts := make([]time.Time, n)
	for i := range starts {
		starts[i] = after(15 * time.Second)
	}
	split := ""
	s.until("all members are one cluster", 3*time.Minute, func() bool {
		for i, m := range all {
			if s.members[m.id] == nil && !time.Now().Before(starts[i]) {
				s.launch(m)
			}
		}
		if with != "no handoff" {
			if split = s.writers(); split != "" {
				return true
			}
		}
		return len(s.members) == n && !slices.ContainsFunc(all, func(m *simMember) bool { return len(m.Members()) != n || !m.Health().Ready })
	}, func() string {
		var text []string
		for _, m := range s.sorted() {
			text = append(text, fmt.Sprint(m, len(m.Members()), m.Health().Problems))
		}
		return fmt.Sprint(text)
	})
	if split != "" {
		s.fail("%s", split)
	}
	s.note("%d members after %v", n, time.Since(begun))
}

// writers returns a text when there are two groups that accept writes, and that do not know of
// each other.
func (s *sim) writers() string {
	var groups [][]*simMember
	for _, m := range s.sorted() {
		if m.Local().State != membership.Active {
			continue
		}
		knows := func(group []*simMember) bool {
			return slices.ContainsFunc(group, func(other *simMember) bool {
				return m.knows(other) || other.knows(m)
			})
		}
		joined := []*simMember{m}
		var apart [][]*simMember
		for _, group := range groups {
			if knows(group) {
				joined = append(joined, group...)
			} else {
				apart = append(apart, group)
			}
		}
		apart = append(apart, joined)
		groups = apart
	}
	if len(groups) < 2 {
		return ""
	}
	return fmt.Sprintf("%d groups accept writes: %v", len(groups), groups)
}

func (m *simMember) knows(other *simMember) bool {
	return slices.ContainsFunc(m.Members(), func(one cluster.Member) bool { return one.ID == other.id })
}
