package grpcroute

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/clusterkit/clusterkit/transport/internal/bound"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Options configure a [Router]. Service is required. For every other field the zero
// value has the meaning that the field's doc gives.
type Options struct {
	// Service is the name under which members announce the address of their gRPC server
	// in membership.Member.Services, as host:port. All routers of one service must use
	// the same name: 1 to 64 letters, digits and the characters . _ : / @ -.
	Service string
	// Key returns the key of a call whose context has none from [WithKey]. It returns
	// false when the call has no key: then any active member may answer it. Key is called
	// concurrently, by the client, and by the server for a call of a client that has no
	// router, but not for the methods of gRPC itself, such as grpc.health.v1.Health/Check. It
	// must not change the metadata or the request. A call for which Key or Method panics ends
	// with code Internal. Nil means that only WithKey gives keys.
	Key func(Call) (key string, ok bool)
	// Method says how the calls of a method are routed. It must return the same on every
	// member, and is called concurrently. Nil means by the option idempotency_level of
	// the method in its proto file: NO_SIDE_EFFECTS is Nearest, idempotent and reads,
	// IDEMPOTENT is PrimaryOnly and idempotent, and every other method is PrimaryOnly.
	Method func(fullMethod string) Method
	// Patience is how long a call that was refused, or whose owners cannot be reached,
	// waits until views agree or change: 1 ns to 5 min. A connection that is being made
	// for the first time is waited for beyond it. A call with grpc.WaitForReady(true) waits
	// until its context ends. Zero means 1 s, and [option.None] that no other call waits.
	Patience time.Duration
	// MaxAttempts is how many times one call is sent at most, with the first time: 1 to
	// 1,000. Zero means 32.
	MaxAttempts int
	// RetriesPerRequest, RetriesPerSecond and RetryBurst configure the retry budget, a
	// token bucket of all calls together. Sending a call again after a connection broke
	// under it takes a token. Without a token the call ends with the failure. A call that
	// was refused, or that waits, takes none.
	//
	// RetriesPerRequest is the number of tokens that every call adds to the bucket, up to
	// 1. Zero means 0.2, and [option.None] none. RetriesPerSecond is the number of tokens
	// that are added in each second, up to 1,000,000. Zero means 10, and [option.None]
	// none. RetryBurst is the size of the bucket, which is full at first: 1 to 1,000,000.
	// Zero means 100.
	RetriesPerRequest, RetriesPerSecond float64
	RetryBurst                          int
	// HedgeAfter is how long a unary call of a method that reads, of which the policy allows
	// several owners, waits for an answer before it is sent to the next owner as well: 1 ms to
	// 1 min. The first answer counts, and the other attempt is ended. A hedge takes a token
	// from the budget above. An owner that lost is tried last by such calls for AvoidFor, and
	// then by one of them at a time. Choose more than the time in which the service answers
	// nearly all reads. Zero means that no call is sent twice at a time.
	HedgeAfter time.Duration
	// AvoidFor is that time: 1 ms to 1 min. Zero means 1 s.
	AvoidFor time.Duration
	// SameToken makes the server refuse a call whose sender has another ring token for
	// the partition than this member has. So both agree on all owners of the key. False
	// means that it is sufficient that this member may answer by its own view.
	SameToken bool
	// CheckHealth makes clients watch the service grpc.health.v1.Health of each server
	// that they are connected to, for the server as a whole. While a server reports that
	// it does not serve, it counts as one that cannot be reached.
	CheckHealth bool
	// Dial connects to the address of a member. It is called concurrently. Nil means a
	// TCP connection.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Logger gets failed attempts at level debug. Nil means [slog.Default].
	Logger *slog.Logger
}

// Call is a call for which Options.Key finds the key.
type Call struct {
	// Context is the context of the call. At the server it is that of the handler.
	Context context.Context
	// FullMethod is the name of the method, as in /package.Service/Method.
	FullMethod string
	// Metadata is what the caller sends. It is nil if there is none.
	Metadata metadata.MD
	// Request is the request of a unary call. For a call with one request and a stream of
	// answers it is the request at the client, and nil at the server. For other streams
	// it is nil.
	Request any
}

// Method says how the calls of one method are routed.
type Method struct {
	// Policy says which owners may answer.
	Policy route.Policy
	// Idempotent says that a unary call may run twice: once more after the connection
	// broke under it. A stream never runs twice.
	Idempotent bool
	// Reads says that a unary call changes nothing, so that it may run at two owners at a
	// time. It is idempotent then. See Options.HedgeAfter.
	Reads bool
}

// validate returns an [option.Error] for every option that is missing or out of bounds,
// joined.
func (o Options) validate() error {
	o = o.withDefaults()
	return errors.Join(
		bound.ServiceName("Service", o.Service),
		bound.WithinOrNone("Patience", o.Patience, 1, 5*time.Minute),
		bound.Within("MaxAttempts", o.MaxAttempts, 1, 1000),
		bound.WithinOrNone("RetriesPerRequest", o.RetriesPerRequest, 0, 1),
		bound.WithinOrNone("RetriesPerSecond", o.RetriesPerSecond, 0, 1_000_000),
		bound.Within("RetryBurst", o.RetryBurst, 1, 1_000_000),
		bound.Within("HedgeAfter", cmp.Or(o.HedgeAfter, time.Millisecond), time.Millisecond, time.Minute),
		bound.Within("AvoidFor", o.AvoidFor, time.Millisecond, time.Minute),
	)
}

func (o Options) withDefaults() Options {
	if o.Method == nil {
		o.Method = new(declared).method
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	o.Patience = cmp.Or(o.Patience, time.Second)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 32)
	o.RetriesPerRequest = cmp.Or(o.RetriesPerRequest, 0.2)
	o.RetriesPerSecond = cmp.Or(o.RetriesPerSecond, 10)
	o.RetryBurst = cmp.Or(o.RetryBurst, 100)
	o.AvoidFor = cmp.Or(o.AvoidFor, time.Second)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	return o
}
