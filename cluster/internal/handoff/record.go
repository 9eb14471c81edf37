package handoff

import (
	"errors"
	"fmt"
	"slices"
)

// A record is what a journal keeps of a partition: a message from a process to itself. The record of a
// partition that is held has its pending, reported, served and serving sets. The record of a released
// partition has its served sets.

// startsApart is the distance between the numbers of two starts of one process, as a power of two. Fences
// and queries of an earlier start must never equal those of the present start.
const startsApart = 40

// Flags of a record.
const (
	recordHeld = flagOffers // the process holds the partition; otherwise it has released the partition
	recordLost = flagAsks   // a write of the partition may be lost
)

var errRecord = errors.New("malformed record")

// Record is a record that was read from a journal.
type Record struct{ report report }

// Held reports whether the process had the partition.
func (r Record) Held() bool { return r.report.is(recordHeld) }

// Partition returns the partition of the record.
func (r Record) Partition() int { return r.report.partition }

// Released returns a record which says that the process has released the same partition.
func (r Record) Released() Record { return Record{report{partition: r.report.partition}} }

// Before reports whether the record was written before a fence.
func (r Record) Before(fence uint64) bool { return r.report.fence < fence }

// ParseRecord reads a record of a partition. It never panics.
func ParseRecord(b []byte, partition, partitions int) (Record, error) {
	m, err := parse(b, partitions)
	if err != nil || m.kind != stored || len(m.reports) != 1 || m.reports[0].partition != partition {
		return Record{}, unreadable(b)
	}
	return Record{m.reports[0]}, nil
}

// ParseDeparted reads a record of the processes that departed, with the fence before which records of
// partitions do not count. It never panics.
func ParseDeparted(b []byte) (departed []Process, since uint64, err error) {
	m, err := parse(b, 1)
	if err != nil || m.kind != stored {
		return nil, 0, unreadable(b)
	}
	return m.departed, m.query, nil
}

// unreadable returns why a record cannot be read.
func unreadable(b []byte) error {
	if len(b) > 0 && b[0] != version {
		return fmt.Errorf("a record in version %d of the format, this program reads version %d", b[0], version)
	}
	return errRecord
}

// record returns the record of a partition for the journal: as held, or as released.
func (m *Machine) record(pt *partition, held bool) []byte {
	r := report{partition: pt.id, fence: m.count.fences}
	tells := marksOfPast
	sets := pt.sets
	if held {
		r.flags |= recordHeld
		tells |= markPending | markConfirmed | markReported
		if pt.lost {
			r.flags |= recordLost
		}
		if pt.ownership == owning {
			with := &pt.owners.serving
			if len(*with) == 0 {
				with = &pt.owners.all
			}
			sets = slices.Clone(sets)
			sets.add(with, m.around.quorums, markServing)
			tells |= markServing
		}
	}
	r.sets = sets.only(tells)
	return (&Message{kind: stored, to: m.around.self.Start, reports: []report{r}}).Bytes()
}

// To other processes, a restored process is the same process that was away. It may lack writes that the
// other owners of its set accepted meanwhile.
func (e Restored) happen(m *Machine) {
	m.around.config.Durable = true
	m.rememberDeparted(e.Departed)
	m.departure.journal, m.departure.since = saved, e.Since
	m.count.fences, m.count.queries = e.Starts<<startsApart, e.Starts<<startsApart
	for _, r := range e.Records {
		pt := &partition{id: r.Partition(), owners: &owners{}, activity: &activity{}, state: state{journal: saved, has: leftover}, sets: r.report.sets.only(marksWritten &^ markServing)}
		m.parts[pt.id] = pt
		m.work.wake(pt)
		if !r.Held() {
			continue // the release may have been interrupted
		}
		pt.has, pt.drained, pt.lost = partial, true, r.report.is(recordLost)
		pt.fence = m.around.fence()
		if m.around.config.Without.is(WithoutRecords) {
			pt.sets.drop(markPending)
		}
		for o := range r.report.sets.with(markServing) {
			pt.ownership = returned
			if !o.members.is(set{m.around.self}) && !m.around.config.Without.is(WithoutRecords) {
				// The merges from these members do not count: they were before this process was away.
				pt.sets.dropWhere(markPending, func(was ownerSet) bool { return was.members.is(*o.members) })
				pt.sets.await(ownerSet{members: o.members, quorums: o.quorums})
			}
		}
	}
}
