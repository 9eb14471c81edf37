package grpcroute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// ErrNotRun says that a call has certainly not run, so that it may be sent again whatever
// it does: no owner answered, or all refused. Errors of calls match it with [errors.Is].
// Their status has the code Unavailable. An error that does not match leaves open whether
// the call has run.
var ErrNotRun = errors.New("grpcroute: the call has not run")

// notRun is an error that matches ErrNotRun.
type notRun struct{ text string }

func (e *notRun) Error() string              { return e.GRPCStatus().Err().Error() }
func (e *notRun) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.text) }
func (e *notRun) Is(target error) bool       { return target == ErrNotRun }

type keyKey struct{}

// WithKey returns a context whose calls have a key. It takes the place of Options.Key. All
// calls with the context have the key, so a handler that calls other services should set
// the key of each.
func WithKey(ctx context.Context, key string) context.Context {
	return &keyed{ctx, key}
}

type keyed struct {
	context.Context
	key string
}

// Value is a method of context.Context.
func (k *keyed) Value(key any) any {
	if key == (keyKey{}) {
		return k
	}
	return k.Context.Value(key)
}

// keyOf returns the key that WithKey has set.
func keyOf(ctx context.Context) (key string, ok bool) {
	if k, ok := ctx.Value(keyKey{}).(*keyed); ok {
		return k.key, true
	}
	return "", false
}

type callKey struct{}

// call is a call of a client, and its context. One goroutine uses it at a time, as gRPC
// makes one attempt after the other.
type call struct {
	context.Context
	link   *link
	key    string
	keyed  bool
	method Method
	waits  bool     // for an owner, until its context ends
	hedge  *hedge   // nil: the call is not hedged, or is the second of a hedge
	except *peer    // that the call is not sent to, as the first of the hedge was; nil: none
	mark   *written // in the metadata of the first attempt; nil: that has other metadata as well

	version uint64 // the version of the view that tried belongs to
	tried   uint64 // bits of owners that refused or broke, in their order
	troubles

	attempts int // that were judged

	// These describe the last attempt.
	phase  phase
	number uint64 // the number of the mark
	to     *peer
	at     int
	result *balancer.DoneInfo // nil: it was answered without an error, or not yet
}

// phase is how far the last attempt of a call has come.
type phase uint8

const (
	judged phase = iota // its result was processed, or there is no attempt yet
	marked              // its mark is in the context of the call, and it is not picked yet
	picked              // it goes to a peer
	ended               // its result is not processed yet
)

// troubles are what has kept a call from being answered.
type troubles struct {
	began    time.Time // to wait; zero: the call has not waited
	resumes  time.Time // when all owners are asked again; zero: the call does not wait
	pause    time.Duration
	refusals int
	refusal  string // the message of the last
	broken   int    // attempts that may have run
}

// Value is a method of context.Context.
func (c *call) Value(key any) any {
	switch {
	case key == (callKey{}):
		return c
	case c.mark != nil && key == outgoingKey:
		return c.mark.metadata
	default:
		return c.Context.Value(key)
	}
}

// newCall finds the key of a call and how its method is routed.
func (l *link) newCall(ctx context.Context, method string, request any, waits bool) (*call, error) {
	c := &call{Context: ctx, link: l, waits: waits}
	var err error
	if c.key, c.keyed = keyOf(ctx); c.keyed {
		c.method, err = l.router.methodOf(ctx, method)
	} else {
		md, _ := metadata.FromOutgoingContext(ctx)
		c.key, c.keyed, c.method, err = l.router.question(Call{Context: ctx, FullMethod: method, Metadata: md, Request: request})
	}
	if err != nil {
		return nil, err
	}
	if !c.keyed {
		l.router.counts.unkeyed.Add(1)
	}
	return c, nil
}

// first finds the owner that the first attempt will go to, unless something changes, and
// returns the context with the mark of that attempt. This costs less than a mark that the
// picker adds.
func (c *call) first() context.Context {
	t := c.link.table.Load()
	if t == nil {
		return c
	}
	c.resume(t.view.Version)
	var room [4]*peer // usually large enough
	placement, owners := c.owners(t, room[:0])
	to, at, _, _ := c.choose(t, owners)
	if to == nil {
		return c
	}
	w := c.link.marks.of(c.begin(placement, to, at))
	c.phase = marked
	if c.attempts == 0 && w.metadata != nil && c.Context.Value(outgoingKey) == nil {
		c.mark = w // nobody else has the context yet
		return c
	}
	return metadata.AppendToOutgoingContext(c, markKey, w.text)
}

// owners returns the peers that may answer a call, in the order of its policy, and the
// placement of its key.
func (c *call) owners(t *table, room []*peer) (ring.Placement, []*peer) {
	if !c.keyed {
		return ring.Placement{}, t.free
	}
	placement := t.view.Ring.Lookup(c.key)
	return placement, t.owners(room, placement, c.method.Policy)
}

// begin records an attempt, and returns its mark.
func (c *call) begin(p ring.Placement, to *peer, at int) mark {
	m := mark{target: to.target, number: to.number.Load(), partition: -1, policy: c.method.Policy}
	if c.keyed {
		m.partition, m.token = p.Partition(), p.Token()
	}
	if c.hedge != nil {
		c.hedge.to.Store(to)
	}
	c.number, c.phase, c.to, c.at, c.result = m.number, picked, to, at, nil
	return m
}

// done records the result of an attempt.
func (c *call) done(result balancer.DoneInfo) {
	if c.phase == picked {
		c.phase = ended
	}
	if result.Err == nil {
		switch {
		case !result.BytesSent:
			c.result = &balancer.DoneInfo{} // the connection had ended before the attempt began
			return
		case isRefusal(result.Trailer, c.number):
			result.Err = status.Error(refusal, "grpcroute: refused")
		case !result.BytesReceived:
			result.Err = status.Error(codes.Unavailable, "grpcroute: the connection ended")
		}
		// gRPC takes the end of an attempt for a success when the caller was sending.
	}
	outcome := c.outcome(&result)
	c.link.router.counts.attempts.Add(outcome, c.to.relation)
	if outcome == tally.Answered && c.to.slow.Load() != 0 {
		c.to.slow.Store(0)
	}
	if outcome == tally.Refused {
		c.to.number.CompareAndSwap(c.number, wire.NewNumber())
	}
	if result.Err != nil {
		kept := result // only now, so that no other result is allocated
		c.result = &kept
	}
}

func (c *call) hasTried(at int) bool { return at < 64 && c.tried&(1<<at) != 0 }

// again judges the attempt before this one, which gRPC begins by itself. It does so when
// nothing was delivered, and after a refusal. It returns an error when the call must end.
func (c *call) again() error {
	if c.phase != picked && c.phase != ended {
		return nil
	}
	before := c.phase
	c.phase = judged
	switch {
	case c.result == nil && before == ended:
		// Of a stream whose caller was sending, as above. Only the code of a refusal makes gRPC
		// send it again.
		return status.Error(refusal, "grpcroute: the server does not know the method")
	case c.result == nil || c.result.Err == nil:
		return nil // the connection had ended before the attempt began
	}
	c.attempts++
	switch {
	case c.refused():
		c.noteRefusal()
	case status.Code(c.result.Err) == refusal:
		return c.result.Err // the error of the handler is the answer
	case c.attempts > mostUndelivered:
		c.skip("unreachable")
	}
	return c.exhausted()
}

// mostUndelivered is how often a call is sent to a member, over a new connection if need be,
// without being delivered, before another owner is asked or the call waits.
const mostUndelivered = 3

// exhausted returns an error when a call was sent as often as it may be.
func (c *call) exhausted() error {
	if most := c.link.router.options.MaxAttempts; c.attempts >= most {
		return c.gaveUp(nil, fmt.Sprintf("it was sent %d times", c.attempts))
	}
	return nil
}

func (c *call) refused() bool { return isRefusal(c.result.Trailer, c.number) }

// isRefusal reports whether the trailer of an attempt whose mark has a number is a refusal.
func isRefusal(trailer metadata.MD, of uint64) bool {
	v := trailer[refusedKey]
	if len(v) != 1 || len(v[0]) != width {
		return false
	}
	n, ok := number(v[0])
	return ok && n == of
}

// noteRefusal records that the last attempt was refused, and why.
func (c *call) noteRefusal() {
	c.refusals++
	c.refusal = status.Convert(c.result.Err).Message()
	c.skip("refused")
}

// skip leaves out an owner until the call has waited.
func (c *call) skip(why string) {
	if c.at < 64 {
		c.tried |= 1 << c.at
	}
	c.link.router.options.Logger.DebugContext(c, "a call was not answered",
		"to", c.to.id, "addr", c.to.addr, "result", why, "token", c.result.Trailer[tokenKey], "error", c.result.Err)
}

// repeats judges the end of a unary call, and reports whether it is sent once more.
func (c *call) repeats(err error) bool {
	if c.phase != ended || c.result == nil || c.Err() != nil {
		return false // the call ended before an attempt, with an error of its own
	}
	c.attempts++
	switch {
	case c.refused():
		c.noteRefusal()
	case status.Code(err) != codes.Unavailable || c.result.BytesReceived:
		return false // an answer
	case !c.result.BytesSent || undelivered(err):
		c.skip("unreachable")
	case c.mayBreak():
		c.broken++
		c.skip("broken")
		if !c.link.router.budget.Withdraw() {
			c.link.router.counts.overBudget.Add(1)
			return false
		}
	default:
		return false
	}
	c.phase = judged
	return true
}

// mayBreak reports whether a call whose connection broke may be sent a second time. A hedge is
// a second time too.
func (c *call) mayBreak() bool {
	switch {
	case c.broken > 0 || c.except != nil || !c.method.Idempotent && !c.method.Reads:
		return false
	case c.hedge != nil:
		return c.hedge.twice.CompareAndSwap(false, true)
	default:
		return true
	}
}

// undelivered reports whether a transport error says that the server has not processed a
// call. gRPC repeats such a call once by itself, and has no better sign for the next time.
// The texts are those of the transport; with other texts the call is not sent again.
func undelivered(err error) bool {
	text := status.Convert(err).Message()
	return strings.Contains(text, "draining the connection") || strings.Contains(text, "error code: REFUSED_STREAM")
}

// gaveUp returns the error of a call that no owner has answered.
func (c *call) gaveUp(owners []*peer, why string) error {
	o := &c.link.router.options
	c.link.router.counts.gaveUp.Add(1)
	if c.broken > 0 {
		return status.Errorf(codes.Unavailable, "grpcroute: the connection to the member that answers for the key broke, and %s: the call may have run", why)
	}
	nameless, failing := 0, 0
	for _, p := range owners {
		switch {
		case p == nil:
			nameless++
		case p.failing.Load():
			failing++
		}
	}
	switch {
	case len(owners) == 0 && c.refusals == 0:
		return &notRun{fmt.Sprintf("grpcroute: no member of the view answers calls of the service %q, and %s: the call has not run", o.Service, why)}
	case nameless > 0 && nameless == len(owners) && c.refusals == 0:
		return &notRun{fmt.Sprintf("grpcroute: no owner of the key announces an address of the service %q, and %s: check the service in the options of the router and of the members; the call has not run", o.Service, why)}
	default:
		if c.refusal != "" {
			why += ", and the last one refused with: " + c.refusal
		}
		return &notRun{fmt.Sprintf("grpcroute: no member answers for the key: %d could not be reached, %d times one refused, and %s: the call has not run", failing, c.refusals, why)}
	}
}
