package handoff

import (
	"encoding/binary"
	"errors"
	"slices"
)

// version is that of messages and records. Version 1 wrote pending sets and served sets
// in two lists.
const version = 2

// The kinds of messages. A query asks for the same from the receiver. Nothing is
// remembered about messages: a process that needs an answer asks again, and the newest
// answer counts.
const (
	query  = 1
	answer = 2
	stored = 3 // a record, from a process to itself
)

// Bounds of a message.
const (
	maxNamed        = 4096     // processes named in it
	maxDeparted     = 128      // departed processes that a process remembers and tells
	maxIDBytes      = 128      // of a NodeID
	maxMessageBytes = 32 << 10 // about how long a message gets before another is begun
)

// Flags of a report.
const (
	flagOwner    = 1 << iota // the sender owns the partition, now or in the target
	flagReady                // it has what an owner must have
	flagOffers               // the receiver may merge what the sender has
	flagComplete             // the sender has every write acknowledged before the receiver owned
	flagSees                 // the receiver is an owner, now or in the target, in the sender's last view
	flagAsks                 // the sender asks in which sets the receiver served

	flagsKnown = flagAsks<<1 - 1
)

// Message says how a process stands with partitions. It is immutable.
type Message struct {
	kind     byte
	query    uint64 // the number of a query; an answer repeats it, 0 when nobody asked
	to       uint64 // the start that it is meant for
	reports  []report
	departed []Process // processes that left after handing everything over, the last one last
}

// report says how a process stands with one partition.
type report struct {
	partition int
	flags     byte
	fence     uint64 // the sender's last fence; 0: it has nothing
	merged    uint64 // the receiver's fence as of which the sender has merged from it; 0: none
	asked     uint64 // the sender's fence as of which the receiver should merge; 0: it need not
	sets      ledger // what the sender lacks; where that is asked for, in which sets it served
}

func (r report) is(flag byte) bool { return r.flags&flag != 0 }

// size is about how many bytes a report takes.
func (r report) size() int {
	n := 24
	for _, o := range r.sets {
		n += 3
		for _, p := range o.members {
			n += 10 + len(p.ID)
		}
	}
	return n
}

// Bytes writes the message: the version, the kind, the query and the start, the processes
// named in it, the reports, then the departed. Numbers are unsigned varints but for
// starts, which take eight bytes.
func (m *Message) Bytes() []byte {
	b := []byte{version, m.kind}
	b = binary.AppendUvarint(b, m.query)
	b = binary.LittleEndian.AppendUint64(b, m.to)
	place := make(map[Process]uint64)
	var named []Process
	name := func(processes []Process) {
		for _, p := range processes {
			if _, known := place[p]; !known {
				place[p] = uint64(len(named))
				named = append(named, p)
			}
		}
	}
	for _, r := range m.reports {
		for _, o := range r.sets {
			name(o.members)
		}
	}
	name(m.departed)
	b = binary.AppendUvarint(b, uint64(len(named)))
	for _, p := range named {
		b = binary.AppendUvarint(b, uint64(len(p.ID)))
		b = append(b, p.ID...)
		b = binary.LittleEndian.AppendUint64(b, p.Start)
	}
	b = binary.AppendUvarint(b, uint64(len(m.reports)))
	for _, r := range m.reports {
		b = r.append(b, place)
	}
	b = binary.AppendUvarint(b, uint64(len(m.departed)))
	for _, p := range m.departed {
		b = binary.AppendUvarint(b, place[p])
	}
	return b
}

func (r report) append(b []byte, place map[Process]uint64) []byte {
	b = binary.AppendUvarint(b, uint64(r.partition))
	b = append(b, r.flags)
	b = binary.AppendUvarint(b, r.fence)
	b = binary.AppendUvarint(b, r.merged)
	b = binary.AppendUvarint(b, r.asked)
	b = append(b, byte(len(r.sets)))
	for _, o := range r.sets {
		b = append(b, byte(o.marks), byte(len(o.members)))
		b = binary.AppendUvarint(b, uint64(o.merged))
		for _, p := range o.members {
			b = binary.AppendUvarint(b, place[p])
		}
	}
	return b
}

var errMessage = errors.New("malformed message")

// ParseMessage reads what came from another process of a cluster of so many partitions.
// It never panics, and allocates in proportion to what it is given.
func ParseMessage(b []byte, partitions int) (*Message, error) {
	return parse(b, partitions, query, answer)
}

// parse reads a message of one of some kinds.
func parse(b []byte, partitions int, kinds ...byte) (*Message, error) {
	if len(b) < 2 || b[0] != version || !slices.Contains(kinds, b[1]) {
		return nil, errMessage
	}
	r := reader{b: b[2:]}
	m := &Message{kind: b[1], query: r.number(), to: r.fixed()}
	named := make([]Process, r.count(maxNamed, 1+8))
	for i := range named {
		named[i] = Process{ID: r.text(), Start: r.fixed()}
	}
	m.reports = make([]report, r.count(partitions, 6))
	for i := range m.reports {
		m.reports[i] = r.report(named, partitions)
	}
	for range r.count(maxDeparted, 1) {
		m.departed = append(m.departed, r.name(named))
	}
	if r.failed || len(r.b) > 0 {
		return nil, errMessage
	}
	return m, nil
}

// reader takes values from the front of b. After a failure it gives zeros.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) fail() { r.b, r.failed = nil, true }

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	n := r.b[0]
	r.b = r.b[1:]
	return n
}

// count reads how many things of a least size follow.
func (r *reader) count(most, size int) int {
	n := r.number()
	if n > uint64(most) || n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.count(maxIDBytes, 1)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) report(named []Process, partitions int) report {
	p := r.number()
	if p >= uint64(partitions) {
		r.fail()
		return report{}
	}
	out := report{partition: int(p), flags: r.byte(), fence: r.number(), merged: r.number(), asked: r.number()}
	n := int(r.byte())
	if out.flags&^flagsKnown != 0 || n > maxSets || n > len(r.b)/4 {
		r.fail()
		return report{}
	}
	if n > 0 {
		out.sets = make(ledger, n)
	}
	for i := range out.sets {
		out.sets[i] = r.set(named)
	}
	return out
}

func (r *reader) set(named []Process) ownerSet {
	o := ownerSet{marks: mark(r.byte())}
	n := int(r.byte())
	merged := r.number()
	if n == 0 || n > maxMembers || n > len(r.b) || merged>>n != 0 || o.marks == 0 || o.marks&^marksWritten != 0 ||
		o.marks&markPending == 0 && (merged != 0 || o.marks&markConfirmed != 0) {
		r.fail()
		return ownerSet{}
	}
	o.merged, o.members = uint32(merged), make(set, n)
	for i := range o.members {
		if o.members[i] = r.name(named); r.failed || i > 0 && o.members[i-1].Compare(o.members[i]) >= 0 {
			r.fail()
			return ownerSet{}
		}
	}
	return o
}

// name reads one of the processes named.
func (r *reader) name(named []Process) Process {
	at := r.number()
	if at >= uint64(len(named)) {
		r.fail()
		return Process{}
	}
	return named[at]
}
