package tether

import "time"

// Options are the numbers and times of a [Machine]. All of them must be set.
type Options struct {
	Self string // the gossip name of this member
	Held int    // tethers that a member holds

	Gone   int // holders that must agree that a member is gone
	Silent int // holders that must agree that a member is silent

	Beat   time.Duration // the time between two beats on a tether
	Turn   time.Duration // the time between two turns of the holder, which counts silence in turns
	Missed int           // turns without a beat after which the member is examined

	Settle time.Duration // the time from the beginning of an examination to the dial that decides
	Limit  time.Duration // the longest examination
	Rest   time.Duration // the wait before the first dial to a new member
}

// Outcome is the result of a dial.
type Outcome uint8

// The outcomes of a dial.
const (
	Unclear  Outcome = iota // the connection was made, and no valid answer arrived
	Alive                   // the start that was meant answered; the tether is open
	Replaced                // another start answered
	Refused                 // the host answered, and nothing listens there
	TimedOut                // nothing answered
)

// Use is the purpose of a dial.
type Use uint8

// The uses of a dial.
const (
	Opens   Use = iota // the dial opens a tether
	Looks              // the dial belongs to an examination
	Decides            // the dial belongs to an examination, and a refusal is a reason for a finding
)

// Finding is the result of an examination, or what a claim says.
type Finding uint8

// The findings. Doubt is the finding of no examination: it asks the holders for one.
const (
	Gone   Finding = 1 + iota // the host answers, and the process does not exist
	Silent                    // nothing answers
	Doubt
)

// Event is something that has happened. It is one of the types below.
type Event interface{ event() }

type (
	// Seen says that a start is believed alive.
	Seen struct {
		Name    string
		Speaks  bool // the start takes part in tethers
		Parting bool // the start has announced that it is about to leave
	}
	// Lost says that a start is no longer believed alive.
	Lost struct {
		Name   string
		Failed bool // the start has failed; false: it has left
	}
	// Dialed is the outcome of one action [Dial], with the same Name and Use.
	Dialed struct {
		Name    string
		Use     Use
		Outcome Outcome
		By      string // the name of the start that answered, with Replaced
	}
	// Pinged is the result of one action [Ping].
	Pinged struct {
		Name     string
		Answered bool
	}
	// Ended says that the tether to a start has ended.
	Ended struct {
		Name   string
		Parted bool // the start has said that it ends the tether on purpose
	}
	// Served says that another start holds a tether to this one.
	Served struct{ Name string }
	// Beat says that a beat arrived on the tether to a start.
	Beat struct{ Name string }
	// Claimed says that a start claims the finding of an examination.
	Claimed struct {
		From, About string
		Finding     Finding
	}
	// Doubted says that a start refused a connection for another purpose.
	Doubted struct{ Name string }
	// Reported says that another member believes a start dead that this one believes alive. The news
	// of its death may have been lost on the way to this member, or that of its return on the way to
	// the other one.
	Reported struct{ Name string }
	// Refuted says that a start has refuted the suspicion that [Suspect] asked for.
	Refuted struct{ Name string }
	// Turn says that a turn of the holder is over.
	Turn struct{}
	// Tick says that the time of [Machine.Next] has come.
	Tick struct{}
)

func (Seen) event()     {}
func (Lost) event()     {}
func (Dialed) event()   {}
func (Pinged) event()   {}
func (Ended) event()    {}
func (Served) event()   {}
func (Beat) event()     {}
func (Claimed) event()  {}
func (Doubted) event()  {}
func (Reported) event() {}
func (Refuted) event()  {}
func (Turn) event()     {}
func (Tick) event()     {}

// Action is something that the caller must do. It is one of the types below.
type Action interface{ action() }

type (
	// Dial asks for a dial that ends with an event [Dialed].
	Dial struct {
		Name string
		Use  Use
	}
	// Ping asks for some pings that end with an event [Pinged].
	Ping struct{ Name string }
	// Close asks for the end of the tether to a start. No event [Ended] may follow.
	Close struct{ Name string }
	// Claim asks to tell a start the finding of this member.
	Claim struct {
		To, About string
		Finding   Finding
	}
	// Suspect asks to suspect a start, because nothing answers there.
	Suspect struct{ Name string }
	// Declare asks to declare a start dead.
	Declare struct {
		Name    string
		Finding Finding
	}
)

func (Dial) action()    {}
func (Ping) action()    {}
func (Close) action()   {}
func (Claim) action()   {}
func (Suspect) action() {}
func (Declare) action() {}
