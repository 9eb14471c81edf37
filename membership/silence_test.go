package membership

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A member that heard nobody for longer than a suspicion takes, and is suspected, refutes that when it has been in
// touch for a probe interval.
func TestWhenAMemberDeniesItsDeath(t *testing.T) {
	m, err := New(optionsOf(1))
	require.NoError(t, err)
	now := time.Unix(1000, 0)
	m.settings.now = func() time.Time { return now }
	m.registry.now = m.settings.now
	later := func(d time.Duration) { now = now.Add(d) }
	may := func() bool { return m.withheld() == nil }
	interval := m.settings.timings.probeInterval
	longest := time.Duration(m.settings.timings.suspicion.shortest+deathNews) * interval

	require.True(t, may(), "it has not heard anybody yet")
	m.heardFrom()
	later(time.Hour)
	require.True(t, may(), "it is alone")
	m.registry.set("n2~0000000000000002", Member{ID: "n2", Start: Start{Nonce: 2}})
	require.True(t, may(), "it is no longer alone only now")

	later(longest)
	m.heard(m.name, true, 0)
	require.True(t, may(), "others may still wait for it")
	m.heardFrom()
	later(longest + time.Millisecond)
	require.True(t, may(), "it is not suspected")
	m.heard("n2~0000000000000002", true, 0)
	require.True(t, may())
	m.heard(m.name, true, 0)
	require.False(t, may())
	returned := m.deaths.silence.returned.Wait()
	m.touched()
	require.False(t, may())
	later(interval - time.Millisecond)
	m.heardFrom()
	require.False(t, may())
	later(longest + time.Millisecond) // it stands still again
	m.heardFrom()
	require.False(t, may())
	select {
	case <-returned:
		require.Fail(t, "it was not in touch for a probe interval")
	default:
	}
	later(interval)
	m.heardFrom()
	require.True(t, may())
	<-returned
	m.heard(m.name, true, 0)
	require.True(t, may(), "it is in touch")
}
