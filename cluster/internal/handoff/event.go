package handoff

import (
	"fmt"

	"github.com/clusterkit/clusterkit/ring"
)

// Config is what a machine is made with.
type Config struct {
	Self       Process
	Partitions int        // the partition count
	Parallel   int        // jobs at a time, 1 or more
	Durable    bool       // there is a journal
	Without    Safeguards // for tests
}

// Safeguards are rules of the model that a test switches off, to see that they are needed.
type Safeguards uint16

// The safeguards that can be switched off.
const (
	WithoutFence       Safeguards = 1 << iota // a fence does not wait for writes under way
	WithoutProof                              // a merge counts without its source being asked again
	WithoutPending                            // an owner that is back is as ready as it was
	WithoutQuorum                             // one source is enough
	WithoutUnanimity                          // a former owner releases when one owner has merged
	WithoutFreshness                          // a confirmation counts whatever fence it is about
	WithoutMerges                             // an owner that is ready does not merge when asked to
	WithoutRequests                           // an owner does not ask later owners to merge from it
	WithoutLossCheck                          // an owner that lacks sources takes nothing for lost
	WithoutRecords                            // the journal does not keep what is pending
	WithoutDepartures                         // a process that departed is gone like one that crashed
	WithoutAttestation                        // no process says that another one was ready
)

func (s Safeguards) is(w Safeguards) bool { return s&w != 0 }

// Event is what happens to a machine: one of the types below.
type Event interface{ happen(m *Machine) }

type (
	// View is what the process sees of the cluster. A ring without owners changes only which
	// processes are alive, and the state of this one.
	View struct {
		Ring     *ring.Ring        // the serving ring, with its target; it has a write quorum, and the starts of its nodes, or handoff is off
		Starts   map[string]uint64 // the starts of the members alive, by NodeID; kept, not modified
		Away     map[string]bool   // those of them that do not answer, and are expected back
		Draining bool              // this process announces that it is draining
		Leaving  bool              // or leaving
	}
	// Founding says that this process founds the cluster: there is nothing to receive.
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
	// Paused says whether the process must not begin anything for a cause. It goes on when no
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

// PauseCause says why a process must not begin anything.
type PauseCause uint8

// The causes, which the machine combines.
const (
	Isolated   PauseCause = 1 << iota // most other members do not answer
	Superseded                        // a newer process of the same NodeID speaks for it
)

// Effects are what the driver carries out, in the order of the fields.
type Effects struct {
	// Fences are gates to close: from now on a gate admits no write under another token. The
	// driver reports with Drained when no write that was admitted before is under way.
	Fences  []Fence
	Changed []int    // partitions whose Standing may be another; some may stand twice
	Send    []Send   // a message may be lost
	Cancel  []uint64 // jobs whose context should end; their end is reported all the same
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
		Anew bool // something is new: the time starts from the shortest
	}
)

// WholeProcess stands for a partition where a job or a timer belongs to the process.
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

// effects gathers what a step wants done.
type effects struct {
	Effects
	mail *mail
}

func (e *effects) arm(partition int, kind TimerKind, anew bool) {
	e.Arm = append(e.Arm, Arm{Timer{partition, kind}, anew})
}
