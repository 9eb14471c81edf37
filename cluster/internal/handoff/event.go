package handoff

import (
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
)

// Config configures a machine.
type Config struct {
	Self       Process
	Partitions int        // the partition count
	Parallel   int        // jobs at a time, 1 or more
	Durable    bool       // there is a journal
	Without    Safeguards // the rules that a test switches off
}

// Safeguards are rules of the model that a test switches off, to show that each of them is needed.
type Safeguards uint16

// The safeguards that can be switched off.
const (
	WithoutFence       Safeguards = 1 << iota // a fence does not wait for writes under way
	WithoutProof                              // a merge counts without its source being asked again
	WithoutPending                            // an owner that owns again is as ready as before
	WithoutQuorum                             // a merge needs only one source
	WithoutUnanimity                          // a former owner releases when one owner has merged
	WithoutFreshness                          // a confirmation counts whatever fence it names
	WithoutMerges                             // an owner that is ready does not merge when asked to
	WithoutRequests                           // an owner does not ask later owners to merge from it
	WithoutLossCheck                          // an owner becomes ready whatever the loss check finds
	WithoutRecords                            // the journal does not keep what is pending
	WithoutDepartures                         // a departed process counts as one that crashed
	WithoutAttestation                        // no process attests that another one was ready
)

func (s Safeguards) is(w Safeguards) bool { return s&w != 0 }

// Event is what happens to a machine: one of the types below.
type Event interface{ happen(m *Machine) }

type (
	// View is what the process sees of the cluster. A ring without owners changes only which processes
	// are alive, and whether this process drains or leaves.
	View struct {
		Ring     *ring.Ring        // the serving ring, with its target; with a write quorum and the starts of its nodes, unless handoff is off
		Starts   map[string]uint64 // the starts of the members alive, by NodeID; kept, not modified
		Away     map[string]bool   // members of Starts that do not answer, and are expected back
		Draining bool              // this process announces that it is draining
		Leaving  bool              // this process announces that it is leaving

		compared *comparison // how the ring differs from that of the view before; nil: not compared yet
	}
	// Founding says that this process founds the cluster, and has nothing to receive.
	Founding struct{}
	// Received is a message from a process.
	Received struct {
		From    Process
		Message *Message
	}
	// Drained says that no write accepted before the last fence of the partitions is under way.
	Drained struct{ Partitions []int }
	// Ended is the end of a job.
	Ended struct {
		Partition int
		ID        uint64
		Failed    bool
	}
	// Due says that timers are due.
	Due struct{ Timers []Timer }
	// Paused sets or clears a cause for which the process must begin nothing. The process goes on when no
	// cause is left.
	Paused struct {
		Cause PauseCause
		On    bool
	}
	// LossAccepted says that a person accepts the possible loss of a partition.
	LossAccepted struct{ Partition int }
	// Restored is what an earlier start left in the journal. It comes before any view.
	Restored struct {
		Starts   uint64 // how many starts the data has seen, this one included
		Records  []Record
		Departed []Process
		Since    uint64 // the fence of the last view under which handoff was off
	}
)

// PauseCause is a reason why a process must begin nothing.
type PauseCause uint8

// The causes, which the machine combines.
const (
	Isolated   PauseCause = 1 << iota // most other members do not answer
	Superseded                        // a newer process has the same NodeID
)

// Effects are what the driver carries out, in the order of the fields.
type Effects struct {
	// Fences are gates to close: from now on a gate admits no write under another token. The
	// driver reports with Drained when no write that was admitted before is under way.
	Fences  []Fence
	Changed []Change // partitions whose standing may have changed; of two changes of one partition the later counts
	Send    []Send   // a message may be lost
	Cancel  []uint64 // jobs whose context should end; the driver reports the end of each all the same
	Start   []Job    // the driver reports the end of each with Ended
	Arm     []Arm    // a timer that is armed already is set anew
	Stale   bool     // after Ended: the job did not matter any more
}

type (
	// Fence is a gate to close.
	Fence struct {
		Partition int
		Token     ring.Token
	}
	// Change is how the process stands with a partition from now on.
	Change struct {
		Partition int
		Standing
	}
	// Send is a message to a process.
	Send struct {
		To      Process
		Message *Message
	}
	// Timer is a timer of a partition or, with WholeProcess, of the process.
	Timer struct {
		Partition int
		Kind      TimerKind
	}
	// Arm sets a timer.
	Arm struct {
		Timer
		Anew bool // something is new: the delay starts from the shortest
	}
)

// WholeProcess is the partition number of a job or a timer that belongs to the whole process.
const WholeProcess = -1

// Kind says what a job does.
type Kind uint8

// The kinds of jobs.
const (
	Save    Kind = iota + 1 // save the record
	Release                 // save the record, then delete the partition
	Merge                   // merge from at least Need of the sources
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
	if j.Partition == WholeProcess {
		return "recording departed members"
	}
	return fmt.Sprintf("%s partition %d", [...]string{Save: "recording", Release: "releasing", Merge: "receiving"}[j.Kind], j.Partition)
}

// TimerKind says what a timer is for. The driver chooses how long each takes; a timer that is
// armed again, and not anew, should take longer than the last time.
type TimerKind uint8

// The timers.
const (
	Batch    TimerKind = iota + 1 // the process may send the next messages
	Announce                      // the process should announce its departure again
	Ask                           // the partition should ask again
	Patience                      // the partition has waited long enough for the best sources
	Retry                         // a job that failed may be begun again
)

// effects collects the effects of one step.
type effects struct {
	Effects
	mail *mail
}

func (e *effects) arm(partition int, kind TimerKind, anew bool) {
	e.Arm = append(e.Arm, Arm{Timer{partition, kind}, anew})
}
