package handoff

import "errors"

// version is the version of the format of messages and records.
const version = 3

// The kinds of messages. A query reports as an answer does, and asks the receiver to report too. A
// process that lacks an answer asks again. The newest answer counts, and no process keeps a list of
// messages.
const (
	query  = 1
	answer = 2
	stored = 3 // a record, from a process to itself
)

// Bounds of a message.
const (
	maxDeparted     = 128      // departed processes that a process remembers and names in a message
	maxIDBytes      = 128      // bytes of a NodeID
	maxAsking       = 2048     // partitions that one batch of queries asks about
	maxMessageBytes = 32 << 10 // the approximate size at which another message is begun
)

// Flags of a report.
const (
	flagOwner    = 1 << iota // the sender owns the partition, now or in the target
	flagReady                // the sender is a ready owner
	flagOffers               // the receiver may merge what the sender has
	flagComplete             // the sender has every write acknowledged before the receiver owned
	flagSees                 // the receiver is an owner, now or in the target, in the sender's last view
	flagAsks                 // the sender asks in which sets the receiver served

	flagsKnown = flagAsks<<1 - 1
)

// Message says how a process stands with partitions. It is immutable.
type Message struct {
	kind     byte
	query    uint64 // the number of a query; an answer repeats it; 0: an answer without a query
	to       uint64 // the start of the receiver
	reports  []report
	departed []Process // processes that left after handing everything over, the newest last
}

// report says how a process stands with one partition.
type report struct {
	partition int
	flags     byte
	fence     uint64 // the sender's last fence; 0: the sender has nothing
	merged    uint64 // the receiver's fence as of which the sender has merged from it; 0: none
	asked     uint64 // the sender's fence as of which the receiver should merge; 0: no merge is needed
	sets      ledger // the pending sets of the sender; when asked for, also the sets in which it served
}

func (r report) is(flag byte) bool { return r.flags&flag != 0 }

var errMessage = errors.New("malformed message")

// Bytes returns the message as bytes.
func (m *Message) Bytes() []byte {
	w := wire{writing: true, places: make(map[Process]uint64)}
	w.message(m)
	return w.b
}

// ParseMessage reads a message from another process of a cluster with the given partition count. It never
// panics, and allocates in proportion to the length of b.
func ParseMessage(b []byte, partitions int) (*Message, error) {
	m, err := parse(b, partitions)
	if err != nil || m.kind != query && m.kind != answer {
		return nil, errMessage
	}
	return m, nil
}

func parse(b []byte, partitions int) (*Message, error) {
	m, w := &Message{}, wire{b: b, partitions: partitions}
	if w.message(m); w.failed || len(w.b) > 0 {
		return nil, errMessage
	}
	return m, nil
}
