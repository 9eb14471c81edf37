package membership

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSend(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		a, b := n.make(1), n.make(2)
		require.ErrorIs(t, Drive(a).Send(t.Context(), "n2", nil), errNotStarted)
		require.NoError(t, a.Start(t.Context()))
		require.NoError(t, b.Start(t.Context()))
		n.see(2, a, b)
		require.NoError(t, Drive(a).Send(t.Context(), "n2", []byte("hello")))
		require.Equal(t, message{From: "n1", Start: a.Local().Start.Nonce, Payload: []byte("hello")}, <-Drive(b).Messages())
		largest := make([]byte, maxMessage)
		largest[maxMessage-1] = 7
		require.NoError(t, Drive(b).Send(t.Context(), "n1", largest))
		require.Equal(t, largest, (<-Drive(a).Messages()).Payload)

		require.ErrorIs(t, Drive(a).Send(t.Context(), "n2", make([]byte, maxMessage+1)), errMessageSize)
		require.ErrorIs(t, Drive(a).Send(t.Context(), "n3", nil), errUnknownMember)
		require.ErrorIs(t, Drive(a).Send(t.Context(), "n1", nil), errUnknownMember, "not to itself")
		require.NoError(t, a.Stop(t.Context()))
		require.ErrorIs(t, Drive(a).Send(t.Context(), "n2", nil), ErrStopped)
	})
}

// A member that does not answer delays its messages by at most the time for one
// message, and at most maxSends of them at a time.
func TestSendToASilentMember(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		a, b := n.start(1), n.start(2)
		n.see(2, a, b)
		n.net.Isolate(addrOf(2))
		begun := time.Now()
		var wg sync.WaitGroup
		for range maxSends {
			wg.Go(func() {
				if Drive(a).Send(t.Context(), "n2", nil) == nil {
					t.Error("it arrived nowhere")
				}
			})
		}
		synctest.Wait() // all messages are under way
		require.ErrorContains(t, Drive(a).Send(ended(), "n2", nil), "context canceled")
		wg.Wait()
		require.Equal(t, LAN.timings().patience, time.Since(begun), "all at a time")
		n.net.Reconnect(addrOf(2))
		require.NoError(t, Drive(a).Send(t.Context(), "n2", []byte("after them")), "those that hang do not count")
		require.Equal(t, "after them", string((<-Drive(b).Messages()).Payload))
		n.net.Isolate(addrOf(2))

		go func() { _ = Drive(a).Send(t.Context(), "n2", nil) }()
		require.NoError(t, a.Stop(t.Context()))
	})
}

// A message for a process that is gone does not reach a later process at its address.
func TestAMessageIsForOneStart(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		a, b := n.start(1), n.start(2)
		n.see(2, a, b)
		n.net.Crash(addrOf(2))
		require.NoError(t, n.make(2).Start(t.Context()))
		again := n.all[len(n.all)-1]
		n.net.Crash(addrOf(2)) // so that a cannot know
		before := again.Local().Start.Nonce
		again.deliver(directMessage{from: "n1", to: before + 1, payload: []byte("old")})
		again.deliver(directMessage{from: "n1", to: before, payload: []byte("new")})
		require.Equal(t, "new", string((<-Drive(again).Messages()).Payload))
		require.Empty(t, Drive(again).Messages())
	})
}

// No sender waits for a receiver that does not take its messages.
func TestAFullInbox(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		a, b := n.start(1), n.start(2)
		n.see(2, a, b)
		const over = 10
		for i := range maxInbox + over {
			require.NoError(t, Drive(a).Send(t.Context(), "n2", fmt.Append(nil, i)))
		}
		n.await("all have arrived", func() bool { return Drive(b).Stats().MessagesDropped == over })
		require.Len(t, Drive(b).Messages(), maxInbox)
		require.Equal(t, "0", string((<-Drive(b).Messages()).Payload), "the oldest are kept")
	})
}

// A message that stalls on its way ends with its time.
func TestSendHonoursItsDeadline(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		a, b := n.start(1), n.start(2)
		n.see(2, a, b)
		require.NoError(t, n.net.SetStreamLoss(1))
		require.EqualError(t, Drive(a).Send(t.Context(), "n2", nil), `membership: sending to "n2": it takes longer than 1s`)
		require.NoError(t, n.net.SetStreamLoss(0))
		require.NoError(t, Drive(a).Send(t.Context(), "n2", nil))
	})
}
