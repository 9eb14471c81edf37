package membership

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// lose makes members of a registry leave when last is Leaving, and fail otherwise.
func lose(r *registry, last State, number int) {
	for i := range number {
		m := startOf(fmt.Sprintf("%v-%d", last, i), 1, uint64(i))
		m.State, m.Metadata = last, map[string]string{"text": strings.Repeat("x", 100)}
		r.remove(record(r, m))
	}
	r.events.take()
}

// countDials advances the clock by d and counts the dials of lost members meanwhile.
func countDials(r *registry, c *clock, d time.Duration) (count int) {
	const step = 5 * time.Second
	for end := c.at.Add(d); c.at.Before(end); c.advance(step) {
		r.forgetOld(72 * time.Hour)
		if _, due := r.dueLost(step); due {
			count++
		}
	}
	return count
}

// A lost member is dialled soon, and then less and less often.
func TestALostMemberIsDialledEverMoreRarely(t *testing.T) {
	c := newClock()
	r := newRegistry("me~0", c.now)
	lose(r, Active, 1)
	c.advance(lostTick)
	_, due := r.dueLost(5 * time.Second)
	require.True(t, due, "a second after it was lost")
	require.InDelta(t, 12, countDials(r, c, time.Minute), 8, "as often as seeds at first")
	countDials(r, c, 9*time.Minute)
	require.InDelta(t, 16, countDials(r, c, 10*time.Minute), 9, "after ten minutes")
	countDials(r, c, 23*time.Hour)
	require.LessOrEqual(t, countDials(r, c, 10*time.Hour), 15, "after a day")
	require.Equal(t, 1, r.stats().Lost)
	countDials(r, c, 72*time.Hour)
	require.Zero(t, r.stats().Lost, "after three days")
	require.Empty(t, r.departed)
	require.Zero(t, countDials(r, c, time.Hour))
}

// A day after a thousand members were lost, few of them are dialled each hour, and after 72 hours
// none. Members that left are never dialled.
func TestADayAfterAThousandMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("lasts for days of virtual time, in one goroutine")
	}
	c := newClock()
	r := newRegistry("me~0", c.now)
	lose(r, Leaving, 1000)
	require.Zero(t, countDials(r, c, 24*time.Hour), "they left")
	require.LessOrEqual(t, len(r.departed), maxLeftTold)
	require.Zero(t, r.stats().Lost)

	lose(r, Active, 1000)
	countDials(r, c, 24*time.Hour)
	require.Less(t, countDials(r, c, 10*time.Hour), 100, "under ten an hour")
	countDials(r, c, 39*time.Hour)
	require.Empty(t, r.departed)
	require.Zero(t, r.stats().Lost)
	require.Empty(t, r.absenceRecords())
}

// startThree starts the members n1 to n3, and waits until they know each other.
func startThree(t *testing.T, network *memnet.Network, add func(*Membership)) (all []*Membership) {
	t.Helper()
	for i := 1; i <= 3; i++ {
		m, err := New(joinOptions(network, i, "10.0.0.1:7946"))
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		add(m)
		all = append(all, m)
	}
	time.Sleep(5 * time.Second) // virtual
	return all
}

func TestAMemberIsForgottenWhenAnotherKnowsThatItLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		all := startThree(t, network, add)
		cut := netip.MustParseAddrPort("10.0.0.3:7946")
		network.Isolate(cut)
		require.NoError(t, all[1].Stop(t.Context()))
		time.Sleep(time.Minute)
		require.Equal(t, 2, Drive(all[2]).Stats().Lost, "it did not see n2 leave")
		network.Heal()
		time.Sleep(time.Minute)
		for _, m := range []*Membership{all[0], all[2]} {
			members, _ := m.Members()
			require.Len(t, members, 2)
			require.Zero(t, Drive(m).Stats().Lost)
			before := network.Stats().Dials
			time.Sleep(time.Minute)
			require.Less(t, network.Stats().Dials-before, uint64(10), "but for exchanges of members")
		}
	})
}

// Forget makes all members count a lost member as one that left.
func TestForget(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		all := startThree(t, network, add)
		network.Isolate(netip.MustParseAddrPort("10.0.0.3:7946"))
		time.Sleep(time.Minute)
		require.Equal(t, 1, Drive(all[0]).Stats().Lost)
		require.False(t, Drive(all[0]).Forget("n2"), "it is there")
		require.True(t, Drive(all[0]).Forget("n3"))
		require.False(t, Drive(all[0]).Forget("n3"))
		time.Sleep(time.Minute)
		for _, m := range all[:2] {
			require.Zero(t, Drive(m).Stats().Lost)
		}
		network.Heal() // n3 dials the other members itself
		time.Sleep(time.Minute)
		members, _ := all[0].Members()
		require.Len(t, members, 3)
	})
}

// A member that receives packets which it cannot decrypt dials their sender. The result of the
// dial decides which trouble it reports.
func TestAKeyThatOneMemberDoesNotHave(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		oldKey, newKey := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
		var all []*Membership
		for i := 1; i <= 2; i++ {
			o := joinOptions(network, i, "10.0.0.1:7946")
			o.Gossip.Keys = Keys{oldKey}
			m, err := New(o)
			require.NoError(t, err)
			require.NoError(t, m.Start(t.Context()))
			add(m)
			all = append(all, m)
		}
		require.NoError(t, all[0].InstallKey(newKey))
		require.NoError(t, all[0].UseKey(newKey)) // n2 does not have the new key
		time.Sleep(15 * time.Second)
		for i, m := range all {
			troubles := Drive(m).Troubles()
			last := troubles[len(troubles)-1]
			require.Equal(t, troubleRefused, last.Kind)
			require.Contains(t, last.Message, fmt.Sprintf("n%d at 10.0.0.%d:7946: wrong or missing gossip key: no usable key in common: ", 2-i, 2-i))
		}
		require.NoError(t, all[1].InstallKey(newKey))
		time.Sleep(30 * time.Second)
		for _, m := range all {
			members, _ := m.Members()
			require.Len(t, members, 2)
			require.Empty(t, Drive(m).Troubles())
		}
	})
}

// Any process can send a packet that cannot be decrypted, also with the address of a member. Such
// packets make this member dial the sender a few times, and have no other effect.
func TestASuspectThatIsNone(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		var all []*Membership
		for i := 1; i <= 2; i++ {
			m, err := New(joinOptions(network, i, "10.0.0.1:7946"))
			require.NoError(t, err)
			require.NoError(t, m.Start(context.Background()))
			add(m)
			all = append(all, m)
		}
		before := network.Stats().Dials
		for range 1000 {
			all[0].suspect(netip.MustParseAddrPort("10.0.0.2:7946"))
			all[0].suspect(netip.MustParseAddrPort("10.0.0.9:7946"))
			time.Sleep(10 * time.Millisecond)
		}
		require.Less(t, network.Stats().Dials-before, uint64(8))
		require.Empty(t, Drive(all[0]).Troubles())
	})
}
