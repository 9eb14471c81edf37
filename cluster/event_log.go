package cluster

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// maxLogged is how many events are remembered for GET /v1/events.
const maxLogged = 256

// eventLog remembers the last events, in the form that HTTP shows. Its zero value is ready
// to use.
type eventLog struct {
	added lifecycle.Broadcast

	mu      sync.Mutex
	process string // distinguishes the IDs of this process from those of another one
	events  []api.Event
	count   uint64 // the number of all events so far
}

// add remembers an event. It never blocks.
func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count++; l.process == "" {
		l.process = strings.ToLower(rand.Text()[:8])
	}
	shown := shown(e)
	shown.ID = fmt.Sprintf("%s-%d", l.process, l.count)
	if len(l.events) == maxLogged {
		l.events = l.events[1:] // no entry is written again: callers read without a lock
	}
	l.events = append(l.events, shown)
	l.added.Signal()
}

// after returns the events after the one with an ID, and a channel that is closed at the
// next one. For an ID that is not of this process it returns all events.
func (l *eventLog) after(id string) ([]api.Event, <-chan struct{}) {
	added := l.added.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	process, text, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(text, 10, 64)
	if process != l.process || err != nil || n > l.count {
		return slices.Clip(l.events), added
	}
	missing := min(l.count-n, uint64(len(l.events)))
	return slices.Clip(l.events[uint64(len(l.events))-missing:]), added
}

// shown returns an event as HTTP shows it, without an ID.
func shown(e Event) api.Event {
	s := api.Event{Kind: e.Kind.String(), At: e.At.UTC()}
	switch {
	case e.Member != nil:
		s.Member = e.Member.ID
		if e.Member.Before.ID != "" {
			s.Before = e.Member.Before.State.String()
		}
		if e.Member.After.ID != "" {
			s.After = e.Member.After.State.String()
		}
		s.Text = memberText(e, s)
	case e.Ring != nil:
		s.Fingerprint = new(e.Ring.Fingerprint)
		s.Text = ringText(e.Ring)
	case e.Health != nil:
		now := e.Health.After
		s.Health = &api.EventHealth{Ready: now.Ready, Healthy: now.Healthy, Problems: append([]api.Problem{}, now.Problems...)}
		s.Text = healthText(now)
	case e.Handoff != nil:
		s.Handoff = new(*e.Handoff)
		s.Text = fmt.Sprintf("%d partitions to receive, %d to release, %d to share", e.Handoff.Receiving, e.Handoff.Releasing, e.Handoff.Sharing)
		if e.Kind == HandoffFailed {
			s.Text = fmt.Sprintf("partition %d: %v", e.Partition, e.Err)
		}
	}
	s.Text = strings.Join(strings.Fields(s.Text), " ")
	return s
}

func memberText(e Event, s api.Event) string {
	switch e.Kind {
	case MemberJoined:
		return fmt.Sprintf("%s joined and is %s", s.Member, s.After)
	case MemberRejoined:
		return fmt.Sprintf("%s is back and is %s", s.Member, s.After)
	case MemberLeaving:
		return s.Member + " is leaving"
	case MemberLeft:
		return s.Member + " has left"
	case MemberFailed:
		return s.Member + " has failed"
	case StateChanged:
		return fmt.Sprintf("this member, %s, was %s and is %s", s.Member, s.Before, s.After)
	default:
		if s.Before != s.After {
			return fmt.Sprintf("%s was %s and is %s", s.Member, s.Before, s.After)
		}
		return s.Member + " announced other attributes"
	}
}

func ringText(change *RingChange) string {
	text := "lookups answer from a ring of " + countOf(change.New)
	if target := change.New.Target(); target != change.New {
		text += ", which a ring of " + countOf(target) + " is to replace"
	}
	return text
}

func countOf(r *ring.Ring) string {
	if r.Len() == 1 {
		return "1 member"
	}
	return fmt.Sprintf("%d members", r.Len())
}

func healthText(now Health) string {
	text := "this member is ready"
	if !now.Ready {
		text = "this member is not ready"
	}
	codes := make([]string, 0, len(now.Problems))
	for _, p := range now.Problems {
		codes = append(codes, p.Code)
	}
	if len(codes) > 0 {
		text += ": " + strings.Join(codes, ", ")
	}
	return text
}
