package membership

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnnouncerChangesAllOrNothing(t *testing.T) {
	a, err := newAnnouncer(startOf("a", 1, 1))
	require.NoError(t, err)
	meta := a.meta()
	require.NoError(t, a.change(t.Context(), func(m *Member) { m.State = Draining }))
	require.Equal(t, Draining, a.get().State)
	require.NotEqual(t, meta, a.meta())
	meta = a.meta()
	require.NoError(t, a.change(t.Context(), func(*Member) {}))
	require.Equal(t, meta, a.meta())

	for name, edit := range map[string]func(*Member){
		"too large":        func(m *Member) { m.Metadata = map[string]string{"k": strings.Repeat("x", 600)} },
		"not UTF-8":        func(m *Member) { m.Zone = "\xff" },
		"an unknown state": func(m *Member) { m.State = 99 },
	} {
		require.Error(t, a.change(t.Context(), edit), name)
		require.Equal(t, meta, a.meta(), name)
		require.Equal(t, Draining, a.get().State, name)
	}
	_, err = newAnnouncer(Member{})
	require.Error(t, err)
}

func TestAnnouncerTakesTurns(t *testing.T) {
	a, err := newAnnouncer(startOf("a", 1, 1))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := a.change(t.Context(), func(m *Member) { m.Weight++ }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 51, a.get().Weight)

	// A call that waits for the turn waits as long as its context lasts.
	<-a.turn
	require.ErrorIs(t, a.change(ended(), func(*Member) {}), context.Canceled)
	a.wait(ended(), time.Hour)
	a.turn.release()
	require.NoError(t, a.change(ended(), func(m *Member) { m.Weight = 7 }), "the turn is free, there is nothing to wait for")
	require.Equal(t, 7, a.get().Weight)
	a.wait(t.Context(), time.Hour) // not attached: no gossip to inform
	a.detach(nil)
}

func TestSetStateAndUpdate(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		m := n.make(1, func(o *Options) { o.Discovery = nil; o.Metadata = map[string]string{"a": "1"} })
		for _, s := range []State{0, Observer + 1, 255} {
			require.EqualError(t, Drive(m).SetState(t.Context(), s), "membership: cannot announce "+s.String())
		}
		require.NoError(t, Drive(m).SetState(t.Context(), Observer))
		require.NoError(t, m.Start(t.Context()))
		members, _ := m.Members()
		require.Equal(t, Observer, members[0].State, "what was set before Start is announced first")

		var kept Attributes
		require.NoError(t, m.Update(t.Context(), func(a *Attributes) {
			a.Metadata["b"] = "2"
			kept = *a
		}))
		kept.Metadata["b"] = "scribbled"
		require.Equal(t, map[string]string{"a": "1", "b": "2"}, m.Local().Metadata)
		var size *MetadataSizeError
		require.ErrorAs(t, m.Update(t.Context(), func(a *Attributes) { a.Metadata["big"] = strings.Repeat("x", 500) }), &size)
		require.Equal(t, maxUserMeta, size.Limit)
		require.Equal(t, "Metadata", size.Largest)
		require.NotContains(t, m.Local().Metadata, "big")
		members, _ = m.Members()
		require.Equal(t, map[string]string{"a": "1", "b": "2"}, members[0].Metadata)

		require.NoError(t, Drive(m).SetState(t.Context(), Leaving))
		require.NoError(t, Drive(m).SetState(t.Context(), Active))
		require.Equal(t, Leaving, m.Local().State, "there is no way back")
	})
}
