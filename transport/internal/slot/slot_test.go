package slot_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/internal/slot"
)

const mostWait = time.Second

// take takes n slots that are free.
func take(t *testing.T, s *slot.Slots, n int) []*slot.Slot {
	t.Helper()
	taken := make([]*slot.Slot, n)
	for i := range taken {
		taken[i] = new(slot.Slot)
		require.True(t, s.Try("a", taken[i]), "slot %d", i)
	}
	return taken
}

func TestOnlyRequestsThatTakeLongMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slot.New(3, 2, mostWait)
		taken := take(t, s, 3)
		require.False(t, s.Try("a", new(slot.Slot)), "all are taken")
		require.True(t, s.Try("b", new(slot.Slot)), "another host")
		time.Sleep(slot.LongAfter - time.Millisecond)
		require.False(t, s.Try("a", new(slot.Slot)), "none has taken long")
		time.Sleep(time.Millisecond)
		more := take(t, s, 2)
		require.False(t, s.Try("a", new(slot.Slot)), "there are as many long ones as there may be")
		taken[0].Free()
		require.True(t, s.Try("a", new(slot.Slot)), "the third one has taken long too")
		more[0].Free()
		more[1].Free()
		take(t, s, 2)
		require.False(t, s.Try("a", new(slot.Slot)))
	})
}

func TestAStreamMakesRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slot.New(2, 2, mostWait)
		taken := take(t, s, 2)
		waits := make(chan error, 1)
		var waiting slot.Slot
		go func() { waits <- s.Wait(t.Context(), nil, "a", &waiting) }()
		synctest.Wait()
		require.Empty(t, waits)
		taken[1].Streams()
		require.NoError(t, <-waits)
		require.False(t, s.Try("a", new(slot.Slot)))
		taken[1].Free()
		require.False(t, s.Try("a", new(slot.Slot)), "it was one of the long ones")
		waiting.Streams()
		take(t, s, 1)
	})
}

func TestAWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slot.New(1, 1, mostWait)
		old := take(t, s, 1)[0]
		began := time.Now()
		var second, third slot.Slot
		require.NoError(t, s.Wait(t.Context(), nil, "a", &second), "the first has taken long")
		require.Equal(t, slot.LongAfter, time.Since(began))

		began = time.Now()
		err := s.Wait(t.Context(), nil, "a", &third)
		require.ErrorIs(t, err, slot.ErrBusy)
		require.ErrorContains(t, err, "no connection to the host was free within 1s: 1 requests to a are under way, and 1 more that take long")
		require.Equal(t, mostWait, time.Since(began))

		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		require.ErrorIs(t, s.Wait(ctx, nil, "a", &third), gone)
		over := make(chan struct{})
		close(over)
		require.ErrorIs(t, s.Wait(t.Context(), over, "a", &third), slot.ErrOver)

		// The requests that wait get slots in the order in which they came.
		order := make(chan string, 2)
		for i := range 2 {
			go func() {
				time.Sleep(time.Duration(i+1) * time.Millisecond)
				if s.Wait(t.Context(), nil, "a", new(slot.Slot)) == nil {
					order <- strconv.Itoa(i)
				}
			}()
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.False(t, s.Try("a", new(slot.Slot)), "no request overtakes those that wait")
		old.Free()
		require.Equal(t, "0", <-order)
		second.Free()
		require.Equal(t, "1", <-order)
	})
}

// TestSlotsAreNotLost gives slots back in every state, and finds all of them free.
func TestSlotsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slot.New(4, 3, mostWait)
		for round := range 20 {
			held := take(t, s, 4)
			if round%2 == 1 {
				held[round%4].Streams()
			}
			if round%3 == 1 {
				time.Sleep(slot.LongAfter)
			}
			if more := new(slot.Slot); s.Try("a", more) {
				held = append(held, more)
			}
			for i := range held {
				held[(i+round)%len(held)].Free()
			}
		}
		take(t, s, 4)
		require.False(t, s.Try("a", new(slot.Slot)))
	})
}
