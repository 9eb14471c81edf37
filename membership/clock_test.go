package membership

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const year = 365 * 24 * time.Hour

// A member whose clock was never set, and shows 1970, is a member like the others. It listed none of them, although
// all of them listed it, and owned everything.
func TestAClockThatWasNeverSet(t *testing.T) {
	for name, edit := range map[string]func(*Options){
		"in clear":  func(*Options) {},
		"with keys": func(o *Options) { o.Gossip.Keys = Keys{hostileKey} },
	} {
		t.Run(name, func(t *testing.T) {
			inNet(t, func(t *testing.T, n *testNet) {
				time.Sleep(time.Until(release.Add(year)))
				one, two, three := n.start(1, edit), n.start(2, edit, behind(57*year)), n.start(3, edit)
				n.see(3, one, two, three)
				require.NoError(t, n.net.Partition([]netip.AddrPort{addrOf(1), addrOf(3)}, []netip.AddrPort{addrOf(2)}))
				n.see(2, one, three)
				n.see(1, two)
				time.Sleep(time.Minute)
				n.net.Heal()
				n.see(3, one, two, three)
				require.NoError(t, two.Stop(t.Context()))
				n.see(2, one, three)
			})
		})
	}
}

// Members refuse a process whose clock is years ahead, because of its start number. The process refuses them too, so that
// its Start says why. It started, and saw itself among members that did not list it.
func TestAClockThatIsYearsAhead(t *testing.T) {
	refused := func(t *testing.T, m *Membership) {
		t.Helper()
		err := m.Start(t.Context())
		differs := new(ConfigurationError)
		require.ErrorAs(t, err, &differs)
		require.Equal(t, "Clock", differs.Field)
		require.ErrorContains(t, err, ": set the one that is wrong, and restart its process")
	}
	t.Run("that of the process that joins", func(t *testing.T) {
		inNet(t, func(t *testing.T, n *testNet) {
			one, three := n.start(1), n.start(3)
			refused(t, n.make(2, behind(-50*year)))
			n.see(2, one, three)
		})
	})
	t.Run("that of the cluster", func(t *testing.T) {
		inNet(t, func(t *testing.T, n *testNet) {
			one, three := n.start(1, behind(-50*year)), n.start(3, behind(-50*year))
			n.see(2, one, three)
			refused(t, n.make(2))
			n.see(2, one, three)
		})
	})
	t.Run("a member is older than the limit", func(t *testing.T) {
		a := newAdmission(64, []string{"c"})
		a.born = release.Add(9 * year)
		m := fullMember()
		m.PartitionCount, m.Configurations, m.Started = 64, []string{"c"}, time.Unix(0, 0).UTC()
		_, err := a.admit(nodeOf(t, m))
		require.NoError(t, err)
	})
}
