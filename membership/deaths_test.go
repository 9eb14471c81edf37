package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that others suspect again after its death is not reached all the time. It waits on, for a bounded time:
// anybody can forge a suspicion in clear.
func TestASuspicionProlongsTheWaitAfterADeath(t *testing.T) {
	m, err := New(optionsOf(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	m.registry.now = m.settings.now
	m.registry.set("n2~0000000000000002", Member{ID: "n2", Start: Start{Nonce: 2}})
	interval, wait := m.settings.timings.probeInterval, m.settings.timings.firstRest
	// waits lets time pass in which the member hears others, and refutes a suspicion every so often. It returns how long
	// the member still waits.
	waits := func(limit, every time.Duration) time.Duration {
		for passed := time.Duration(0); passed < limit; passed += interval {
			if Drive(m).DeclaredDead() == nil {
				return passed
			}
			now = now.Add(interval)
			m.heardFrom()
			if every > 0 && passed%every == 0 {
				m.refutes(false)
			}
			m.rest()
		}
		return limit
	}
	m.heardFrom()
	m.stepBack(3, 3)
	require.Equal(t, wait, waits(time.Hour, 0))

	m.stepBack(3, 3)
	beyond := 3*time.Minute + interval
	require.Equal(t, beyond, waits(beyond, 20*time.Second))
	require.Equal(t, 2*wait, waits(time.Hour, 0))

	m.stepBack(3, 3)
	require.InDelta(t, (maxRest + 4*wait).Seconds(), waits(time.Hour, 20*time.Second).Seconds(), 20)
}
