package membership

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// zonedOf returns one Active start of a NodeID in a zone, with a ZoneGrace of one minute.
func zonedOf(id, zone string, nonce uint64) Member {
	m := startOf(id, nonce, nonce)
	m.Zone, m.ZoneGrace = zone, time.Minute
	return m
}

// places returns what the registry lists, as "ID state", ascending by ID.
func places(r *registry) (list []string) {
	members, _ := r.members()
	for _, m := range members {
		list = append(list, m.ID+" "+m.State.String())
	}
	return list
}

func TestAZoneThatIsLostKeepsItsPlaces(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	record(r, zonedOf("a", "x", 1))
	b, d, e := record(r, zonedOf("b", "y", 2)), record(r, zonedOf("d", "y", 3)), record(r, zonedOf("e", "y", 4))
	r.events.take()
	r.remove(b)
	c.advance(10 * time.Second)
	r.remove(e)
	require.Equal(t, []string{"b failed", "e failed"}, kinds(r.events.take()))
	require.Equal(t, []string{"a active", "d active"}, places(r))
	c.advance(10 * time.Second)
	r.remove(d)
	require.Equal(t, []string{"a active", "b away", "d away", "e away"}, places(r))
	events := r.events.take()
	require.Equal(t, "d failed", kinds(events)[0])
	require.ElementsMatch(t, []string{"b updated", "d updated", "e updated"}, kinds(events[1:]))
	for _, e := range events[1:] {
		require.Equal(t, Active, e.Before.State)
		require.Equal(t, c.at.Add(time.Minute), e.After.Until)
	}
	require.Len(t, r.failed(), 3, "they are looked for")
	require.Equal(t, 3, r.stats().Lost)

	c.advance(time.Minute)
	r.endAbsences()
	require.Equal(t, []string{"a active"}, places(r))
	require.Equal(t, 3, r.stats().Lost)
	require.Len(t, r.failed(), 3)
	for _, d := range r.lostMembers() {
		require.Equal(t, c.at, d.at)
	}
}

func TestWhichMembersOfALostZoneKeepTheirPlaces(t *testing.T) {
	with := func(m Member, edit func(*Member)) Member { edit(&m); return m }
	for name, test := range map[string]struct {
		other  Member        // a further member of the zone
		before time.Duration // how long before the last failure it failed; zero: it runs
		left   bool          // the other member has announced that it leaves
		want   []string
	}{
		"an owner runs":            {zonedOf("o", "y", 9), 0, false, []string{"o active"}},
		"an owner drains":          {with(zonedOf("o", "y", 9), func(m *Member) { m.State = Draining }), 0, false, []string{"o draining"}},
		"an observer runs":         {with(zonedOf("o", "y", 9), func(m *Member) { m.State = Observer }), 0, false, []string{"b away", "o observer"}},
		"one is joining":           {with(zonedOf("o", "y", 9), func(m *Member) { m.State = Joining }), 0, false, []string{"b away", "o joining"}},
		"zone of another region":   {with(zonedOf("o", "y", 9), func(m *Member) { m.Region = "us" }), 0, false, []string{"b away", "o active"}},
		"one failed long before":   {zonedOf("o", "y", 9), zoneWindow, false, []string{"b away"}},
		"one failed lately":        {zonedOf("o", "y", 9), zoneWindow - 1, false, []string{"b away", "o away"}},
		"one has no grace":         {with(zonedOf("o", "y", 9), func(m *Member) { m.ZoneGrace = 0 }), time.Second, false, []string{"b away"}},
		"one was draining":         {with(zonedOf("o", "y", 9), func(m *Member) { m.State = Draining }), time.Second, false, []string{"b away"}},
		"one has left":             {zonedOf("o", "y", 9), time.Second, true, []string{"b away"}},
		"one was only an observer": {with(zonedOf("o", "y", 9), func(m *Member) { m.State = Observer }), time.Second, false, []string{"b away"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			r := newRegistry("me~0", c.now)
			b := record(r, zonedOf("b", "y", 2))
			other := record(r, test.other)
			if test.left {
				leaving := test.other
				leaving.State = Leaving
				record(r, leaving)
			}
			if test.before > 0 {
				r.remove(other)
				c.advance(test.before)
			}
			r.remove(b)
			require.Equal(t, test.want, places(r))
		})
	}
}

// What a start announces that has never answered keeps no places, and a stranger cannot end the wait
// for a zone with such a start.
func TestStartsWithoutProofAndALostZone(t *testing.T) {
	r := newRegistry("me~0", newClock().now)
	b, ghost := record(r, zonedOf("b", "y", 2)), gossipName("ghost", 3)
	r.believe(ghost)
	require.Equal(t, ghost, record(r, zonedOf("ghost", "y", 3)))
	r.remove(b)
	require.Equal(t, []string{"b away", "ghost active"}, places(r))
	r.remove(ghost)
	require.Equal(t, []string{"b away"}, places(r))
}

func TestMembersOfALostZoneComeBack(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	b, d := record(r, zonedOf("b", "y", 2)), record(r, zonedOf("d", "y", 3))
	r.remove(b)
	r.remove(d)
	c.advance(20 * time.Second)
	r.events.take()

	record(r, zonedOf("b", "y", 2))
	events := r.events.take()
	require.Equal(t, []string{"b rejoined"}, kinds(events), "the same start is back")
	require.Equal(t, 20*time.Second, events[0].Away)
	_, silent, group, _ := r.deathOf(b, time.Hour)
	require.Zero(t, group, "it kept its place, so it need not step back")
	require.Zero(t, silent)

	_, _, group, _ = r.deathOf(d, time.Hour)
	require.Zero(t, group, "nor need the other one when it is back")
	restarted := zonedOf("d", "y", 4)
	restarted.State = Joining
	record(r, restarted)
	require.Empty(t, r.events.take(), "a restart that is joining changes nothing")
	require.Equal(t, []string{"b active", "d away"}, places(r))
	record(r, zonedOf("d", "y", 4))
	require.Equal(t, []string{"d rejoined"}, kinds(r.events.take()))
	require.Zero(t, r.stats().Lost)
	require.Empty(t, r.failed())

	// It is no flap, and the zone can be lost again.
	require.Empty(t, r.flaps)
	r.remove(b)
	r.remove(gossipName("d", 4))
	require.Equal(t, []string{"b away", "d away"}, places(r))
}

// A grace that is over replaces the members, and they step back when they return.
func TestAfterTheGraceOfALostZone(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	b := record(r, zonedOf("b", "y", 2))
	r.remove(b)
	r.wasSilent(b, c.at.Add(-time.Second))
	c.advance(time.Minute)
	r.endAbsences()
	_, silent, group, _ := r.deathOf(b, time.Hour)
	require.Equal(t, 1, group)
	require.Equal(t, time.Minute+time.Second, silent)
	record(r, zonedOf("b", "y", 2))
	require.Equal(t, []string{"b active"}, places(r))
	r.remove(b)
	require.Empty(t, places(r), "a zone that is lost again at once is not waited for")
}

// An operator who knows that a zone does not come back ends the wait.
func TestForgettingAMemberOfALostZone(t *testing.T) {
	c := newClock()
	r, other := newRegistry("me~0", c.now), newRegistry("other~0", c.now)
	for _, each := range []*registry{r, other} {
		b := record(each, placed(zonedOf("b", "y", 2)))
		each.remove(b)
		each.events.take()
	}
	require.True(t, r.forgetLost("b"))
	require.Empty(t, places(r))
	require.Equal(t, []string{"b left"}, kinds(r.events.take()))
	require.Zero(t, r.stats().Lost)
	told(t, r, other)
	require.Empty(t, places(other))
	require.Equal(t, []string{"b left"}, kinds(other.events.take()))
	told(t, other, r)
	require.Empty(t, places(r))
}

// Members that noticed different failures get the same list, and the earliest end counts.
func TestMembersLearnOfALostZone(t *testing.T) {
	c := newClock()
	one, two := newRegistry("one~0", c.now), newRegistry("two~0", c.now)
	for _, r := range []*registry{one, two} {
		record(r, placed(zonedOf("b", "y", 2)))
		record(r, placed(zonedOf("d", "y", 3)))
	}
	two.remove(gossipName("b", 2))
	c.advance(zoneWindow)
	one.remove(gossipName("b", 2))
	one.remove(gossipName("d", 3))
	two.remove(gossipName("d", 3))
	require.Equal(t, []string{"b away", "d away"}, places(one))
	require.Equal(t, []string{"d away"}, places(two), "it saw b fail long before")
	told(t, one, two)
	require.Equal(t, places(one), places(two))
	require.Equal(t, 2, two.stats().Lost)
	c.advance(time.Second)
	newcomer := newRegistry("newcomer~0", c.now)
	told(t, two, newcomer)
	require.Equal(t, places(one), places(newcomer))
	m, _ := newcomer.member("b")
	require.Equal(t, c.at.Add(time.Minute-time.Second), m.Until)
	require.Equal(t, time.Minute, m.ZoneGrace)
}

func zoneGrace(zone string, d time.Duration) func(*Options) {
	return func(o *Options) { o.Zone, o.ZoneGrace = zone, d }
}

// Three zones of three members. One zone loses its power, or its network. No list of members changes
// but in that its members are away, and when it is back in time, none of them steps back.
func TestAZoneIsLostAsAWhole(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(map[bool]string{false: "power", true: "network"}[cut], func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				var all []*Membership
				for i := range 9 {
					all = append(all, n.start(i+1, zoneGrace(fmt.Sprint("z", i/3), 10*time.Minute)))
				}
				n.see(9, all...)
				n.active(all...)
				lost, rest := all[6:], all[:6]
				here, there := []netip.AddrPort{addrOf(10)}, []netip.AddrPort(nil)
				for i := range all {
					if addr := addrOf(i + 1); i < 6 {
						here = append(here, addr)
					} else {
						there = append(there, addr)
					}
				}
				if cut {
					require.NoError(t, n.net.Partition(here, there))
				} else {
					for i := range lost {
						n.net.Crash(there[i])
						_ = lost[i].Stop(ended())
					}
				}
				for i := range lost {
					n.isAway(fmt.Sprint("n", i+7), rest...)
				}
				if cut {
					for i := range rest {
						n.isAway(fmt.Sprint("n", i+1), lost...)
					}
				}
				newcomer := n.start(10, zoneGrace("z0", 0), func(o *Options) { o.Discovery = Static(addrOf(1).String()) })
				require.NoError(t, Drive(newcomer).SetState(t.Context(), Active))
				time.Sleep(2 * time.Minute)
				n.see(10, append(rest, newcomer)...)
				if cut {
					n.net.Heal()
				} else {
					for i := range lost {
						again := n.start(i+7, zoneGrace("z2", 10*time.Minute))
						require.True(t, Drive(again).Return(t.Context()), "its place was kept")
						lost[i] = again
					}
				}
				all = append(slices.Concat(rest, lost), newcomer)
				n.active(all...)
				time.Sleep(time.Minute)
				for _, m := range all {
					require.NoError(t, m.deaths.state(), "none of them steps back")
					require.Zero(t, Drive(m).Stats().Lost)
				}
			})
		})
	}
}
