package cluster

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

func TestAFenceWaitsForWritesUnderWay(t *testing.T) {
	var g gate
	g.set(1, true, true, true)
	first, err := g.enter(7, 1)
	require.NoError(t, err)
	_, err = g.enter(7, 2)
	require.EqualError(t, err, "cluster: partition 7 has token 0000000000000001 here, the request has 0000000000000002: sender and receiver mean different owners")

	told := 0
	tell := func(int) { told++ }
	require.False(t, g.fence(2, tell))
	require.False(t, g.isReady())
	_, err = g.enter(7, 2)
	require.ErrorIs(t, err, ErrFenced, "not until it is known how this member stands")
	g.set(2, true, true, false)
	second, err := g.enter(7, 2)
	require.NoError(t, err)
	require.False(t, g.fence(3, tell), "both are under way")
	second()
	second()
	require.Zero(t, told)
	require.False(t, g.settled())
	first()
	require.Equal(t, 1, told)
	require.True(t, g.settled())
	g.set(3, false, false, false)
	_, err = g.enter(7, 3)
	require.ErrorIs(t, err, ErrNotOwner)
	require.True(t, g.fence(4, tell))
}

// Once a fence has reported that no earlier write is under way, at once or later, no
// write that was admitted before the fence is applied. This holds for any order of
// calls.
func TestFencesAndWritesAtOnce(t *testing.T) {
	var g gate
	g.set(0, true, true, true)
	var applied [2]int // by the parity of the token; only the gate keeps the goroutines apart
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				if done, err := g.enter(0, ring.Token(i%2)); err == nil {
					mu.Lock()
					applied[i%2]++
					mu.Unlock()
					done()
				}
			}
		})
	}
	for i := range 500 {
		settled := make(chan struct{}, 1)
		old, next := ring.Token(i%2), ring.Token((i+1)%2)
		if !g.fence(next, func(int) { settled <- struct{}{} }) {
			<-settled
		}
		mu.Lock()
		before := applied[old]
		mu.Unlock()
		g.set(next, true, true, true)
		mu.Lock()
		require.Equal(t, before, applied[old], "nothing of the old token comes after its fence")
		mu.Unlock()
	}
	wg.Wait()
}
