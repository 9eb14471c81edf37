package memnet_test

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestFaultsUnderTraffic runs all methods concurrently: eight hosts communicate while
// faults begin and end, and hosts crash and restart. Nothing may deadlock, and in the
// end the counts must be consistent.
func TestFaultsUnderTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const hosts = 8
		n := newNetwork(t, memnet.Options{
			Seed: 7, Latency: time.Millisecond, Jitter: time.Millisecond, PacketLoss: 0.1, StreamLoss: 0.1,
		})
		var wg sync.WaitGroup
		end := time.Now().Add(20 * time.Second)
		for i := range hosts {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for time.Now().Before(end) {
					transport, err := n.Listen(clusterAddr(i), nil)
					if err != nil {
						t.Error(err)
						return
					}
					live(&wg, transport, random.Uint64())
					time.Sleep(time.Duration(random.Int64N(int64(4 * time.Second))))
					if random.IntN(2) == 0 {
						n.Crash(clusterAddr(i))
					}
					if err := transport.Shutdown(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() { breakThings(t, n, hosts, end) })
		wg.Wait()

		n.Heal()
		time.Sleep(time.Second) // packets under way arrive
		s := n.Stats()
		t.Logf("%+v", s)
		require.Equal(t, s.PacketsSent, s.PacketsDelivered+s.PacketsDropped.Total())
		require.Equal(t, s.Dials, s.DialsConnected+s.DialsFailed.Total())
		require.Zero(t, s.StreamsOpen)
		require.NotZero(t, s.PacketsDelivered)
		require.NotZero(t, s.DialsConnected)
	})
}

// live sends packets and echoes over streams until the transport is shut down.
func live(wg *sync.WaitGroup, transport memberlist.Transport, seed uint64) {
	gone := make(chan struct{})
	wg.Go(func() { // talks
		defer close(gone)
		random := rand.New(rand.NewPCG(2, seed))
		for {
			peer := clusterAddr(random.IntN(8)).String()
			if _, err := transport.WriteTo(make([]byte, 100), peer); err != nil {
				return
			}
			if conn, err := transport.DialTimeout(peer, 50*time.Millisecond); err == nil {
				_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
				_, _ = conn.Write(make([]byte, 1000))
				_, _ = conn.Read(make([]byte, 1000))
				_ = conn.Close()
			}
			time.Sleep(time.Millisecond)
		}
	})
	wg.Go(func() { // listens
		for {
			select {
			case <-transport.PacketCh():
			case conn := <-transport.StreamCh():
				wg.Go(func() {
					_ = conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
					read, _ := conn.Read(make([]byte, 1000))
					_, _ = conn.Write(make([]byte, read))
					_ = conn.Close()
				})
			case <-gone:
				return
			}
		}
	})
}

// breakThings changes a fault every few milliseconds.
func breakThings(t *testing.T, n *memnet.Network, hosts int, end time.Time) {
	random := rand.New(rand.NewPCG(3, 3))
	host := func() netip.AddrPort { return clusterAddr(random.IntN(hosts)) }
	for time.Now().Before(end) {
		var err error
		switch random.IntN(8) {
		case 0:
			err = n.Partition([]netip.AddrPort{host()}, nil)
		case 1:
			n.Block(host(), host())
		case 2:
			n.Unblock(host(), host())
		case 3:
			n.Isolate(host())
		case 4:
			n.Reconnect(host())
		case 5:
			n.Heal()
		case 6:
			err = n.SetLatency(time.Duration(random.IntN(3))*time.Millisecond, time.Millisecond)
		case 7:
			err = n.SetPacketLoss(random.Float64() / 4)
		}
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
	}
}
