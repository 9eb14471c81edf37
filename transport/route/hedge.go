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
// frozen.
func (j *journey) ask(out *http.Request, c candidate) reply {
	if !j.hedges() {
		return j.attempt(j.request.Context(), j.begin(), out, c)
	}
	replies := make(chan reply, 2)
	send := func(c candidate) context.CancelFunc {
		ctx, cancel := context.WithCancel(j.request.Context())
		copied, s := out.Clone(ctx), j.begin()
		s.free = cancel
		go func() {
			r := j.attempt(ctx, s, copied, c)
			if r.response == nil || r.response.Body == http.NoBody {
				cancel()
			}
			replies <- r
		}()
		return cancel
	}
	endFirst := send(c)
	timer := time.NewTimer(j.engine.options.HedgeAfter)
	defer timer.Stop()
	select {
	case r := <-replies:
		return r // its body is read under the context, which ends with the body
	case <-timer.C:
	}
	e, second := j.engine, j.candidates[j.next]
	if !e.budget.Withdraw() {
		e.counts.overBudget.Add(1)
		return <-replies
	}
	j.next++
	j.attempts++
	e.counts.hedges.Add(1)
	endSecond := send(second)
	r := <-replies
	if r.result == tally.Answered {
		if r.from.same(c) {
			endSecond()
		} else {
			e.avoided.add(c.addr)
			endFirst()
		}
	}
	other := <-replies
	if r.result == tally.Answered {
		if other.response != nil {
			_ = other.response.Body.Close()
		}
		e.counts.attempts.Add(tally.Canceled, other.from.relation)
		return r
	}
	e.counts.attempts.Add(r.result, r.from.relation)
	j.goesOn(r)
	return other
}

// begin returns a sending for an attempt. The first one needs no allocation.
func (j *journey) begin() *sending {
	s := &j.first
	if s.engine != nil {
		s = new(sending)
	}
	s.engine = j.engine
	return s
}

// hedges reports whether the request may be sent to the next candidate at the same time as
// to this one. It may then run twice, but no third time.
func (j *journey) hedges() bool {
	return j.engine.options.HedgeAfter > 0 && isSafe(j.request.Method) && j.cargo.none && j.broken == 0 &&
		j.next < len(j.candidates) && !j.candidates[j.next].local() &&
		j.attempts < j.engine.options.MaxAttempts && !wire.IsUpgrade(j.request)
}
