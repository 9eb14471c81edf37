package sim_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestSimChaos makes members join, leave, crash, and be cut off from each other, at
// random. After each pause without events they must agree.
func TestSimChaos(t *testing.T) {
	t.Parallel()
	chaotic(t, scaled(100, 30, 15), scaled(200, 50, 25), 0.01)
}

// TestSimChaosOverTCP does the same over a network that passes no packets. It has fewer events: the
// streams of a hundred members in one process take much of its time.
func TestSimChaosOverTCP(t *testing.T) {
	t.Parallel()
	chaotic(t, scaled(100, 15, 10), scaled(40, 20, 15), 1, func(o *cluster.Options) { o.Gossip.TCPOnly = true })
}

func chaotic(t *testing.T, members, events int, loss float64, configs ...func(*cluster.Options)) {
	t.Helper()
	network := memnet.Options{Latency: time.Millisecond, Jitter: 4 * time.Millisecond, PacketLoss: loss, StreamLoss: 0.005}
	simulate(t, network, func(s *sim) {
		s.form(members)
		c := &chaos{sim: s, random: rand.New(rand.NewPCG(s.seed, 1)), size: members, numbers: members}
		s.watch = c.watchCrashes
		for c.events < events {
			for range min(1+c.random.IntN(10), events-c.events) {
				c.event()
				s.sleep(time.Duration(c.random.Int64N(int64(2 * time.Second))))
			}
			c.settle()
		}
		if s.cut != nil {
			c.heal()
			c.settle()
		}
		t.Logf("seed %d: %d events in %v of virtual time: %v", s.seed, c.events, time.Since(s.began).Round(time.Second), c.counts)
		t.Logf("quiet without a partition: %s", quantiles(c.quietWhole))
		t.Logf("quiet within the sides of a partition: %s", quantiles(c.quietCut))
		t.Logf("quiet after a partition healed: %s", quantiles(c.quietHealed))
		t.Logf("crashes noticed, network whole: %s", quantiles(c.noticed))
		t.Logf("crashes noticed by a majority, network cut: %s", quantiles(c.noticedCut))
		requireNoticed(s, c.noticed)
	}, configs...)
}

// chaos draws random events. They depend on the seed and on earlier events, and not on
// the speed of the machine.
type chaos struct {
	*sim
	random  *rand.Rand
	size    int // the approximate number of members
	numbers int // the number of used NodeIDs
	events  int
	counts  map[string]int

	crashes []*crashWatch
	stale   []netip.AddrPort // the time of the last crash
	healed  bool             // the time since the last quiet point

	quietWhole, quietCut, quietHealed []time.Duration
	noticed, noticedCut               []time.Duration
}

func (c *chaos) event() {
	c.events++
	if c.counts == nil {
		c.counts = make(map[string]int)
	}
	few, many := len(c.members) < c.size*9/10, len(c.members) > c.size*11/10
	for {
		switch dice := c.random.IntN(100); {
		case dice < 25 && !many:
			c.join()
		case dice < 40 && !few:
			c.leaveOne()
		case dice < 60 && !few:
			c.crashOne()
		case dice < 80:
			c.restart()
		case dice < 90 && c.cut == nil:
			c.split()
		case dice >= 90 && c.cut != nil:
			c.heal()
		default:
			continue
		}
		return
	}
}

func (c *chaos) did(kind, format string, args ...any) {
	c.counts[kind]++
	c.note("event %d: %s: %s", c.events, kind, fmt.Sprintf(format, args...))
}

// one returns one of the running members.
func (c *chaos) one() *simMember {
	all := c.sorted()
	return all[c.random.IntN(len(all))]
}

// join starts a new member, or one that is gone.
func (c *chaos) join() {
	n := c.numbers
	if back := c.random.IntN(c.numbers); c.random.IntN(2) == 0 && c.members[c.number(back)] == nil {
		n = back
	} else {
		c.numbers++
	}
	m := c.newcomer(c.number(n))
	c.did("join", "%s at %v%s", m, m.addr, c.sideOf(m))
	c.launch(m)
	c.name()
}

// newcomer makes a member, on a random side if the network is split. One in twenty is
// an observer.
func (c *chaos) newcomer(id string) *simMember {
	observer := c.random.IntN(20) == 0
	m := c.make(id, func(o *cluster.Options) { o.Observer = observer })
	if c.cut != nil && c.random.IntN(len(c.members)) < len(c.cut) {
		c.cutOff(m.addr)
	}
	return m
}

func (c *chaos) sideOf(m *simMember) string {
	if c.cut[m.addr] {
		return ", cut off"
	}
	return ""
}

func (c *chaos) leaveOne() {
	m := c.one()
	c.did("leave", "%s at %v%s", m, m.addr, c.sideOf(m))
	c.leave(m)
	c.name()
}

func (c *chaos) crashOne() {
	m := c.one()
	c.did("crash", "%s at %v%s", m, m.addr, c.sideOf(m))
	c.expectNoticed(m)
	c.crash(m)
	c.stale = []netip.AddrPort{m.addr}
	c.name()
}

// restart crashes a member and starts it again at once, at another address.
func (c *chaos) restart() {
	old := c.one()
	c.crash(old)
	m := c.newcomer(old.id)
	c.did("restart", "%s from %v to %v%s", m, old.addr, m.addr, c.sideOf(m))
	c.launch(m)
	c.name()
}

// split cuts off up to half of the members. A few of a hundred members need many
// minutes to notice that the others are gone; only a full run waits for that.
func (c *chaos) split() {
	all := c.sorted()
	c.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	least := 1
	if !full() {
		least = max(1, len(all)/5)
	}
	side := all[:least+c.random.IntN(len(all)/2-least)]
	c.partition(side)
	c.did("partition", "%d of %d cut off: %v", len(side), len(all), side)
	c.name()
}

func (c *chaos) heal() {
	c.did("heal", "%d and the rest", len(c.cut))
	c.sim.heal()
	c.healed = true
	c.name()
}

// name gives the name of the seeds the addresses of three members of each side, and one
// outdated address, as a name service that monitors members would.
func (c *chaos) name() {
	var addrs []netip.AddrPort
	for _, component := range c.components() {
		addrs = append(addrs, addrsOf(component[:min(len(component), 3)])...)
	}
	addrs = append(addrs, c.stale...)
	c.dns.set(simSeedName, addrs)
}

// inquiry is longer than a member asks others whether they declared it dead.
const inquiry = 10 * time.Second

// settle waits for a quiet point.
func (c *chaos) settle() {
	c.t.Helper()
	took := c.quiet(20 * time.Minute)
	if c.healed {
		// Members that the other side declared dead ask it about that, and may then step back.
		c.sleep(inquiry)
		c.quiet(20 * time.Minute)
	}
	for range 2 {
		c.sleep(500 * time.Millisecond)
		for _, component := range c.components() {
			if !settled(component) {
				c.fail("it was quiet, and is no longer:\n%s", differences(component))
			}
		}
	}
	c.note("quiet after %v: %d members in %d components", took, len(c.members), len(c.components()))
	switch {
	case c.cut != nil:
		c.quietCut = append(c.quietCut, took)
	case c.healed:
		c.quietHealed = append(c.quietHealed, took)
	default:
		c.quietWhole = append(c.quietWhole, took)
	}
	c.healed = false
}
