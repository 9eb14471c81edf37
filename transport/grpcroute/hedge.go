package grpcroute

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/route"
)

// invoker sends a unary call once, and reads the answer into a message.
type invoker func(ctx context.Context, answer any, options []grpc.CallOption) error

// hedge is a unary read that is sent to a second owner when the first has not answered in time.
// The first answer counts. The other attempt is ended, and an owner that lost is tried last for
// a while, because it may be frozen.
type hedge struct {
	first   *call
	caller  context.Context
	answer  any // the message of the caller
	options []grpc.CallOption
	invoke  invoker
	end     context.CancelFunc   // ends the first call
	to      atomic.Pointer[peer] // the peer of the first call; nil: none yet
	twice   atomic.Bool          // the call was sent a second time, as a hedge or after a break

	mu     sync.Mutex // guards what follows
	timer  *time.Timer
	over   bool    // the first call has ended
	second *second // nil: there is none
}

// second is the second call of a hedge.
type second struct {
	call
	slow    *peer // the peer of the first call
	end     context.CancelFunc
	outputs outputs
	answer  any
	ended   chan struct{} // closed when err and hasAnswer are set
	err     error
	has     bool // an answer
}

// hedges reports whether a call may be sent to two owners at a time.
func (c *call) hedges(answer any) bool {
	return c.link.router.options.HedgeAfter > 0 && c.method.Reads && (!c.keyed || c.method.Policy != route.PrimaryOnly) && answer != nil &&
		reflect.TypeOf(answer).Kind() == reflect.Pointer
}

// sendHedged sends a call, and a second one when the first takes long.
func (c *call) sendHedged(answer any, options []grpc.CallOption, invoke invoker) error {
	h := &hedge{first: c, caller: c.Context, answer: answer, options: options, invoke: invoke}
	c.Context, h.end = context.WithCancel(c.Context)
	defer h.end()
	c.hedge = h
	h.mu.Lock()
	h.timer = time.AfterFunc(c.link.router.options.HedgeAfter, h.begin)
	h.mu.Unlock()
	err := c.send(func(ctx context.Context) error { return invoke(ctx, answer, options) })
	h.mu.Lock()
	h.timer.Stop()
	h.over = true
	s := h.second
	h.mu.Unlock()
	if s == nil {
		return err
	}
	answered := c.answered(err)
	if answered {
		s.end()
	}
	<-s.ended
	switch {
	case answered:
		return err
	case s.has:
		s.slow.avoid(c.link.router.options.AvoidFor)
		assign(answer, s.answer)
		s.outputs.give()
		return s.err
	case errors.Is(err, ErrNotRun):
		return s.err // the first call may have run
	default:
		return err
	}
}

// begin sends the second call. The first has then waited for as long as HedgeAfter.
func (h *hedge) begin() {
	s := h.prepare()
	if s == nil {
		return
	}
	s.link.router.counts.hedges.Add(1)
	s.err = s.send(func(ctx context.Context) error { return h.invoke(ctx, s.answer, s.outputs.options) })
	if s.has = s.answered(s.err); s.has {
		h.end()
	}
	s.end()
	close(s.ended)
}

// prepare returns the second call, or nil when there shall be none.
func (h *hedge) prepare() *second {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, to := h.first, h.to.Load()
	r := c.link.router
	if h.over {
		return nil
	}
	if to == nil { // the call waits for a connection, or for the view
		h.timer.Reset(r.options.HedgeAfter)
		return nil
	}
	s := &second{slow: to, call: call{link: c.link, key: c.key, keyed: c.keyed, method: c.method, waits: c.waits, except: to}}
	if !s.hasAnother() || !h.twice.CompareAndSwap(false, true) {
		return nil
	}
	if !r.budget.Withdraw() {
		h.twice.Store(false)
		r.counts.overBudget.Add(1)
		return nil
	}
	s.Context, s.end = context.WithCancel(h.caller)
	s.outputs, s.answer, s.ended = apart(h.options), like(h.answer), make(chan struct{})
	h.second = s
	return s
}

// hasAnother reports whether there is an owner that can be reached besides the one to except.
func (c *call) hasAnother() bool {
	t := c.link.table.Load()
	var room [4]*peer // usually large enough
	_, owners := c.owners(t, room[:0])
	for _, p := range owners {
		if p != nil && p != c.except && !p.failing.Load() {
			return true
		}
	}
	return false
}

// answered reports whether a handler has answered a call that ended with an error or nil.
func (c *call) answered(err error) bool {
	return err == nil || c.result != nil && c.result.Err != nil && c.outcome(c.result) == tally.Answered
}

// like returns a new message of the type of another.
func like(message any) any {
	if m, ok := message.(proto.Message); ok {
		return m.ProtoReflect().New().Interface()
	}
	return reflect.New(reflect.TypeOf(message).Elem()).Interface()
}

// assign gives a message the value of another, which like has made.
func assign(to, from any) {
	if m, ok := to.(proto.Message); ok {
		proto.Reset(m)
		proto.Merge(m, from.(proto.Message))
		return
	}
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
}

// outputs are options of a call that return into other places than those of its caller.
type outputs struct {
	options []grpc.CallOption
	give    func() // returns to the caller
}

// apart returns the options for a second call at the same time.
func apart(options []grpc.CallOption) outputs {
	var gives []func()
	out := outputs{give: func() {
		for _, give := range gives {
			give()
		}
	}}
	for _, option := range options {
		switch given := option.(type) {
		case grpc.HeaderCallOption:
			md := new(metadata.MD)
			option = grpc.Header(md)
			gives = append(gives, func() { *given.HeaderAddr = *md })
		case grpc.TrailerCallOption:
			md := new(metadata.MD)
			option = grpc.Trailer(md)
			gives = append(gives, func() { *given.TrailerAddr = *md })
		case grpc.PeerCallOption:
			from := new(grpcpeer.Peer)
			option = grpc.Peer(from)
			gives = append(gives, func() { *given.PeerAddr = *from })
		}
		out.options = append(out.options, option)
	}
	return out
}
