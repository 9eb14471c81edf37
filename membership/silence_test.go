package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that heard nobody for longer than a suspicion takes, and is accused, denies that when it has been in
// touch for a probe interval.
func TestWhenAMemberDeniesItsDeath(t *testing.T) {
	m, err := New(townOptions(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	m.registry.now = m.settings.now
	later := func(d time.Duration) { now = now.Add(d) }
	may := func(answer bool) bool { return m.withheld(answer) == nil }
	interval := m.settings.timings.probeInterval
	longest := time.Duration(m.settings.timings.suspicion.shortest+deathNews) * interval

	require.True(t, may(true), "it has not heard anybody yet")
	m.heardFrom()
	later(time.Hour)
	require.True(t, may(true), "it is alone")
	m.registry.set("n2~0000000000000002", Member{ID: "n2", Start: Start{Nonce: 2}})
	require.True(t, may(true), "it is no longer alone only now")

	later(longest)
	m.heard(m.name, true, 0)
	require.True(t, may(true), "others may still wait for it")
	m.heardFrom()
	later(longest + time.Millisecond)
	require.True(t, may(false), "it is not accused")
	require.False(t, may(true), "the other member may accuse it")
	m.heard("n2~0000000000000002", true, 0)
	require.True(t, may(false))
	m.heard(m.name, true, 0)
	require.False(t, may(false))
	returned := m.returned.Wait()
	m.touched()
	require.False(t, may(false))
	later(interval - time.Millisecond)
	m.heardFrom()
	require.False(t, may(false))
	later(longest + time.Millisecond) // it stands still again
	m.heardFrom()
	require.False(t, may(false))
	select {
	case <-returned:
		require.Fail(t, "it was not in touch for a probe interval")
	default:
	}
	later(interval)
	m.heardFrom()
	require.True(t, may(true))
	<-returned
	m.heard(m.name, true, 0)
	require.True(t, may(false), "it is in touch")
}
