package memnet_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// BenchmarkPacket sends packets in batches. So the delay counts only once for each
// batch, and the result is the cost of a packet.
func BenchmarkPacket(b *testing.B) {
	const batch = 1000
	for name, options := range map[string]memnet.Options{
		"direct":  {},
		"delayed": {Latency: time.Microsecond},
	} {
		b.Run(name, func(b *testing.B) {
			n := newNetwork(b, options)
			from, to := listen(b, n, hostA), listen(b, n, hostB)
			for i := range 300 { // other open streams must not add to the cost
				listen(b, n, clusterAddr(1000+i))
			}
			payload, addr := make([]byte, 200), hostB.String()
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					_, _ = from.WriteTo(payload, addr)
				}
				for range batch {
					<-to.PacketCh()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/packet")
		})
	}
}

func BenchmarkStream(b *testing.B) {
	n := newNetwork(b, memnet.Options{})
	from, to := listen(b, n, hostA), listen(b, n, hostB)
	payload := make([]byte, 64<<10)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		conn, err := from.DialTimeout(hostB.String(), time.Second)
		require.NoError(b, err)
		_, _ = conn.Write(payload)
		_ = conn.Close()
		accepted := <-to.StreamCh()
		_, _ = io.Copy(io.Discard, accepted)
		_ = accepted.Close()
	}
}
