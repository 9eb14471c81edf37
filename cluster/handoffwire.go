package cluster

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// process is one start of a member. Evidence is about processes, not members: a
// member that starts again has lost what it had.
type process struct {
	id    string
	start uint64 // the nonce of its start
}

func (p process) compare(q process) int {
	return cmp.Or(cmp.Compare(p.id, q.id), cmp.Compare(p.start, q.start))
}

// Members tell each other how they stand with partitions, many in one message.
// A query asks for the same from the receiver. Nothing is remembered about
// messages: who needs an answer asks again, and the newest answer counts.
const (
	handoffVersion = 1

	handoffQuery  = 1
	handoffAnswer = 2
	handoffRecord = 3 // to itself, in the journal

	maxHandoffProcesses = 4096 // named in one message
	maxHandoffOwed      = 32   // in one debt
	maxHandoffDebts     = 16   // of one partition
	maxHandoffSets      = 128  // of owners, of one partition
	maxHandoffDeparted  = 128  // that a process remembers and tells of
)

// Flags of a report.
const (
	flagOwner    = 1 << iota // the sender owns the partition, now or in the target
	flagReady                // and has what an owner must have
	flagOffers               // what it holds may be merged by the receiver, see core.offers
	flagComplete             // it has every write acknowledged before the receiver owned, see part.complete
	flagDebts                // debts follow
	flagSees                 // the receiver is an owner, now or in the target, by the last view of the sender
	flagAsks                 // the sender asks for the tenures of the receiver
	flagTenures              // those follow in which the sender served

	flagsKnown = flagTenures<<1 - 1
)

// report says how a process stands with a partition, as it tells another.
type report struct {
	partition int
	flags     byte
	fence     uint64   // the number of the sender's last fence
	merged    uint64   // the receiver's fence as of which the sender has merged from it; 0: not yet
	asked     uint64   // the sender's fence as of which the receiver should merge from it; 0: it need not
	debts     []debt   // what the sender lacks
	tenures   []tenure // in which the sender served, the oldest first
}

func (r report) is(flag byte) bool { return r.flags&flag != 0 }

// debt is a set of owners that may hold writes which their debtor lacks.
type debt struct {
	owed    []process // ascending
	paid    uint32    // those that were merged from, by place in owed
	vouched bool      // one of those had every write
}

func (d debt) same(o debt) bool { return slices.Equal(d.owed, o.owed) }

// handoffMessage is one message.
type handoffMessage struct {
	kind     byte
	seq      uint64 // of a query; an answer repeats it, 0 when nobody asked
	to       uint64 // the start it is meant for
	reports  []report
	departed []process // who has left in order, the last to leave last
}

var errHandoffMessage = errors.New("cluster: malformed handoff message")

// bytes writes the message: the version, the kind, seq and to, the processes
// named in it, the reports, then the departed. Numbers are unsigned varints but for starts.
func (m handoffMessage) bytes() []byte {
	b := []byte{handoffVersion, m.kind}
	b = binary.AppendUvarint(b, m.seq)
	b = binary.LittleEndian.AppendUint64(b, m.to)
	place := make(map[process]uint64)
	var named []process
	name := func(processes []process) {
		for _, p := range processes {
			if _, known := place[p]; !known {
				place[p] = uint64(len(named))
				named = append(named, p)
			}
		}
	}
	for _, r := range m.reports {
		for _, d := range r.debts {
			name(d.owed)
		}
		for _, t := range r.tenures {
			name(t.owners)
		}
	}
	name(m.departed)
	b = binary.AppendUvarint(b, uint64(len(named)))
	for _, p := range named {
		b = binary.AppendUvarint(b, uint64(len(p.id)))
		b = append(b, p.id...)
		b = binary.LittleEndian.AppendUint64(b, p.start)
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

func (r report) append(b []byte, place map[process]uint64) []byte {
	flags := r.flags &^ (flagDebts | flagTenures)
	if len(r.debts) > 0 {
		flags |= flagDebts
	}
	if len(r.tenures) > 0 {
		flags |= flagTenures
	}
	b = binary.AppendUvarint(b, uint64(r.partition))
	b = append(b, flags)
	b = binary.AppendUvarint(b, r.fence)
	b = binary.AppendUvarint(b, r.merged)
	b = binary.AppendUvarint(b, r.asked)
	names := func(processes []process) {
		for _, p := range processes {
			b = binary.AppendUvarint(b, place[p])
		}
	}
	if flags&flagDebts != 0 {
		b = append(b, byte(len(r.debts)))
	}
	for _, d := range r.debts {
		head := byte(len(d.owed)) << 1
		if d.vouched {
			head |= 1
		}
		b = append(b, head)
		b = binary.AppendUvarint(b, uint64(d.paid))
		names(d.owed)
	}
	if flags&flagTenures != 0 {
		b = append(b, byte(len(r.tenures)))
	}
	for _, t := range r.tenures {
		b = append(b, t.flags, byte(len(t.owners)))
		names(t.owners)
	}
	return b
}

// parseHandoff reads what came from another process of a cluster of so many
// partitions.
func parseHandoff(b []byte, partitions int) (handoffMessage, error) {
	return parseKind(b, partitions, handoffQuery, handoffAnswer)
}

// parseKind reads a message of one of some kinds. It never panics, and allocates in
// proportion to what it is given.
func parseKind(b []byte, partitions int, kinds ...byte) (handoffMessage, error) {
	if len(b) < 2 || b[0] != handoffVersion || !slices.Contains(kinds, b[1]) {
		return handoffMessage{}, errHandoffMessage
	}
	r := reader{b: b[2:]}
	m := handoffMessage{kind: b[1], seq: r.number(), to: r.fixed()}
	named := make([]process, r.count(maxHandoffProcesses, 1+8))
	for i := range named {
		named[i] = process{id: r.text(), start: r.fixed()}
	}
	m.reports = make([]report, r.count(partitions, 5))
	for i := range m.reports {
		m.reports[i] = r.report(named, partitions)
	}
	for range r.count(maxHandoffDeparted, 1) {
		m.departed = append(m.departed, r.name(named))
	}
	if r.failed || len(r.b) > 0 {
		return handoffMessage{}, errHandoffMessage
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
	n := r.count(128, 1)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) report(named []process, partitions int) report {
	p := r.number()
	if p >= uint64(partitions) {
		r.fail()
		return report{}
	}
	out := report{partition: int(p), flags: r.byte(), fence: r.number(), merged: r.number(), asked: r.number()}
	if out.flags&^flagsKnown != 0 {
		r.fail()
	}
	if out.is(flagDebts) {
		out.debts = make([]debt, r.few(maxHandoffDebts, 3))
		for i := range out.debts {
			head, paid := r.byte(), r.number()
			owed := r.set(int(head>>1), named)
			if paid>>len(owed) != 0 {
				r.fail()
			}
			out.debts[i] = debt{owed: owed, paid: uint32(paid), vouched: head&1 != 0}
		}
	}
	if out.is(flagTenures) {
		out.tenures = make([]tenure, r.few(maxHandoffSets, 3))
		for i := range out.tenures {
			flags := r.byte()
			out.tenures[i] = tenure{r.set(int(r.byte()), named), flags}
			if flags&^tenureKnown != 0 {
				r.fail()
			}
		}
	}
	return out
}

// few reads how many things of a least size follow: at least one.
func (r *reader) few(most, size int) int {
	n := int(r.byte())
	if n == 0 || n > most || n > len(r.b)/size {
		r.fail()
		return 0
	}
	return n
}

// name reads one of those named.
func (r *reader) name(named []process) process {
	at := r.number()
	if at >= uint64(len(named)) {
		r.fail()
		return process{}
	}
	return named[at]
}

// set reads so many of those named, ascending.
func (r *reader) set(n int, named []process) []process {
	if n == 0 || n > maxHandoffOwed || n > len(r.b) {
		r.fail()
		return nil
	}
	all := make([]process, n)
	for i := range all {
		if all[i] = r.name(named); r.failed || i > 0 && all[i-1].compare(all[i]) >= 0 {
			r.fail()
			return nil
		}
	}
	return all
}
