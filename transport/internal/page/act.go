package page

import (
	"slices"

	"github.com/clusterkit/clusterkit/transport/api"
)

// Act is what the section of actions shows. A page without it has no such section.
type Act struct {
	// Caller names who may act. It is empty for a reader that may not, and Why says why.
	Caller, Why string
	// State is the state of this member, newer than that of its health.
	State string
	// Ask is the action that the reader has chosen, and has to confirm; nil if there is none.
	Ask *Ask
	// Result is the outcome of the action that the form was sent with, and Refusal is why
	// nothing was done, or why the choice is none.
	Result  *api.ActionResult
	Refusal *api.Refusal
}

// Ask is an action to confirm. Kind is its name in [api.ActionResult].
type Ask struct{ Kind, Subject string }

// lostShown is how many lost partitions have a link to accept the loss.
const lostShown = 20

// Title names the action for the heading and the button.
func (a Ask) Title(self string) string {
	switch a.Kind {
	case "drain":
		return "Drain " + self
	case "resume":
		return "Resume " + self
	case "forget":
		return "Forget " + a.Subject
	default:
		return "Accept the loss of partition " + a.Subject
	}
}

// Drains reports whether the section offers to drain this member.
func (a *Act) Drains() bool { return slices.Contains([]string{"joining", "active"}, a.State) }

// Resumes reports whether the section offers to resume this member.
func (a *Act) Resumes() bool { return slices.Contains([]string{"draining", "leaving"}, a.State) }

// Forgettable are the IDs of the members that the page knows to be lost.
func (v *view) Forgettable() (ids []string) {
	for _, m := range v.Members {
		if m.Lost {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// Acceptable are the first partitions whose loss can be accepted on this member.
func (v *view) Acceptable() []int {
	if v.Handoff == nil {
		return nil
	}
	return v.Handoff.Lost[:min(len(v.Handoff.Lost), lostShown)]
}
