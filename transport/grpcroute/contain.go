package grpcroute

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// question calls Key and Method of the options for a call. Key is not called for the methods
// of gRPC itself. A panic is an error of the call: gRPC recovers from none.
func (r *Router) question(c Call) (key string, keyed bool, m Method, err error) {
	defer r.contain(c.Context, c.FullMethod, &err)
	if o := &r.options; o.Key != nil && !isOfServer(c.FullMethod) {
		key, keyed = o.Key(c)
	}
	return key, keyed, r.options.Method(c.FullMethod), nil
}

// methodOf calls Method of the options, for a call whose key is known.
func (r *Router) methodOf(ctx context.Context, method string) (m Method, err error) {
	defer r.contain(ctx, method, &err)
	return r.options.Method(method), nil
}

// contain is deferred around functions of the user.
func (r *Router) contain(ctx context.Context, method string, err *error) {
	if v := recover(); v != nil {
		r.options.Logger.ErrorContext(ctx, "panic while finding the key of a call",
			"method", method, "panic", v, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "grpcroute: a function of the router's options panicked, and the call has not run")
	}
}

// dial calls Dial of the options. A panic is an error of the dial.
func (r *Router) dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.options.Logger.ErrorContext(ctx, "panic while dialing a member", "addr", addr, "panic", v, "stack", string(debug.Stack()))
			conn, err = nil, fmt.Errorf("grpcroute: Options.Dial panicked: %v", v)
		}
	}()
	return r.options.Dial(ctx, addr)
}
