package detection_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// traffic is what one member sends in a second when nothing happens.
type traffic struct{ packets, packetBytes, streamBytes, dials float64 }

func (tr traffic) String() string {
	return fmt.Sprintf("%.1f packets, %.0f B; over streams %.0f B, %.2f dials", tr.packets, tr.packetBytes, tr.streamBytes, tr.dials)
}

// idle measures the traffic of members of which none changes.
func idle(t *testing.T, k kind, of int, total time.Duration) (tr traffic) {
	t.Helper()
	simulate(t, k, memnet.Options{Seed: 1}, func(w *world) {
		w.grow(of)
		time.Sleep(2 * time.Minute) // gossip about the joins ends, and memberlist forgets what it repeats
		before := w.b.Net.Stats()
		time.Sleep(total)
		after := w.b.Net.Stats()
		per := func(a, b uint64) float64 { return float64(b-a) / float64(of) / total.Seconds() }
		tr = traffic{
			packets: per(before.PacketsSent, after.PacketsSent), packetBytes: per(before.PacketBytesSent, after.PacketBytesSent),
			streamBytes: per(before.StreamBytesWritten, after.StreamBytesWritten), dials: per(before.Dials, after.Dials),
		}
	})
	return tr
}

func TestIdleTraffic(t *testing.T) {
	t.Parallel()
	tr := idle(t, ours, 10, 2*time.Minute)
	t.Log(tr)
	require.Less(t, tr.packets, 2.2+0.2) // a probe and an answer a second
	require.Less(t, tr.packetBytes+tr.streamBytes, 700.0)
}

func TestTableOfIdleTraffic(t *testing.T) {
	skipTable(t)
	tab := newTable(t, "members", "a member sends in a second", "memberlist")
	for _, n := range []int{5, 30, 100} {
		tab.row(fmt.Sprint(n), idle(t, ours, n, 10*time.Minute).String(), idle(t, stock, n, 10*time.Minute).String())
		t.Log(tab.rows[len(tab.rows)-1])
	}
	tab.print()
}
