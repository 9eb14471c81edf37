package handoff

import (
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
)

// Config is what a machine is made with.
type Config struct {
	Self        Process
	WriteQuorum int  // acknowledgements that a write needs, 1 or more
	Parallel    int  // jobs at a time, 1 or more
	Durable     bool // there is a journal
	Without     Safeguards
}

// Safeguards are rules of the model that a test switches off, to see that they are needed.
type Safeguards uint16

// The safeguards.
const (
	// WithoutFence: a fence does not wait for writes under way.
	WithoutFence Safeguards = 1 << iota
	// WithoutProof: a merge counts without its source being asked again.
	WithoutProof
	// WithoutPending: an owner that is back is as ready as it was.
	WithoutPending
	// WithoutQuorum: one source is enough.
	WithoutQuorum
	// WithoutUnanimity: a former owner releases when one owner has merged.
	WithoutUnanimity
	// WithoutFreshness: a confirmation counts whatever fence it is about.
	WithoutFreshness
	// WithoutMerges: an owner that is ready does not merge what it is asked to merge.
	WithoutMerges
	// WithoutRequests: an owner does not ask later owners to merge from it.
	WithoutRequests
	// WithoutLossCheck: an owner that lacks sources takes nothing for lost.
	WithoutLossCheck
	// WithoutRecords: the journal does not keep what is pending.
	WithoutRecords
	// WithoutDepartures: a process that left is gone like one that crashed.
	WithoutDepartures
)

func (s Safeguards) is(w Safeguards) bool { return s&w != 0 }

// Event is what happens to a machine: one of the types below.
type Event interface{ event() }

type (
	// View is what the process sees of the cluster. A ring without owners changes nothing
	// but which processes are alive and the process's own state.
	View struct {
		Ring     *ring.Ring        // the serving ring, with its target
		Starts   map[string]uint64 // the starts of the members alive, by NodeID; not modified
		Draining bool              // this process announces that it is draining
		Leaving  bool              // or leaving
	}
	// Founding says that this process founds the cluster: the next view has no owners
	// before it, and there is nothing to receive.
	Founding struct{}
	// Received is a message from a process.
	Received struct {
		From    Process
		Message *Message
	}
	// Drained says that no write accepted before the last fence of these partitions is
	// under way.
	Drained struct{ Partitions []int }
	// Ended is the end of a job.
	Ended struct {
		Partition int
		ID        uint64
		Failed    bool
	}
	// Due says that timers are due.
	Due struct{ Timers []Timer }
	// Paused says whether the process must not begin anything for a cause. The process
	// goes on when no cause is left.
	Paused struct {
		Cause PauseCause
		On    bool
	}
	// LossAccepted says that a person accepts the possible loss of a partition.
	LossAccepted struct{ Partition int }
	// Restored is what an earlier start of this process left in its journal. It comes
	// before any view.
	Restored struct {
		Starts   uint64 // how many starts the data has seen, this one included
		Records  []Record
		Departed []Process
	}
)

func (View) event()         {}
func (Founding) event()     {}
func (Received) event()     {}
func (Drained) event()      {}
func (Ended) event()        {}
func (Due) event()          {}
func (Paused) event()       {}
func (LossAccepted) event() {}
func (Restored) event()     {}

// PauseCause says why a process must not begin anything.
type PauseCause uint8

// The causes. They are combined by the machine.
const (
	// Isolated: most other members do not answer.
	Isolated PauseCause = 1 << iota
	// Superseded: a newer process of the same NodeID speaks for it.
	Superseded
)

// Effects are what the driver carries out, in the order of the fields.
type Effects struct {
	// Fences are gates to close, at once: from now on a gate admits no write under another
	// token than the one given. The driver reports with Drained when no write that was
	// admitted before is under way.
	Fences []Fence
	// Changed are partitions whose [Standing] may be another.
	Changed []int
	// Send are messages. A message may be lost.
	Send []Send
	// Cancel are the numbers of jobs whose context should end. Their end is reported all
	// the same.
	Cancel []uint64
	// Start are jobs to run. The driver reports the end of each with Ended.
	Start []Job
	// Arm are timers. One that is armed already is set anew.
	Arm []Arm
	// Stale says, after Ended, that the job did not matter any more.
	Stale bool
}

// Fence is a gate to close.
type Fence struct {
	Partition int
	Token     ring.Token
}

// Send is a message to a process, to be sent as Message.Bytes.
type Send struct {
	To      Process
	Message *Message
}

// WholeProcess is where a partition is named and the job or timer belongs to the process.
const WholeProcess = -1

// Kind says what a job does.
type Kind uint8

// The kinds of jobs.
const (
	// Save saves the record.
	Save Kind = iota + 1
	// Release saves the record, then deletes the partition.
	Release
	// Merge merges from at least Need of the sources.
	Merge
)

// Job is work for the user's code.
type Job struct {
	ID        uint64
	Partition int // WholeProcess for the record of departed processes
	Kind      Kind
	Sources   []Process
	Need      int
	Record    []byte // for the journal, also before a release; nil without a journal
}

// String says what the job does.
func (j Job) String() string {
	switch {
	case j.Partition == WholeProcess:
		return "recording departed members"
	case j.Kind == Release:
		return fmt.Sprintf("releasing partition %d", j.Partition)
	case j.Kind == Save:
		return fmt.Sprintf("recording partition %d", j.Partition)
	default:
		return fmt.Sprintf("receiving partition %d", j.Partition)
	}
}

// timers is a set of timer kinds.
type timers uint8

const (
	timerPatience timers = 1 << iota
	timerRetry
)

// TimerKind says what a timer is for.
type TimerKind uint8

// The timers. The driver chooses how long each takes; a timer that is armed again, and
// not anew, should take longer than the last time.
const (
	// Batch: the next messages may be sent. It belongs to the process.
	Batch TimerKind = iota + 1
	// Announce: the departure should be announced again. It belongs to the process.
	Announce
	// Ask: the partition should ask again.
	Ask
	// Patience: the partition has waited long enough for the best sources.
	Patience
	// Retry: a job that failed may be begun again; of the process, the record of departed
	// processes.
	Retry
)

// Timer is a timer of a partition or, with WholeProcess, of the process.
type Timer struct {
	Partition int
	Kind      TimerKind
}

// Arm sets a timer.
type Arm struct {
	Timer
	Anew bool // something is new: the time starts from the shortest
}

// effects gathers what a step wants done.
type effects struct {
	Effects
	mail    *mail
	touched map[int]bool // in Changed
}

// touch notes that the standing of a partition may have changed.
func (e *effects) touch(partition int) {
	if !e.touched[partition] {
		if e.touched == nil {
			e.touched = make(map[int]bool)
		}
		e.touched[partition] = true
		e.Changed = append(e.Changed, partition)
	}
}

func (e *effects) arm(partition int, kind TimerKind, anew bool) {
	e.Arm = append(e.Arm, Arm{Timer{partition, kind}, anew})
}
