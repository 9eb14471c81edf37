package handoff

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func testMessage() *Message {
	a, b := Process{"a", 1}, Process{"b", 2}
	return &Message{kind: query, query: 300, to: 9, reports: []report{
		{partition: 5, flags: flagOwner | flagReady, fence: 7, merged: 1, asked: 2},
		{partition: 6, flags: flagOffers | flagAsks, fence: 8, sets: ledger{
			{&set{a, b}, quorums{3, 2}, 2, 0, markPending | markConfirmed},
			{&set{b}, quorums{1, 1}, 0, 1, markServed | markComplete | markReady},
			{&set{a}, quorums{16, 9}, 0, 0, markServed},
		}},
	}, departed: []Process{b}}
}

// The protocol fixes these bytes.
func TestMessageGolden(t *testing.T) {
	want := []byte{3, 1, 0xAC, 2, 9,
		2, 5, 3, 7, 1, 2, 0, 6, 0x24, 8, 0, 0, 3,
		3, 3, 2, 2, 0, 2, 0, 1, 'a', 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 'b', 2, 0, 0, 0, 0, 0, 0, 0,
		0x1C, 1, 1, 0, 1, 1, 1, 4, 16, 9, 0, 0, 1, 0,
		1, 1}
	require.Equal(t, want, testMessage().Bytes())
	got, err := ParseMessage(want, 7)
	require.NoError(t, err)
	require.Equal(t, testMessage(), got)
}

// Owner sets are shared between messages, and several goroutines write messages at once. So writing must
// change nothing. The race detector would find a change.
func TestMessagesAreWrittenAtOnce(t *testing.T) {
	m := testMessage()
	var tasks sync.WaitGroup
	for range 2 {
		tasks.Go(func() { _ = m.Bytes() })
	}
	tasks.Wait()
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	good := testMessage().Bytes()
	for i := range good {
		_, err := ParseMessage(good[:i], 7)
		require.ErrorIs(t, err, errMessage, "cut to %d bytes", i)
	}
	_, err := ParseMessage(good, 6)
	require.ErrorIs(t, err, errMessage, "of another partition count")
	for at := range good {
		for _, value := range []byte{0, 1, 2, 3, 0x7F, 0x80, 0xFF} {
			b := bytes.Clone(good)
			if b[at] == value {
				continue
			}
			b[at] = value
			if m, err := ParseMessage(b, 7); err == nil {
				require.NotEqual(t, testMessage(), m, "byte %d", at)
			}
		}
	}
	_, err = ParseMessage(append(bytes.Clone(good), 0), 7)
	require.ErrorIs(t, err, errMessage, "a tail")
}

// A record is read back as it was written. Anything else on a disk is refused.
func FuzzParseRecord(f *testing.F) {
	r := testMessage().reports[1]
	f.Add((&Message{kind: stored, to: 9, reports: []report{r}}).Bytes())
	r.sets = append(r.sets, ownerSet{&set{{"b", 2}, {"c", 3}}, quorums{3, 2}, 0, 0, markServing | markReported})
	f.Add((&Message{kind: stored, to: 9, reports: []report{r}}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		const partitions = 16
		for _, p := range []int{0, 6} {
			r, err := ParseRecord(b, p, partitions)
			if err != nil {
				continue
			}
			require.Equal(t, p, r.Partition())
			// No record breaks the machine that starts with it.
			m := New(Config{Self: Process{"a", 9}, Partitions: partitions, Parallel: 1})
			m.Step(Restored{Starts: 1, Records: []Record{r}})
			again, err := ParseRecord(m.record(m.parts[p], true), p, partitions)
			require.NoError(t, err)
			for o := range r.report.sets.with(markPending) {
				nobody := &set{{}} // the set that is pending where there are more sets than a record may hold
				kept := again.report.sets.marks(o.members) | again.report.sets.marks(nobody)
				require.NotZero(t, kept&markPending, "%v of %v", o, again.report.sets)
			}
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add(testMessage().Bytes())
	f.Add((&Message{kind: answer, reports: []report{{partition: 3}}}).Bytes())
	f.Add((&Message{kind: query, reports: []report{{partition: 13, flags: flagAsks}, {partition: 13, flags: flagAsks}}}).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		const partitions = 16
		m, err := ParseMessage(b, partitions)
		if err != nil {
			return
		}
		again, err := ParseMessage(m.Bytes(), partitions)
		require.NoError(t, err)
		require.Equal(t, m, again, "what is read is what was written")

		// No message breaks the machine that receives it.
		w := newWorld(t, 1)
		w.lossy, w.partitions = 0, partitions
		w.start("a", true)
		w.start("b", false)
		w.run(10e9)
		receiver := w.live["a"]
		m.to = receiver.Start
		receiver.step(Received{w.live["b"].Process, m})
		w.run(10e9)
		require.Empty(t, w.wrong)
	})
}

// FuzzMessagesOfOthers delivers messages in the names of a member, of one that has left, and of none,
// again and again. The memory of a message is bounded by its bytes, and that of the machine by the
// number of its partitions. The simulation finds nothing wrong afterwards.
func FuzzMessagesOfOthers(f *testing.F) {
	one, several := testMessage().Bytes(), testMessage()
	several.departed = []Process{{"x", 1}, {"b", 2}}
	for _, b := range [][]byte{one, several.Bytes(), (&Message{kind: query, reports: []report{{partition: 5, flags: flagAsks}}}).Bytes()} {
		f.Add(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...), uint8(3))
		f.Add(append(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...), append([]byte{0, byte(len(one))}, one...)...), uint8(60))
	}
	f.Fuzz(func(t *testing.T, b []byte, times uint8) {
		const partitions = 16
		var messages []*Message
		for len(b) > 2 && len(messages) < 8 {
			n := min(int(b[0])<<8|int(b[1]), len(b)-2)
			m, err := ParseMessage(b[2:2+n], partitions)
			if err == nil {
				require.LessOrEqual(t, bytesOf(m), 1024+64*n, "the memory of a message of %d bytes", n)
				messages = append(messages, m)
			}
			b = b[2+n:]
		}
		if len(messages) == 0 {
			return
		}
		w := newWorld(t, 1)
		w.lossy, w.partitions = 0, partitions
		w.start("a", true)
		w.start("b", false)
		w.run(10e9)
		receiver := w.live["a"]
		before := bytesOf(receiver.machine)
		for range times%64 + 1 {
			for i, m := range messages {
				m.to = receiver.Start
				from := []Process{w.live["b"].Process, {"b", w.live["b"].Start + 7}, {"x", uint64(i)}}
				for _, p := range from {
					receiver.step(Received{p, m})
				}
			}
		}
		require.LessOrEqual(t, bytesOf(receiver.machine)-before, 64<<10+partitions*maxSets*512, "the memory of the machine")
		w.run(10e9)
		require.Empty(t, w.wrong)
	})
}
