package grpcroute

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/route"
)

// ServerOptions returns the interceptors for a server of this member. They check each call
// before the handler runs:
//
//   - A call of a router must be meant for this start of this member, and the member must
//     own the partition, as Method.Policy says. Otherwise the router gets a refusal, with
//     which it goes on.
//   - A call of another client, for which Options.Key finds a key, is answered with code
//     Unavailable and the name of an owner when this member may not answer it.
//   - Other calls run.
//
// Interceptors that come before them in the options of the server run for refused calls
// too. They should send no header: gRPC does not send a stream again after that, so that a
// refusal ends it.
func (r *Router) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(r.checkUnary), grpc.ChainStreamInterceptor(r.checkStream)}
}

func (r *Router) checkUnary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, trailer, err := r.check(ctx, info.FullMethod, request)
	if err != nil {
		if trailer != nil {
			trailer[pushbackKey] = []string{"-1"} // the interceptor of the client sends it again
			_ = grpc.SetTrailer(ctx, trailer)     // fails only for a context without a call
		}
		return nil, err
	}
	answer, err := handler(ctx, request)
	if status.Code(err) == refusal {
		_ = grpc.SetTrailer(ctx, final)
	}
	return answer, err
}

func (r *Router) checkStream(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, trailer, err := r.check(s.Context(), info.FullMethod, nil)
	if err != nil {
		if trailer != nil {
			trailer[pushbackKey] = []string{"0"}
			s.SetTrailer(trailer)
		}
		return err
	}
	err = handler(server, &checked{s, ctx})
	if status.Code(err) == refusal {
		s.SetTrailer(final)
	}
	return err
}

// final is the trailer of an answer of a handler that has the code of a refusal. With a
// second value, or with one that is no number, a trailer of the handler is no refusal, even
// if the handler knows the number of the mark.
var final = metadata.MD{pushbackKey: {"-1"}, refusedKey: {noRefusal}}

const noRefusal = "no"

// checked is a stream with the context for the handler.
type checked struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is a method of grpc.ServerStream.
func (s *checked) Context() context.Context { return s.ctx }

// check returns the context for the handler of a call, or an error for a call that must
// not run here. With a trailer the error is a refusal for the router that sent the call.
func (r *Router) check(ctx context.Context, method string, request any) (context.Context, metadata.MD, error) {
	view := r.cluster.View()
	values := metadata.ValueFromIncomingContext(ctx, markKey)
	if values == nil {
		handed, err := r.checkForeign(ctx, view, method, request)
		return handed, nil, err
	}
	m, err := parseMark(values)
	if err != nil {
		return ctx, nil, status.Errorf(codes.Unavailable, "grpcroute: %v", err)
	}
	placement, why := ring.Placement{}, ""
	if !r.meant(view, m.target) {
		why = "the call is for another process than this"
	} else if m.partition >= 0 {
		if placement = view.Ring.Placement(m.partition); !view.MayAnswer(placement, m.policy, true) {
			why = "by the view of this member the key is another's to answer"
		} else if r.options.SameToken && placement.Token() != m.token {
			why = "the sender knows other owners of the key than this member"
		}
	}
	if why != "" {
		r.counts.attempts.Add(tally.Refused, tally.Local)
		trailer := metadata.MD{refusedKey: {string(appendNumber(nil, width, m.number))}}
		if placement.Len() > 0 {
			trailer[tokenKey] = []string{strconv.FormatUint(uint64(placement.Token()), 16)}
		}
		return ctx, trailer, status.Error(refusal, "grpcroute: "+why+", and the call has not run")
	}
	r.counts.attempts.Add(tally.Answered, tally.Local)
	return &arrival{Context: ctx, router: r, placement: placement, keyed: m.partition >= 0, policy: m.policy, routed: true}, nil, nil
}

// checkForeign checks a call of a client without a router.
func (r *Router) checkForeign(ctx context.Context, view route.View, method string, request any) (context.Context, error) {
	if r.options.Key == nil || isOfServer(method) {
		return ctx, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	key, keyed, how, err := r.question(Call{Context: ctx, FullMethod: method, Metadata: md, Request: request})
	if err != nil || !keyed {
		return ctx, err
	}
	policy, placement := how.Policy, view.Ring.Lookup(key)
	if view.MayAnswer(placement, policy, false) {
		return &arrival{Context: ctx, router: r, placement: placement, keyed: true, policy: policy}, nil
	}
	owner, ok := placement.Primary()
	if !ok {
		return ctx, status.Error(codes.Unavailable, "grpcroute: this member knows no owners yet, and the call has not run")
	}
	addr := ""
	if m := view.Member(owner.ID()); m != nil {
		addr = m.Services[r.options.Service]
	}
	return ctx, status.Errorf(codes.Unavailable, "grpcroute: the key is that of the member %q at %q, and the call has not run", owner.ID(), addr)
}

// self identifies this process in marks.
type self struct {
	start  membership.Start
	target uint64
}

// meant reports whether this process is the target of a mark. None is before it is in the
// view.
func (r *Router) meant(view route.View, to uint64) bool {
	here := view.Member(view.NodeID)
	if here == nil {
		return false
	}
	s := r.self.Load()
	if s == nil || s.start != here.Start {
		s = &self{here.Start, target(view.ClusterName, r.options.Service, here.ID, here.Start)}
		r.self.Store(s)
	}
	return s.target == to
}
