package cluster

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func testHandoffMessage() handoffMessage {
	a, b := process{"a", 1}, process{"b", 2}
	return handoffMessage{kind: handoffQuery, seq: 300, to: 9, reports: []report{
		{partition: 5, flags: flagOwner | flagReady, fence: 7, merged: 1, asked: 2},
		{partition: 6, flags: flagOffers | flagDebts | flagAsks | flagTenures, fence: 8, debts: []debt{{owed: []process{a, b}, paid: 2, vouched: true}},
			tenures: []tenure{{[]process{b}, tenureFirst | tenureReady}, {[]process{a, b}, 0}}},
	}, departed: []process{b}}
}

// The bytes are the protocol.
func TestHandoffMessageGolden(t *testing.T) {
	want := []byte{1, 1, 0xAC, 2, 9, 0, 0, 0, 0, 0, 0, 0,
		2, 1, 'a', 1, 0, 0, 0, 0, 0, 0, 0, 1, 'b', 2, 0, 0, 0, 0, 0, 0, 0,
		2, 5, 3, 7, 1, 2, 6, 0xD4, 8, 0, 0, 1, 5, 2, 0, 1,
		2, 3, 1, 1, 0, 2, 0, 1, 1, 1}
	require.Equal(t, want, testHandoffMessage().bytes())
	got, err := parseHandoff(want, 7)
	require.NoError(t, err)
	require.Equal(t, testHandoffMessage(), got)
}

func TestHandoffMessagesThatAreNotOurs(t *testing.T) {
	good := testHandoffMessage().bytes()
	for i := range good {
		_, err := parseHandoff(good[:i], 7)
		require.ErrorIs(t, err, errHandoffMessage, "cut to %d bytes", i)
	}
	_, err := parseHandoff(good, 6)
	require.ErrorIs(t, err, errHandoffMessage, "of another partition count")
	for at, value := range map[int]byte{0: 2, 1: 3, 32: 0xFF, 34: 0x80, 44: 2, 45: 0, 46: 1} {
		b := bytes.Clone(good)
		b[at] = value
		if m, err := parseHandoff(b, 7); err == nil {
			require.NotEqual(t, testHandoffMessage(), m, "byte %d", at)
		}
	}
	_, err = parseHandoff(append(bytes.Clone(good), 0), 7)
	require.ErrorIs(t, err, errHandoffMessage, "a tail")
}

// A record is read back as it was written, and whatever else is on a disk is refused.
func FuzzParseRecord(f *testing.F) {
	r := testHandoffMessage().reports[1]
	f.Add(handoffMessage{kind: handoffRecord, to: 9, reports: []report{r}}.bytes())
	r.tenures[0].flags = tenureServing
	f.Add(handoffMessage{kind: handoffRecord, to: 9, reports: []report{r}}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		const partitions = 16
		for _, p := range []int{0, 6} {
			r, err := parseRecord(strconv.Itoa(p), b, partitions)
			if err != nil {
				continue
			}
			require.Equal(t, p, r.partition)
			// Nothing that a disk may hold breaks what starts with it.
			core := newCore(process{"a", 9}, 2, 1, handoffPace{})
			core.restore(&journalState{head: journalHead{Starts: 1}, records: map[int]report{p: r}})
			if pt := core.parts[p]; pt != nil {
				again, err := parseRecord(strconv.Itoa(p), core.record(pt, true), partitions)
				require.NoError(t, err)
				nobody := debt{owed: []process{{}}} // where there are more than can be told
				for _, d := range r.debts {
					require.True(t, slices.ContainsFunc(again.debts, d.same) || slices.ContainsFunc(again.debts, nobody.same), "%v of %v", d, again.debts)
				}
			}
		}
	})
}

func FuzzParseHandoff(f *testing.F) {
	f.Add(testHandoffMessage().bytes())
	f.Add(handoffMessage{kind: handoffAnswer, reports: []report{{partition: 3}}}.bytes())
	f.Add(handoffMessage{kind: handoffQuery, reports: []report{{partition: 13, flags: flagAsks}, {partition: 13, flags: flagAsks}}}.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		const partitions = 16
		m, err := parseHandoff(b, partitions)
		if err != nil {
			return
		}
		again, err := parseHandoff(m.bytes(), partitions)
		require.NoError(t, err)
		require.Equal(t, m, again, "what is read is what was written")

		// Nothing a stranger sends breaks what receives it.
		w := newWorld(t, 1)
		w.lossy, w.partitions = 0, partitions
		w.start("a", true)
		w.start("b", false)
		w.run(10e9)
		receiver := w.live["a"]
		m.to = receiver.start
		receiver.core.hear(w.live["b"].process, m, w.now)
		receiver.drive()
		w.run(10e9)
		require.Empty(t, w.wrong)
	})
}
