package handoff

import (
	"encoding/binary"
	"fmt"
)

// local is the state of one process in an exploration: the real machine, and the state of its driver and
// of the user's code. A space keeps each different state once, and does not change it.
type local struct {
	self     Process
	machine  *Machine // nil: the process does not run
	gate     uint32   // the owners whose writes are admitted, as space.token numbers them
	open     openWrite
	has      bool // the process has the write
	released bool // the process has released the partition before
	job      *Job // of the partition
	canceled bool
	early    early // what the sources of a merge had when the merge began
	save     *Job  // the save of the departed processes that runs
	disk     localDisk

	summary Summary
	place   *partition // the partition of the machine; nil: the machine has none
	ready   bool       // the process is a ready owner
	busy    bool       // the partition is unfinished, or a job runs
}

// localDisk is what a start with a journal finds.
type localDisk struct {
	starts            uint64
	records, departed []byte
}

// openWrite says whether the write is under way at a process.
type openWrite byte

const (
	noWrite    openWrite = iota
	openNow              // the write was accepted since the last fence
	openBefore           // the write was accepted before the last fence
)

// early says which sources of a merge could be reached when the merge began, and which of them had the
// write.
type early struct{ reached, had byte }

// actionKind says what happens to a process.
type actionKind uint32

const (
	actView    actionKind = iota // arg: the number of a sight
	actReceive                   // arg: the number of a message
	actTimer                     // arg: the kind of the timer
	actEnd                       // arg: how the job ends
	actSaved                     // the departed processes are recorded
	actEarly                     // arg: what the sources have as the merge begins
	actAccept                    // the write is admitted
	actApply                     // the write is applied
	actStart                     // arg: the number of the start; with a journal, 0 is the same process
	actFound                     // the process starts, and founds the cluster
	actOff                       // the process stops; arg 1: its disk stays
)

// How a job ends.
const (
	jobFailed  = iota
	jobWithout // a merge did not find the write
	jobWith    // a merge found the write
)

// result is the outcome of an action.
type result struct {
	next       uint32   // the state of the process
	sent       []uint32 // messages
	merges     bool     // a merge has begun
	releases   bool     // a release has begun
	had        bool     // the process had the write before the release
	thresholds []uint64 // the numbers that its queries are compared with
	wrong      string
}

// act returns the outcome of an action in a state of a process. Each action in each state is carried out
// once.
func (x *space) act(at uint32, kind actionKind, arg uint32) *result {
	key := uint64(at)<<32 | uint64(kind)<<28 | uint64(arg)
	r := x.results[key]
	if r == nil {
		r = new(result)
		l := x.locals[at].copy()
		x.carryOut(&l, r, kind, arg)
		l.normalize(r, x.plain)
		r.next = x.intern(&l)
		for i, m := range r.sent {
			if x.messages[m].message.kind == query {
				r.sent[i] = x.renumbered(m, r.thresholds)
			}
		}
		x.results[key] = r
	}
	return r
}

// copy returns a copy of a state, for the caller to change.
func (l *local) copy() local {
	c := *l
	if l.machine != nil {
		c.machine = l.machine.Clone()
	}
	return c
}

func (x *space) carryOut(l *local, r *result, kind actionKind, arg uint32) {
	switch kind {
	case actView:
		x.step(l, r, x.sights[arg].view)
	case actReceive:
		m := x.messages[arg]
		x.step(l, r, Received{m.from, m.message})
	case actTimer:
		k, partition := TimerKind(arg&15), 0
		if arg > 15 {
			partition = WholeProcess
		}
		x.step(l, r, Due{[]Timer{{partition, k}}})
	case actEnd:
		job := l.job
		l.job, l.canceled, l.early = nil, false, early{}
		l.has = l.has || arg == jobWith
		if job.Record != nil && arg != jobFailed {
			l.disk.records = job.Record
		}
		x.step(l, r, Ended{Partition: 0, ID: job.ID, Failed: arg == jobFailed})
	case actSaved:
		job := l.save
		l.save, l.disk.departed = nil, job.Record
		x.step(l, r, Ended{Partition: WholeProcess, ID: job.ID})
	case actEarly:
		l.early = early{byte(arg >> 8), byte(arg)}
	case actAccept:
		l.open = openNow
	case actApply:
		late := l.open == openBefore
		l.open, l.has = noWrite, true
		if late {
			x.step(l, r, Drained{[]int{0}})
		}
	case actOff:
		if *l = (local{self: l.self, disk: l.disk, has: l.has, released: l.released}); arg == 0 {
			*l = local{self: l.self}
		}
	case actStart, actFound:
		x.begin(l, r, arg)
		if kind == actFound {
			x.step(l, r, Founding{})
		}
	}
}

// begin starts a process: a new one when its disk is empty, else the process that was away.
func (x *space) begin(l *local, r *result, start uint32) {
	if start > 0 {
		*l = local{self: Process{l.self.ID, uint64(start)}, disk: localDisk{records: l.disk.records, departed: l.disk.departed}}
	}
	l.machine = New(Config{Self: l.self, Partitions: 1, Parallel: 1, Durable: x.journal, Without: x.without})
	if !x.journal {
		return
	}
	l.disk.starts++
	found := Restored{Starts: l.disk.starts}
	if b := l.disk.records; b != nil {
		record, err := ParseRecord(b, 0, 1)
		if x.check(err); start > 0 {
			record = record.Released()
		}
		found.Records = append(found.Records, record)
	}
	if b := l.disk.departed; b != nil {
		var err error
		found.Departed, found.Since, err = ParseDeparted(b)
		x.check(err)
	}
	x.step(l, r, found)
}

// step gives the machine an event, and carries out the effects as a driver does. A gate without a write
// under way is drained at once. A batch of messages is sent at once, because a batch that waits equals
// one that was sent and then replaced by the next one.
func (x *space) step(l *local, r *result, e Event) {
	for events := []Event{e}; len(events) > 0; events = events[1:] {
		if x.defect != nil {
			x.defect(l.machine)
		}
		effects := l.machine.Step(events[0])
		if len(effects.Fences) > 0 {
			l.gate = x.token(*l.machine.parts[0].owners, int(l.machine.around.quorums.writes))
			if l.open == noWrite {
				events = append(events, Drained{[]int{0}})
			} else {
				l.open = openBefore
			}
		}
		for _, s := range effects.Send {
			r.sent = append(r.sent, x.message(l.self, s.To, s.Message))
		}
		for _, id := range effects.Cancel {
			l.canceled = l.canceled || l.job != nil && l.job.ID == id
		}
		for _, job := range effects.Start {
			x.start(l, r, job)
		}
		for _, arm := range effects.Arm {
			if arm.Kind == Batch {
				events = append(events, Due{[]Timer{arm.Timer}})
			}
		}
	}
}

// start begins a job. A release deletes the data at once.
func (x *space) start(l *local, r *result, job Job) {
	if job.Partition == WholeProcess {
		l.save = &job
		return
	}
	l.job, l.canceled, l.early = &job, false, early{}
	switch job.Kind {
	case Merge:
		r.merges = true
		if job.Need < 1 || job.Need > len(job.Sources) {
			r.wrong = fmt.Sprintf("%s merges from %d of %d sources", l.self.ID, job.Need, len(job.Sources))
		}
	case Release:
		r.releases, r.had = true, l.has
		l.has, l.released = false, true
		if job.Record != nil {
			l.disk.records = job.Record // saved before anything is deleted
		}
	}
}

// intern returns the number of a state of a process.
func (x *space) intern(l *local) uint32 {
	b := x.buffer[:0]
	b = append(b, x.number(l.self), byte(l.open), l.early.reached, l.early.had)
	for _, is := range []bool{l.machine != nil, l.has, l.released, l.canceled, l.job != nil, l.save != nil} {
		b = append(b, map[bool]byte{true: 1}[is])
	}
	b = binary.AppendUvarint(b, uint64(l.gate))
	b = binary.AppendUvarint(b, l.disk.starts)
	for _, kept := range [][]byte{l.disk.records, l.disk.departed} {
		b = append(binary.AppendUvarint(b, uint64(len(kept))), kept...)
	}
	for _, job := range []*Job{l.job, l.save} {
		if job != nil {
			b = append(b, byte(job.Kind), byte(job.Need), byte(len(job.Record)))
			b = append(b, job.Record...)
		}
	}
	if l.machine != nil {
		b = l.machine.AppendState(b, x.number)
	}
	x.buffer = b
	n, known := x.localNumbers[string(b)]
	if !known {
		if l.machine != nil {
			l.summary, l.place = l.machine.Summary(), l.machine.parts[0]
			l.ready = l.place != nil && l.place.ready()
			l.busy = l.job != nil || l.place != nil && l.place.unfinished(&l.machine.around)
		}
		n = uint32(len(x.locals))
		x.localNumbers[string(b)] = n
		x.locals = append(x.locals, l)
	}
	return n
}
