package route

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// journey is a request on its way to an owner: it chooses a candidate, sends an attempt,
// and decides whether the request may be sent again.
type journey struct {
	engine  *engine
	request *http.Request // as it came
	key     string
	policy  Policy
	form    form
	cargo   cargo
	// informed gets informational answers; nil: they are dropped.
	informed func(code int, header textproto.MIMEHeader) error
	// cutOff is called when the body of the answer breaks, before its reader gets the
	// error; nil: it is not.
	cutOff func()
	choice
	history
	first sending // the state of the first attempt
}

// choice holds the owners that a request may be sent to, by one view.
type choice struct {
	version    uint64 // the version of the view
	placement  ring.Placement
	candidates []candidate
	next       int          // the index of the candidate to try next
	nameless   int          // owners that announce no address of the service
	room       [4]candidate // usually large enough for the candidates
}

// history is what has become of the attempts of a request.
type history struct {
	attempts   int
	refused    int           // refused attempts
	refusal    error         // the last of them, by which a member says why
	broken     int           // attempts that may have run
	cause      error         // the error of the last failed attempt
	dead       []candidate   // owners that could not be reached
	again      bool          // the failed owners may be tried again
	takesToken bool          // the next attempt takes a token from the budget
	began      time.Time     // when the request began to wait; zero: it has not waited
	pause      time.Duration // the last one between rounds
}

// errServeHere says that this member should answer the request now.
var errServeHere = errors.New("route: this member should answer")

// send sends the request to one candidate after the other until one answers. The request
// out is the one to send: its header is changed for each attempt. When this member should
// answer, the error is errServeHere.
func (j *journey) send(out *http.Request) (*http.Response, error) {
	e := j.engine
	for {
		for j.next == len(j.candidates) {
			if err := j.wait(); err != nil {
				return nil, err
			}
		}
		c := j.candidates[j.next]
		j.next++
		if c.local() {
			return nil, errServeHere
		}
		if err := j.request.Context().Err(); err != nil {
			return nil, err
		}
		if j.takesToken && !e.budget.Withdraw() {
			e.counts.overBudget.Add(1)
			return nil, j.failure("too many requests are being sent again already")
		}
		j.takesToken = false
		if j.attempts++; j.attempts > 1 {
			e.counts.retries.Add(1)
			out = out.Clone(out.Context()) // the transport may still use the other request
			out.Trailer = j.request.Trailer
		}
		r := j.ask(out, c)
		e.counts.attempts.Add(r.result, r.from.relation)
		if r.result == tally.Answered {
			return r.response, nil
		}
		if !j.goesOn(r) {
			if r.result == tally.Canceled {
				return nil, r.err
			}
			return nil, j.failure("it cannot be sent again")
		}
		if j.attempts >= e.options.MaxAttempts {
			return nil, j.failure("it was sent " + strconv.Itoa(j.attempts) + " times")
		}
	}
}

// attempt sends the request to one member. The context ctx is that of the request, or
// of this attempt alone. It is not the context of out, to which a proxy may have added a
// trace: two traces would be joined by reflection.
func (j *journey) attempt(ctx context.Context, s *sending, out *http.Request, c candidate) reply {
	e := j.engine
	out.URL.Host = c.addr
	m := mark{
		cluster: e.clusterName, service: e.options.Service, from: e.node, to: c.id, start: c.start,
		partition: j.placement.Partition(), policy: j.policy, form: j.form, token: j.placement.Token(),
	}
	s.mark[0] = m.write()
	out.Header[wire.ForwardedHeader] = s.mark[:]
	if j.form&withoutCoding != 0 {
		// A transport such as http.Transport would ask for gzip, and unpack the answer.
		out.Header["Accept-Encoding"] = []string{"identity"}
	}
	delete(out.Header, api.TimeoutHeader)
	if deadline, ok := ctx.Deadline(); ok {
		// The number of milliseconds is rounded up. The receiver may so wait a little
		// longer than the sender, which knows the exact time.
		left := max((time.Until(deadline)+time.Millisecond-1)/time.Millisecond, 0)
		out.Header[api.TimeoutHeader] = []string{strconv.FormatInt(int64(left), 10)}
	}
	e.avoided.try(c.addr)
	response, sent, err := j.once(ctx, s, out, c)
	if err == nil {
		switch read(response, m.number, wire.IsUpgrade(j.request)) {
		case isAnswer:
			e.avoided.remove(c.addr)
			return reply{from: c, response: response, result: tally.Answered}
		case isRefusal:
			e.avoided.remove(c.addr)
			err = refusalOf(response)
			e.options.Logger.DebugContext(ctx, "a member has refused a request", "to", c.id, "addr", c.addr, "error", err)
			return reply{from: c, result: tally.Refused, err: err}
		case isForeign:
			discard(response)
			err = errForeign
		}
	}
	result := tally.Broken
	switch cause := j.cargo.broke(); {
	case ctx.Err() != nil:
		return reply{from: c, result: tally.Canceled, err: ctx.Err()}
	case cause != nil:
		return reply{from: c, result: tally.Canceled, err: fmt.Errorf("%w: %w", errBody, cause)}
	case errors.Is(err, errForeign):
		e.avoided.add(c.addr)
		e.options.Logger.WarnContext(ctx, "the address of a member is answered by something else: the request may have run there",
			"to", c.id, "addr", c.addr, "method", out.Method)
	case errors.Is(err, client.ErrBusy):
		result = tally.Unreachable
		e.counts.crowded.Add(1)
	case isTooLong(err), e.pool != nil && s.invalid() && !isUnreachable(err):
		return reply{from: c, result: tally.Canceled, err: fmt.Errorf("%w: %w", errInvalid, err)}
	case isUnprocessed(err):
		result = tally.Unreachable
	case !sent || isUnreachable(err):
		result = tally.Unreachable
		e.avoided.add(c.addr)
		if errors.Is(err, syscall.ECONNREFUSED) {
			e.doubt(c.id) // the process of the member may have died
		}
	}
	e.options.Logger.DebugContext(ctx, "cannot forward a request", "to", c.id, "addr", c.addr, "result", result.String(), "error", err)
	return reply{from: c, result: result, err: err}
}

// errBody says that the caller's body cannot be read to its end.
var errBody = errors.New("route: the body cannot be read")

// errInvalid says that net/http does not send the request to the member.
var errInvalid = errors.New("route: the request cannot be sent")

// errForeign says that an answer did not come from the router of the member asked.
var errForeign = errors.New("route: the answer is of another server")

// discard reads a little of an answer, so that its connection can be used again, and returns it.
func discard(response *http.Response) []byte {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	_ = response.Body.Close()
	return text
}

// refusalOf returns why a router has refused a request.
func refusalOf(response *http.Response) error {
	var r api.Refusal
	if err := json.Unmarshal(discard(response), &r); err != nil || r.Detail == "" {
		return errRefusal
	}
	return errors.New(wire.Cut(r.Detail))
}

// errRefusal stands for a reason that cannot be read.
var errRefusal = errors.New("views differ")

// mostRuns is how often an idempotent request may run: once more after a connection
// broke under it. A request that breaks a member would break all owners otherwise.
const mostRuns = 2

// goesOn records an attempt without an answer, and reports whether the request may be
// sent again.
func (j *journey) goesOn(r reply) bool {
	switch r.result {
	case tally.Canceled:
		return false
	case tally.Refused:
		j.refused, j.refusal = j.refused+1, r.err
	case tally.Unreachable:
		if !slices.ContainsFunc(j.dead, r.from.same) {
			j.dead = append(j.dead, r.from)
		}
		j.takesToken = true
	case tally.Broken:
		j.broken, j.cause = j.broken+1, r.err
		j.takesToken = true
	}
	return j.cargo.unload() && (j.broken == 0 || j.broken < mostRuns && isIdempotent(j.request))
}

// The pauses between rounds in which every owner refused. A random part of up to half
// is subtracted from each.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// wait waits until this member's view has changed, or the views of the members that
// refused may have changed. Then it lists the candidates again.
func (j *journey) wait() error {
	e, ctx := j.engine, j.request.Context()
	if j.began.IsZero() {
		j.began = time.Now()
	}
	left := e.options.Patience - time.Since(j.began)
	if left <= 0 {
		return j.failure("none did within " + max(e.options.Patience, 0).String())
	}
	j.pause = min(max(2*j.pause, firstPause), longestPause)
	timer := time.NewTimer(min(j.pause/2+rand.N(j.pause/2), left)) //nolint:gosec // a time
	defer timer.Stop()
	for {
		changed, recovery := e.cluster.Changed(), e.avoided.recovery()
		view := e.cluster.View()
		if view.Version != j.version {
			j.again = false
			j.planAgain(view)
			return nil
		}
		if dead := len(j.dead); dead > 0 {
			if j.dead = slices.DeleteFunc(j.dead, j.recovered); len(j.dead) < dead {
				j.planAgain(view)
				return nil
			}
		}
		select {
		case <-changed:
		case <-recovery:
		case <-timer.C:
			// The members that could not be reached may answer again. The number
			// of such attempts is bounded for all requests together.
			j.again = true
			j.planAgain(view)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// planAgain lists the candidates of a request that has waited. Its next attempt counts as a
// first one, without a token of the budget, unless the request may have run.
func (j *journey) planAgain(view View) {
	j.takesToken = j.takesToken && j.broken > 0
	j.plan(view)
}

// mayDial reports whether a member that could not be reached may be tried again. One
// attempt is left for an owner by another view.
func (j *journey) mayDial() bool { return j.attempts < j.engine.options.MaxAttempts-1 }

// recovered reports whether a member that this request could not reach has answered
// another one since.
func (j *journey) recovered(c candidate) bool {
	return j.mayDial() && !j.engine.avoided.troubled(c.addr)
}

// failure returns why the request was not answered, and whether it may have run.
func (j *journey) failure(why string) error {
	e := j.engine
	if j.broken > 0 {
		return wire.New(api.RefusalBroken, http.StatusBadGateway,
			"the connection to the member that answers for the key failed, and %s: the request may have run", why)
	}
	if service := e.options.Service; j.nameless > 0 && len(j.dead)+j.refused == 0 {
		return wire.New(api.RefusalNoOwner, http.StatusServiceUnavailable,
			"no owner of the key announces an address of the service %q, and %s: check the service in the options of the router and of the members; the request has not run", service, why)
	}
	if j.refusal != nil {
		why += ", and the last one refused with: " + j.refusal.Error()
	}
	return wire.New(api.RefusalNoOwner, http.StatusServiceUnavailable,
		"no member answers for the key: %d could not be reached, %d times one refused, and %s: the request has not run",
		len(j.dead), j.refused, why)
}

// isUnprocessed reports whether a server of HTTP/2 has said that the request has not run: it
// refused the stream, or it shuts down and has not seen the request (RFC 9113, section 8.7).
// The transport itself sends only requests without a body again. Its errors have no other
// sign than their texts; after an error with another text the request may have run.
func isUnprocessed(err error) bool {
	text := err.Error()
	return strings.Contains(text, "http2: ") && strings.Contains(text, "graceful shutdown GOAWAY") ||
		strings.Contains(text, "stream error: ") && strings.Contains(text, "; REFUSED_STREAM")
}

// isTooLong reports whether the header of a request is longer than a server of HTTP/2 takes. The
// transport knows the limit of the server and sends nothing. Its error has no other sign than its text.
func isTooLong(err error) bool {
	return err != nil && strings.Contains(err.Error(), "http2: request header list larger than peer's advertised limit")
}

// isUnreachable reports whether no connection could be made, so that nothing was sent.
func isUnreachable(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, client.ErrClosed)
}
