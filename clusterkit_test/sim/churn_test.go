package sim_test

import (
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// churnLimit is how long all members may take to agree on a change once it is
// visible.
const churnLimit = 3 * time.Second

// TestSimChurn makes members join and leave one at a time, while one packet and one
// dial in twenty are lost. It measures the time until the last member has the change.
func TestSimChurn(t *testing.T) {
	t.Parallel()
	members, changes := scaled(50, 25, 15), scaled(500, 50, 25)
	network := memnet.Options{Latency: time.Millisecond, Jitter: 2 * time.Millisecond, PacketLoss: 0.05, StreamLoss: 0.05}
	simulate(t, network, func(s *sim) {
		s.form(members)
		c := &churn{sim: s, next: members}
		for i := range changes {
			if i%2 == 0 {
				c.join()
			} else {
				c.leaveOne()
			}
			s.sleep(time.Duration(s.rand.Int64N(int64(2 * time.Second))))
		}
		s.quiet(time.Minute)
		t.Logf("seed %d: %d changes at %d members in %v of virtual time", s.seed, changes, members, time.Since(s.began).Round(time.Second))
		t.Logf("join, from when Start was called: %s", quantiles(c.called))
		t.Logf("join, from when Start had returned: %s", quantiles(c.joined))
		t.Logf("leave, from when Stop was called until no ring has it: %s", quantiles(c.released))
		t.Logf("leave, from when the first one had dropped it until all had: %s", quantiles(c.dropped))
		t.Logf("leave, from when Stop was called until all had dropped it: %s", quantiles(c.gone))
	})
}

// churn measures changes, one at a time.
type churn struct {
	*sim
	next int // the number of the next member to join

	called, joined, released, dropped, gone []time.Duration
}

// await waits for a condition, and records the time since a given moment.
func (c *churn) await(what string, since time.Time, times *[]time.Duration, holds func() bool) {
	c.t.Helper()
	c.until(what, time.Minute, func() bool { return holds() }, func() string { return c.describe() })
	took := time.Since(since)
	c.note("%s: %v", what, took)
	*times = append(*times, took)
}

// describe names the members whose view differs.
func (c *churn) describe() string { return differences(c.sorted()) }

func (c *churn) require(what string, times []time.Duration) {
	c.t.Helper()
	if took := times[len(times)-1]; took > churnLimit {
		c.fail("%s took %v, more than %v:\n%s", what, took, churnLimit, c.describe())
	}
}

// join starts a new member, and waits until all members agree that it owns.
func (c *churn) join() {
	c.t.Helper()
	m := c.make(c.number(c.next))
	c.next++
	c.note("%s joins", m)
	c.launch(m)
	c.until("starting", time.Minute, func() bool { return len(c.starting()) == 0 }, func() string { return m.id })
	up, _ := m.startedAt()
	c.await("the join of "+m.id, up, &c.joined, func() bool {
		for _, other := range c.members {
			if seen, ok := other.Member(m.id); !ok || seen.State != membership.Active {
				return false
			}
		}
		_, same := sameFingerprint(c.sorted())
		return same
	})
	c.called = append(c.called, time.Since(m.at))
	c.require("the join of "+m.id, c.joined)
}

// leaveOne stops a member that is not a seed. It waits until all members agree that
// this one owns nothing, and then that it is gone.
func (c *churn) leaveOne() {
	c.t.Helper()
	all := c.sorted()
	m := all[3+c.rand.IntN(len(all)-3)]
	c.note("%s leaves", m)
	stop := time.Now()
	c.leave(m)
	c.await("the release by "+m.id, stop, &c.released, func() bool {
		var ring uint64
		for _, other := range c.members {
			r := other.Ring()
			if _, owns := r.Node(m.id); owns || ring != 0 && uint64(r.Fingerprint()) != ring {
				return false
			}
			ring = uint64(r.Fingerprint())
		}
		return true
	})
	c.until("the first to drop "+m.id, time.Minute, func() bool {
		for _, other := range c.members {
			if _, there := other.Member(m.id); !there {
				return true
			}
		}
		return false
	}, c.describe)
	c.await("the drop of "+m.id, time.Now(), &c.dropped, func() bool {
		for _, other := range c.members {
			if _, there := other.Member(m.id); there {
				return false
			}
		}
		_, same := sameFingerprint(c.sorted())
		return same
	})
	c.gone = append(c.gone, time.Since(stop))
	c.working.Wait()
	c.require("the release by "+m.id, c.released)
	c.require("the drop of "+m.id, c.dropped)
}
