package membership

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSuspicions(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicions(15*time.Second, func() time.Time { return now })
	later := func(d time.Duration) { now = now.Add(d) }

	s.suspect("a", 3)
	s.suspect("b", 7)
	s.suspect("b", 7)
	require.Equal(t, 2, s.count())
	s.alive("a", 3)
	s.alive("c", 9)
	require.Equal(t, 2, s.count(), "an incarnation that is suspected refutes nothing")
	s.alive("a", 4)
	require.Equal(t, 1, s.count())
	s.gone("b")
	require.Zero(t, s.count(), "a member that is dead is not suspected")

	s.suspect("a", 4)
	require.Zero(t, s.count(), "it outlived a suspicion not long ago")
	later(suspicionMemory)
	s.suspect("a", 5)
	require.Equal(t, 1, s.count())

	later(15 * time.Second)
	require.Zero(t, s.count(), "no death has followed")
	s.suspect("a", 6)
	require.Zero(t, s.count())
	later(suspicionMemory)
	require.Zero(t, s.count())
	require.Empty(t, s.open, "nothing is kept of it")
}

// A member is silent from the first suspicion on that no sign of it follows, whether or not the
// suspicion is counted.
func TestSinceWhenAMemberIsSilent(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicions(15*time.Second, func() time.Time { return now })
	require.Zero(t, s.silent("a"))
	s.suspect("a", 3)
	now = now.Add(time.Second)
	s.suspect("a", 3)
	require.Equal(t, time.Unix(1000, 0), s.silent("a"))
	s.alive("a", 4)
	require.Zero(t, s.silent("a"))
	s.suspect("a", 4)
	now = now.Add(time.Second)
	s.suspect("a", 4)
	require.Zero(t, s.count(), "it outlived a suspicion not long ago")
	require.Equal(t, time.Unix(1001, 0), s.silent("a"))
	s.alive("a", 5)
	require.Zero(t, s.silent("a"))
	s.suspect("a", 5)
	s.gone("a")
	require.Zero(t, s.silent("a"))
}

// A suspicion of which nothing follows was refuted, also where this member has not heard how. Otherwise a dead message would
// be expected, and a forged death confirmed, long after it.
func TestAMemberIsNotSilentForever(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicions(15*time.Second, func() time.Time { return now })
	later := func(d time.Duration) { now = now.Add(d) }
	s.suspect("a", 3)
	s.alive("a", 4)
	later(time.Second)
	s.suspect("a", 4)
	later(15*time.Second - time.Millisecond)
	require.Equal(t, time.Unix(1001, 0), s.silent("a"))
	later(time.Millisecond)
	require.Zero(t, s.silent("a"))
	s.suspect("a", 4)
	require.Equal(t, now, s.silent("a"), "it is suspected anew")
	later(time.Second)
	s.suspect("a", 4)
	require.Equal(t, now.Add(-time.Second), s.silent("a"))
}

// A death is expected when a suspicion has had the time to reach the suspected member, and its refutation the time to
// reach this one.
func TestWhenADeathIsExpected(t *testing.T) {
	m, err := New(optionsOf(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	m.suspicions.now = m.settings.now
	other := gossipName("n2", 2)
	m.registry.set(other, Member{ID: "n2", Start: Start{Nonce: 2}})
	require.False(t, m.expects(other, 3))
	require.True(t, m.expects(other, leastIncarnation), "of holders of tethers")
	m.heard(other, true, 3)
	now = now.Add(2*m.settings.timings.probeInterval - time.Millisecond)
	require.False(t, m.expects(other, 3))
	now = now.Add(time.Millisecond)
	require.True(t, m.expects(other, 3))
	m.heard(other, false, 4)
	require.False(t, m.expects(other, 4))
}

// A member that nothing is heard of, and that refuted a suspicion not long before, may lose most of what it sends. Its refutation
// needs longer.
func TestHowLongASilentMemberMayDenyThat(t *testing.T) {
	m, err := New(optionsOf(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	m.suspicions.now = m.settings.now
	other, interval := gossipName("n2", 2), m.settings.timings.probeInterval
	m.registry.set(other, Member{ID: "n2", Start: Start{Nonce: 2}})
	m.suspicions.raise(other, 3)
	require.Equal(t, interval, m.mayRefuteFor(other))
	m.heard(other, false, 4)
	now = now.Add(time.Minute)
	for range 2 {
		m.suspicions.raise(other, 5)
		require.Equal(t, refutationProbes*interval, m.mayRefuteFor(other))
		now = now.Add(16 * time.Second)
	}
	now = now.Add(suspicionMemory)
	m.suspicions.raise(other, 5)
	require.Equal(t, interval, m.mayRefuteFor(other))
}

// An incarnation in a list of another member that is above the suspected one refutes the suspicion.
func TestAListRefutesASuspicion(t *testing.T) {
	s := newSuspicions(time.Minute, time.Now)
	s.suspect("a", 3)
	s.listed("a", 3)
	require.Equal(t, 1, s.count())
	s.listed("a", 4)
	require.Zero(t, s.count())
	require.Zero(t, s.silent("a"))
	s.suspect("a", 4)
	require.NotZero(t, s.silent("a"))
	s.listed("a", 4)
	require.NotZero(t, s.silent("a"))
	s.listed("a", 5)
	require.Zero(t, s.silent("a"))
	s.suspect("b", 0)
	s.listed("b", 9)
	require.Equal(t, 1, s.count(), "the list may be older than the suspicion")
}

// What a member announced before it heard of a suspicion is no sign of it.
func TestTheAgeOfASuspicion(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicions(15*time.Second, func() time.Time { return now })
	s.suspect("a", 3)
	s.suspect("a", 4)
	s.suspect("b", 0)
	s.alive("a", 4)
	s.alive("b", 4)
	now = now.Add(time.Second)
	require.Equal(t, time.Second, s.age("a"))
	require.Zero(t, s.age("b"), "it may have refuted a suspicion of which the incarnation is not known")
	s.alive("a", 5)
	require.Zero(t, s.age("a"))
	s.suspect("a", 9)
	now = now.Add(time.Second)
	require.Zero(t, s.age("a"), "it outlived a suspicion not long ago")
	require.True(t, s.raise("a", 9), "and nothing answers there now")
	require.False(t, s.raise("a", 9))
	now = now.Add(time.Second)
	require.Equal(t, time.Second, s.age("a"))
	require.False(t, s.alive("a", 9))
	require.True(t, s.alive("a", 10), "this member was wrong")
	require.False(t, s.alive("a", 11))
}

// Suspicions of earlier incarnations, which memberlist ignores, do not count.
func TestSuspicionsOfTheFormerIncarnation(t *testing.T) {
	s := newSuspicions(time.Minute, time.Now)
	s.alive("a", 5)
	s.suspect("a", 4)
	s.listed("b", 7)
	s.suspect("b", 6)
	require.Zero(t, s.count())
	require.Zero(t, s.silent("a"))
	s.suspect("a", 5)
	s.suspect("b", 0)
	require.Equal(t, 2, s.count())
	s.gone("a")
	s.gone("b")
	require.Empty(t, s.known)
}

func TestOwnSuspicionTakesTheIncarnationThatOthersSuspect(t *testing.T) {
	s := newSuspicions(time.Minute, time.Now)
	s.suspect("a", 0)
	s.alive("a", 5)
	require.Equal(t, 1, s.count(), "this may be an earlier announcement")
	s.suspect("a", 5)
	s.alive("a", 6)
	require.Zero(t, s.count())
}

func TestSuspicionsAreOfKnownMembersAlone(t *testing.T) {
	m, err := New(Options{ClusterName: "c", NodeID: "n1", GossipAddr: "10.0.0.1:1", PartitionCount: 8, Configurations: []string{"x"}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	other := gossipName("n2", 5)
	m.registry.set(other, Member{ID: "n2", Start: Start{Number: 1, Nonce: 5}})
	logger := newGossipLogger(nil, lineHooks{})
	logger.Print("[INFO] memberlist: Suspect nobody hears has failed, no acks received")
	logger = newGossipLogger(slog.New(slog.DiscardHandler), lineHooks{suspects: m.suspects})
	for _, name := range []string{m.name, gossipName("n3", 6), other} {
		logger.Printf("[INFO] memberlist: Suspect %s has failed, no acks received", name)
		m.heard(name, true, 1)
	}
	require.Equal(t, 1, Drive(m).Suspected())
	m.heard(other, false, 2)
	require.Zero(t, Drive(m).Suspected())
}
