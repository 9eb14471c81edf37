package cluster

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wires carries messages between two members and returns what each was given, in order.
type wires struct {
	ends  [2]cookies
	given [2][]string
}

var ends = [2]startKey{{"a", 1}, {"b", 2}}

// send sends a message from one end; what follows from it is sent too.
func (w *wires) send(t *testing.T, from int, message string) {
	t.Helper()
	w.carry(t, from, [][]byte{w.ends[from].wrap(ends[1-from], []byte(message))}, 0)
}

func (w *wires) carry(t *testing.T, from int, frames [][]byte, depth int) {
	t.Helper()
	require.Less(t, depth, 10, "it ends")
	for _, frame := range frames {
		message, answers := w.ends[1-from].open(ends[from], frame, time.Now())
		if len(message) > 0 {
			w.given[1-from] = append(w.given[1-from], string(message))
		}
		w.carry(t, 1-from, answers, depth+1)
	}
}

func TestCookies(t *testing.T) {
	var w wires
	w.send(t, 0, "one")
	require.Equal(t, []string{"one"}, w.given[1], "after both know their numbers")
	w.send(t, 1, "two")
	w.send(t, 0, "three")
	require.Equal(t, [2][]string{{"two"}, {"one", "three"}}, w.given)

	// A process on the side that knows neither number.
	for _, number := range []uint64{0, 1, 1 << 63} {
		forged := binary.LittleEndian.AppendUint64([]byte{cookieVersion}, number)
		forged = append(binary.LittleEndian.AppendUint64(forged, number), "forged"...)
		message, send := w.ends[1].open(ends[0], forged, time.Now())
		require.Nil(t, message)
		for _, frame := range send {
			require.Len(t, frame, cookieHeader, "an empty message, to the member")
		}
	}
	for _, malformed := range [][]byte{nil, {cookieVersion}, {3, 1, 1}} {
		message, send := w.ends[1].open(ends[0], malformed, time.Now())
		require.Nil(t, message)
		require.Empty(t, send)
	}
	w.send(t, 0, "four")
	w.send(t, 1, "five")
	require.Equal(t, [2][]string{{"two", "five"}, {"one", "three", "four"}}, w.given, "forgeries have changed nothing")
}

// A forgery that comes first, and a member that forgets the other one, cost one more round.
func TestCookiesAreExchangedAgain(t *testing.T) {
	var w wires
	forged := append(binary.LittleEndian.AppendUint64([]byte{cookieVersion}, 7), make([]byte, 8)...)
	_, send := w.ends[1].open(ends[0], append(forged, "forged"...), time.Now().Add(-time.Hour))
	w.carry(t, 1, send, 0)
	w.send(t, 0, "one")
	w.send(t, 1, "two")
	require.Equal(t, [2][]string{{"two"}, {"one"}}, w.given)

	w.ends[0].peers[ends[1]].hello = time.Time{}
	w.ends[1].keep(nil)
	require.Empty(t, w.ends[1].peers)
	w.send(t, 0, "lost")
	w.send(t, 0, "three")
	w.send(t, 1, "four")
	require.Equal(t, [2][]string{{"two", "four"}, {"one", "three"}}, w.given)
}
