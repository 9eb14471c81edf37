package cluster

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTheLogOfEventsIsBounded: it has the last ones, and what a caller got does not change.
func TestTheLogOfEventsIsBounded(t *testing.T) {
	l := new(eventLog)
	add := func() {
		l.add(Event{Kind: HealthChanged, At: time.Now(), Health: &HealthChange{}})
	}
	none, added := l.after("")
	require.Empty(t, none)
	add()
	<-added
	first, _ := l.after("")
	require.Len(t, first, 1)
	require.Equal(t, l.process+"-1", first[0].ID)
	for range 3 * maxLogged {
		add()
	}
	require.Equal(t, l.process+"-1", first[0].ID)
	all, _ := l.after("")
	require.Len(t, all, maxLogged)
	require.Equal(t, l.process+"-769", all[len(all)-1].ID)
	for id, want := range map[string]int{
		l.process + "-769": 0, l.process + "-767": 2, l.process + "-1": maxLogged, l.process + "-770": maxLogged,
		"other-769": maxLogged, l.process: maxLogged, l.process + "-x": maxLogged, "-": maxLogged,
	} {
		got, _ := l.after(id)
		require.Len(t, got, want, id)
	}
}
