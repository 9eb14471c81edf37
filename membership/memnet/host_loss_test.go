package memnet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// packetsThrough returns how many of 1000 packets arrive.
func packetsThrough(t *testing.T, n *memnet.Network, lossIn, lossOut float64, reverse bool) int {
	t.Helper()
	from, to := listen(t, n, hostA), listen(t, n, hostB)
	require.NoError(t, n.SetHostLoss(hostA, lossIn, lossOut))
	if reverse {
		from, to = to, from
	}
	for range 1000 {
		send(t, from, addrOf(t, to), "x")
	}
	return len(received(to))
}

func TestOneHostLosesPackets(t *testing.T) {
	for name, test := range map[string]struct {
		in, out float64
		reverse bool
		want    int
	}{
		"out, as the sender":   {out: 0.8, want: 200},
		"out, as the receiver": {out: 0.8, reverse: true, want: 1000},
		"in, as the receiver":  {in: 0.8, reverse: true, want: 200},
		"in, as the sender":    {in: 0.8, want: 1000},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, memnet.Options{Seed: 5})
			got := packetsThrough(t, n, test.in, test.out, test.reverse)
			require.InDelta(t, test.want, got, 50) // four standard deviations
			require.Equal(t, uint64(1000-got), n.Stats().PacketsDropped.Lost)
		})
	}
}

func TestAHostLosesNothingToItself(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	a := listen(t, n, hostA)
	require.NoError(t, n.SetHostLoss(hostA, 0.99, 0.99))
	for range 100 {
		require.True(t, reaches(t, a, a))
	}
}

func TestLossOfAHostDelaysItsStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Seed: 1})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		dialled, accepted := connect(t, a, b)
		require.NoError(t, n.SetHostLoss(hostA, 0, 0.8))
		longest, buffer := time.Duration(0), make([]byte, 1)
		for range 50 {
			write(t, dialled, "x")
			late := elapsed(func() {
				_, err := accepted.Read(buffer)
				require.NoError(t, err)
			})
			require.Zero(t, late%(200*time.Millisecond), "whole retransmissions")
			longest = max(longest, late)
			write(t, accepted, "x")
			require.Zero(t, elapsed(func() {
				_, err := dialled.Read(buffer)
				require.NoError(t, err)
			}), "the other direction loses nothing")
		}
		require.Greater(t, longest, 5*time.Second)
		require.LessOrEqual(t, longest, 205*time.Second)
		require.NoError(t, n.SetHostLoss(hostA, 0, 0))
		write(t, dialled, "x")
		require.Equal(t, "x", readNow(t, accepted))
	})
}

func TestLossOfAHostDelaysItsDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newNetwork(t, memnet.Options{Seed: 1})
		a, b := listen(t, n, hostA), listen(t, n, hostB)
		require.NoError(t, n.SetHostLoss(hostA, 0.5, 0))
		took := map[time.Duration]int{}
		for range 200 {
			took[elapsed(func() {
				conn, err := a.DialTimeout(hostB.String(), 4*time.Second)
				if err != nil {
					requireTimeout(t, err)
					return
				}
				require.NoError(t, conn.Close())
				require.NoError(t, (<-b.StreamCh()).Close())
			})]++
		}
		require.Len(t, took, 4)
		for after, want := range map[time.Duration]int{0: 100, time.Second: 50, 3 * time.Second: 25, 4 * time.Second: 25} {
			require.InDelta(t, want, took[after], 30, "%v", took)
		}
		require.Equal(t, uint64(took[4*time.Second]), n.Stats().DialsFailed.TooSlow)
	})
}

func TestSetHostLossRefusesWhatIsOutOfBounds(t *testing.T) {
	n := newNetwork(t, memnet.Options{})
	require.EqualError(t, n.SetHostLoss(hostA, -0.1, 1),
		"memnet: loss of 10.0.0.1:7946: in is -0.1: must be between 0 and 0.99\n"+
			"out is 1: must be between 0 and 0.99")
	require.Equal(t, 1000, packetsThrough(t, n, 0, 0, false))
}
