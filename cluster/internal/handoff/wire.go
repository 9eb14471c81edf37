package handoff

import (
	"cmp"
	"encoding/binary"
	"math"
)

// wire appends values to b, or reads them from the front of b. Each method describes one part of the
// format, for both directions. After a failure, reads give zeros.
type wire struct {
	b          []byte
	writing    bool
	failed     bool
	partitions int                // when reading: the partition count
	named      []Process          // the processes named so far
	places     map[Process]uint64 // when writing: the place of each process in named
}

func (w *wire) require(holds bool) {
	if !holds {
		w.b, w.failed = nil, true
	}
}

// number is encoded as an unsigned varint.
func (w *wire) number(n *uint64) {
	if w.writing {
		w.b = binary.AppendUvarint(w.b, *n)
		return
	}
	value, size := binary.Uvarint(w.b)
	if w.require(size > 0); !w.failed {
		*n, w.b = value, w.b[size:]
	}
}

// count is encoded as the number of items that follow: at most most, each of at least size bytes.
func (w *wire) count(n, most, size int) int {
	value := uint64(max(n, 0))
	if w.number(&value); w.writing {
		return n
	}
	most = min(most, len(w.b)/size)
	if w.require(value <= uint64(max(most, 0))); w.failed {
		return 0
	}
	return int(min(value, math.MaxInt32))
}

func (w *wire) byte(value *byte) {
	if w.writing {
		w.b = append(w.b, *value)
	} else if w.require(len(w.b) > 0); !w.failed {
		*value, w.b = w.b[0], w.b[1:]
	}
}

// process is encoded as the place of a process among the processes named so far. A process that is named
// for the first time has the next place. Its ID follows, and its start in eight bytes.
func (w *wire) process(p *Process) {
	at, known := w.places[*p]
	if w.writing && !known {
		at = uint64(len(w.named))
	}
	if w.number(&at); w.failed {
		return
	}
	if at < uint64(len(w.named)) {
		if !w.writing { // a value that is written is shared, and must not change
			*p = w.named[at]
		}
		return
	}
	w.require(at == uint64(len(w.named)))
	n := w.count(len(p.ID), maxIDBytes, 1)
	if w.writing {
		w.b = binary.LittleEndian.AppendUint64(append(w.b, p.ID...), p.Start)
		w.places[*p] = at
	} else if w.require(len(w.b) >= n+8); !w.failed {
		*p = Process{string(w.b[:n]), binary.LittleEndian.Uint64(w.b[n:])}
		w.b = w.b[n+8:]
	}
	w.named = append(w.named, *p)
}

func (w *wire) processes(all *[]Process, most int) {
	n := w.count(len(*all), most, 1)
	if !w.writing && n > 0 {
		*all = make([]Process, n)
	}
	for i := range n {
		w.process(&(*all)[i])
	}
}

// message is encoded as the version, the kind, the query, the start of the receiver, the reports and the
// departed processes.
func (w *wire) message(m *Message) {
	v := byte(version)
	w.byte(&v)
	w.require(v == version)
	w.byte(&m.kind)
	w.require(query <= m.kind && m.kind <= stored)
	w.number(&m.query)
	w.number(&m.to)
	n := w.count(len(m.reports), w.partitions, 6)
	if !w.writing {
		m.reports = make([]report, n)
	}
	for i := range n {
		w.report(&m.reports[i])
	}
	w.processes(&m.departed, maxDeparted)
}

// report is encoded as the partition, the flags, three numbers and the owner sets.
func (w *wire) report(r *report) {
	p := uint64(max(r.partition, 0))
	w.number(&p)
	if !w.writing {
		w.require(p < uint64(max(w.partitions, 0)))
		r.partition = int(min(p, math.MaxInt32))
	}
	w.byte(&r.flags)
	w.require(r.flags&^flagsKnown == 0)
	w.number(&r.fence)
	w.number(&r.merged)
	w.number(&r.asked)
	n := w.count(len(r.sets), maxSets, 6)
	if !w.writing && n > 0 {
		r.sets = make(ledger, n)
	}
	for i := range n {
		w.ownerSet(&r.sets[i])
	}
}

// ownerSet is encoded as the marks, RF, W, the members merged from, the members attested, and all
// members, ascending.
func (w *wire) ownerSet(o *ownerSet) {
	marks, q, merged, attested, members := byte(o.marks), o.quorums, uint64(o.merged), uint64(o.attested), []Process(*cmp.Or(o.members, &set{})) //nolint:gosec // other marks are not written
	w.byte(&marks)
	w.byte(&q.factor)
	w.byte(&q.writes)
	w.number(&merged)
	w.number(&attested)
	w.processes(&members, maxMembers)
	if w.writing {
		return
	}
	o.marks, o.quorums, o.merged, o.attested, o.members = mark(marks), q, uint16(min(merged, 1<<maxMembers-1)), uint16(min(attested, 1<<maxMembers-1)), (*set)(&members)
	w.require(0 < q.writes && q.writes <= q.factor && len(members) > 0 && (merged|attested)>>len(members) == 0 && marks != 0 && o.marks&^marksWritten == 0 &&
		(o.is(markPending) || merged == 0 && !o.is(markConfirmed)) && (o.is(marksOfPast) || attested == 0))
	for i := 1; i < len(members); i++ {
		w.require(members[i-1].Compare(members[i]) < 0)
	}
}
