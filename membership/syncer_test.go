package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testSyncer() (*syncer, *clock) {
	c := newClock()
	return newSyncer(LAN.timings(), c.now), c
}

func viewNumber(n uint64) digest { return digest{fingerprint: n, members: n, configuration: 1} }

func TestSyncsAreOneAtATime(t *testing.T) {
	s, _ := testSyncer()
	require.True(t, s.begin(viewNumber(1), viewNumber(2), 10))
	require.False(t, s.begin(viewNumber(1), viewNumber(3), 10), "one is under way")
	s.end()
	require.True(t, s.begin(viewNumber(1), viewNumber(3), 10))
	s.end()
}

// TestALostExchangeDoesNotHoldUpTheNext: a lost dial takes 5 seconds to fail. Meanwhile this
// member can ask another one.
func TestALostExchangeDoesNotHoldUpTheNext(t *testing.T) {
	s, c := testSyncer()
	for lost := range uint64(maxSyncs) {
		require.True(t, s.begin(viewNumber(1), viewNumber(2+lost), 10), "with %d lost", lost)
		c.advance(LAN.timings().patience / 2)
		require.False(t, s.begin(viewNumber(1), viewNumber(100), 10), "with one that may still succeed")
		c.advance(LAN.timings().patience / 2)
	}
	c.advance(time.Hour)
	require.False(t, s.begin(viewNumber(1), viewNumber(100), 10), "they are bounded")
	s.end()
	require.True(t, s.begin(viewNumber(1), viewNumber(100), 10))
}

func TestAPairOfViewsSyncsEverMoreRarely(t *testing.T) {
	s, c := testSyncer()
	begun := c.at
	var at []time.Duration
	for c.at.Sub(begun) < 3*time.Minute {
		if s.begin(viewNumber(1), viewNumber(2), 10) {
			s.end()
			at = append(at, c.at.Sub(begun))
		}
		c.advance(100 * time.Millisecond)
	}
	require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second,
		31 * time.Second, 61 * time.Second, 91 * time.Second, 121 * time.Second, 151 * time.Second}, at,
		"doubling, up to the push/pull interval")
	require.True(t, s.begin(viewNumber(1), viewNumber(3), 10), "another view of theirs is another matter")
	s.end()
	require.True(t, s.begin(viewNumber(4), viewNumber(2), 10), "so is another of ours")
	s.end()
}

func TestSyncsStayWithinTheirBudget(t *testing.T) {
	s, c := testSyncer()
	const members = 1000
	spent := 0
	burst := 0
	for i := range uint64(600) { // a minute in which all members differ, with a new view each time
		if s.begin(viewNumber(i), viewNumber(1000+i), members) {
			s.end()
			spent += members * syncBytesPerMember
			if i == uint64(burst) {
				burst++
			}
		}
		c.advance(100 * time.Millisecond)
	}
	require.LessOrEqual(t, spent, syncBudget+60*syncBytesPerSecond)
	require.GreaterOrEqual(t, spent, 59*syncBytesPerSecond, "what it may, it uses")
	require.Greater(t, burst, 3, "and at first at once")

	c.advance(time.Hour)
	require.True(t, s.begin(viewNumber(5000), viewNumber(5001), 1<<20), "a cluster beyond the budget may when it is full")
	s.end()
	c.advance(time.Second)
	require.False(t, s.begin(viewNumber(5000), viewNumber(5002), 1<<20))
	require.False(t, s.begin(viewNumber(5000), viewNumber(5002), 1000), "and then everybody waits")
	c.advance(time.Minute)
	require.True(t, s.begin(viewNumber(5000), viewNumber(5002), 1<<20))
	s.end()
}

func TestTheSyncerForgetsOldPairs(t *testing.T) {
	s, c := testSyncer()
	for i := range uint64(10 * maxSyncPairs) {
		c.advance(time.Second)
		require.True(t, s.begin(viewNumber(1), viewNumber(2+i), 1))
		s.end()
		require.LessOrEqual(t, len(s.pairs), maxSyncPairs)
	}
}

func TestTheMoreMembersTheMoreRarelyEachSyncs(t *testing.T) {
	s, c := testSyncer()
	for _, members := range []int{10, 1000} {
		count := 0
		for begun := c.at; c.at.Sub(begun) < 6*time.Hour; c.advance(time.Second) {
			if s.begin(viewNumber(uint64(members)), viewNumber(2), members) {
				s.end()
				count++
			}
		}
		perHour := count * members / 6
		require.Less(t, perHour, 5000, "%d members with the one that differs", members)
	}
}
