package membership

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTroubles() (*troubles, *clock, *lineLog) {
	c, h := newClock(), newLineLog(slog.LevelInfo)
	return &troubles{log: slog.New(h), now: c.now}, c, h
}

// A trouble is logged once when it appears, once for each new reason, and once when it is over.
func TestTroublesAreLoggedOnce(t *testing.T) {
	all, c, h := newTroubles()
	for range 3 {
		all.set(troubleRefused, "n4", "key", "n4: wrong key", 0)
		c.advance(time.Second)
	}
	require.Equal(t, []string{"WARN a problem appeared problem=refused subject=n4 message=n4: wrong key"}, h.take())
	all.set(troubleRefused, "n4", "name", "n4: another cluster", 0)
	require.Equal(t, []string{"WARN a problem appeared problem=refused subject=n4 repeated=2 message=n4: another cluster"}, h.take())
	require.Equal(t, []trouble{{troubleRefused, "n4", "n4: another cluster"}}, all.list())
	all.set(troubleDiscovery, "", "", "no such host", 0)
	h.take()
	require.Equal(t, []trouble{{troubleDiscovery, "", "no such host"}, {troubleRefused, "n4", "n4: another cluster"}}, all.list())
	all.clear(troubleRefused, "n4")
	all.clear(troubleRefused, "n4")
	require.Equal(t, []string{"INFO a problem is over problem=refused subject=n4 lasted=3s"}, h.take())
	require.Len(t, all.list(), 1)

	// A trouble that comes back soon is not logged again before it has lasted for troubleQuiet.
	all.set(troubleRefused, "n4", "name", "n4: another cluster", 0)
	require.Empty(t, h.take())
	require.Len(t, all.list(), 2)
	c.advance(troubleQuiet)
	all.set(troubleRefused, "n4", "name", "n4: another cluster", 0)
	require.Len(t, h.take(), 1)
}

// Each kind has a line when it appears and one when it is over.
func TestEachKindOfTroubleIsLogged(t *testing.T) {
	for _, kind := range troubleKinds {
		all, _, h := newTroubles()
		all.set(kind, "n4", "", "why", 0)
		all.clear(kind, "n4")
		require.Equal(t, []string{
			"WARN a problem appeared problem=" + kind + " subject=n4 message=why", "INFO a problem is over problem=" + kind + " subject=n4 lasted=0s",
		}, h.take())
	}
}

func TestTroublesEndAndAreForgotten(t *testing.T) {
	all, c, h := newTroubles()
	for i := range 2 * maxTroubles {
		all.set(troubleRefused, fmt.Sprint(i), "key", "wrong key", time.Minute)
	}
	require.Len(t, all.list(), maxTroubles)
	h.take()
	c.advance(time.Minute)
	require.Empty(t, all.list())
	require.Empty(t, h.take(), "a look does not write to the log")
	require.False(t, all.has(troubleRefused))
	require.Len(t, h.take(), maxTroubles)
	c.advance(troubleQuiet)
	require.Empty(t, all.list())
	require.Empty(t, all.all)
}

func TestRepeatsAreBounded(t *testing.T) {
	r, c := repeats{every: time.Minute}, newClock()
	for i := range 10 * maxRepeats {
		ok, held := r.say(fmt.Sprint(i), c.now())
		require.True(t, ok)
		require.Zero(t, held)
		require.LessOrEqual(t, len(r.seen), maxRepeats)
	}
	for range 5 {
		ok, _ := r.say("x", c.now())
		c.advance(time.Second)
		_ = ok
	}
	c.advance(time.Minute)
	ok, held := r.say("x", c.now())
	require.True(t, ok)
	require.Equal(t, 4, held)
}
