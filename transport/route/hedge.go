package route

import (
	"context"
	"net/http"
	"time"

	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// reply is the result of one attempt: a response if it was answered.
type reply struct {
	from     candidate
	response *http.Response
	result   tally.Outcome
	err      error
}

// ask sends the request to a candidate. A read that waits too long for the head of the
// answer is sent to the next candidate as well, and the first answer counts. The other
// attempt is ended, and its candidate is tried last for a while, because it may be
// frozen. A candidate that has refused, or cannot be reached, is replaced by the next.
func (j *journey) ask(out *http.Request, c candidate) reply {
	if !j.hedges() {
		return j.attempt(j.request.Context(), j.begin(), out, c)
	}
	e := j.engine
	replies := make(chan reply, len(j.candidates))
	running := make(map[string]context.CancelFunc, mostRuns) // by the ID of the member
	send := func(c candidate) {
		ctx, cancel := context.WithCancel(j.request.Context())
		copied, s := out.Clone(ctx), j.begin()
		s.free, running[c.id] = cancel, cancel
		go func() {
			r := j.attempt(ctx, s, copied, c)
			if r.response == nil || r.response.Body == http.NoBody {
				cancel()
			}
			replies <- r
		}()
	}
	hedge := func() {
		if !j.hedges() {
			return
		}
		if !e.budget.Withdraw() {
			e.counts.overBudget.Add(1)
			return
		}
		next := j.candidates[j.next]
		j.next++
		j.attempts++
		e.counts.hedges.Add(1)
		send(next)
	}
	send(c)
	timer := time.NewTimer(e.options.HedgeAfter)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			hedge()
		case r := <-replies:
			delete(running, r.from.id)
			switch {
			case r.result == tally.Answered && len(running) > 0:
				if running[c.id] != nil {
					e.avoided.add(c.addr)
				}
				j.endOthers(running, replies)
				return r
			case len(running) == 0:
				return r // the body of an answer is read under the context, which ends with the body
			}
			e.counts.attempts.Add(r.result, r.from.relation)
			j.goesOn(r)
			if r.result == tally.Refused || r.result == tally.Unreachable {
				j.takesToken = false // the hedge takes one
				hedge()
			}
		}
	}
}

// endOthers ends the attempts that are too late, and waits for their ends.
func (j *journey) endOthers(running map[string]context.CancelFunc, replies <-chan reply) {
	for _, end := range running {
		end()
	}
	for range running {
		other := <-replies
		if other.response != nil {
			_ = other.response.Body.Close()
		}
		j.engine.counts.attempts.Add(tally.Canceled, other.from.relation)
	}
}

// begin returns a sending for an attempt. The first one needs no allocation.
func (j *journey) begin() *sending {
	s := &j.first
	if s.engine != nil {
		s = new(sending)
	}
	s.engine, s.cargo = j.engine, &j.cargo
	s.repeats = j.broken == 0 && isIdempotent(j.request)
	return s
}

// hedges reports whether the request may be sent to the next candidate while another attempt is
// under way. It may then run twice, but no third time.
func (j *journey) hedges() bool {
	return j.engine.options.HedgeAfter > 0 && isSafe(j.request.Method) && j.cargo.none && j.broken == 0 &&
		j.next < len(j.candidates) && !j.candidates[j.next].local() &&
		j.attempts < j.engine.options.MaxAttempts && !wire.IsUpgrade(j.request)
}
