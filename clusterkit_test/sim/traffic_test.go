package sim_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestDocumentedTraffic measures the traffic of a member without news, as
// docs/operations.md lists it. Rows of many members are measured with
// CLUSTERKIT_SIM_FULL.
func TestDocumentedTraffic(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures four clusters")
	}
	const span = 3 * time.Minute // a multiple of the time between two exchanges of all members: 0.5, 1.5, 1 and 3 minutes
	for _, s := range documents.HeldBy(t, t.Name()) {
		for i, line := range s.Lines[2:] {
			row := documents.Cells(line)
			var profile membership.Profile
			require.NoError(t, profile.UnmarshalText([]byte(map[string]string{"LAN": "lan", "WAN": "wan"}[row[0]])))
			members, err := strconv.Atoi(row[1])
			require.NoError(t, err)
			if !full() && members > 10 {
				continue
			}
			simulate(t, memnet.Options{Latency: time.Millisecond}, func(b *sim) {
				b.form(members)
				b.sleep(2 * time.Minute) // until the news of the start is no longer sent
				total := func() (packets, bytes, streamed float64) {
					for _, m := range b.members {
						sent := m.Metrics().Gossip.Traffic
						packets += float64(sent.PacketsSent)
						bytes += float64(sent.PacketBytesSent)
						streamed += float64(sent.StreamBytesSent)
					}
					return packets, bytes, streamed
				}
				packets, bytes, streamed := total()
				b.sleep(span)
				packetsNow, bytesNow, streamedNow := total()
				each := span.Seconds() * float64(members)
				for c, got := range []float64{(packetsNow - packets) / each, (bytesNow - bytes) / each, (streamedNow - streamed) / each} {
					shown, err := strconv.ParseFloat(row[2+c], 64)
					require.NoError(b.t, err)
					near := 10.0 // bytes
					if c == 0 {
						near = 0.05
					}
					require.InDelta(b.t, shown, got, near, "%s:%d, %s", s.Document, s.Line+2+i, documents.Cells(s.Lines[0])[2+c])
				}
			}, func(o *cluster.Options) { o.Gossip.Profile = profile })
		}
	}
}
