package grpcroute

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/clusterkit/clusterkit/transport/internal/retry"
	"github.com/clusterkit/clusterkit/transport/route"
)

// Router routes the calls of one service: [Router.ServerOptions] for the server of a
// member, [Router.NewClient] for clients. It holds no connection and starts no goroutine
// itself. All methods are safe for concurrent use.
type Router struct {
	cluster     route.Cluster
	doubt       func(id string) // says that a member refused a connection; never nil
	options     Options
	clusterName string // the cluster of all views
	budget      *retry.Budget
	self        atomic.Pointer[self]
	counts      counts
}

// New returns a router for the member or observer whose views it gets. It returns an error
// for a nil cluster, and an error that joins an [option.Error] for every option that is
// missing or out of bounds. The method Routing of a cluster.Cluster returns its views.
func New(c route.Cluster, o Options) (*Router, error) {
	if c == nil {
		return nil, errors.New("grpcroute: New: the cluster is nil: must be set")
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("grpcroute: options: %w", err)
	}
	o = o.withDefaults()
	r := &Router{
		cluster: c, options: o, clusterName: c.View().ClusterName, doubt: func(string) {},
		budget: retry.NewBudget(o.RetriesPerRequest, o.RetriesPerSecond, o.RetryBurst),
	}
	if d, can := c.(doubter); can {
		r.doubt = d.Doubt
	}
	return r, nil
}

// doubter is a [route.Cluster] that can look at once whether the process of a member runs. Doubt must not block.
type doubter interface{ Doubt(id string) }

// NewClient returns a connection to the members that announce the service, for any number
// of calls at a time. It connects to a member when a call needs it, and does not block. Its
// method Connect connects to the nearest member.
// The caller closes the connection. The options must contain transport credentials; TLS
// checks the host of the address that a member announces, unless grpc.WithAuthority names
// another. Interceptors in the options run once for a call, stats handlers once for each
// attempt. Service configurations, with their timeouts and retry policies, resolvers, balancers and
// dialers in the options have no effect, and grpc.WithDisableRetry must not be among them:
// refused streams would fail. The context that
// credentials.PerRPCCredentials get has the metadata of the call, with that of the router: a call of
// their own needs another context. The error is that of grpc.NewClient.
//
// A call is sent as long as it certainly has not run: after a refusal, or when nothing was
// delivered. When that ends without an answer, its error is [ErrNotRun]. A unary call of
// an idempotent method is sent once more after its connection broke. Calls to a member
// that has failed, or that has started again, end with code Unavailable. Calls to a member
// that has left go on until it ends them.
func (r *Router) NewClient(options ...grpc.DialOption) (*grpc.ClientConn, error) {
	l := newLink(r)
	o := append([]grpc.DialOption{
		// A member that is back is used soon. A dial that is not answered is one that failed.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithIdleTimeout(0),
	}, options...)
	o = append(o,
		grpc.WithResolvers(l), grpc.WithContextDialer(l.dial), grpc.WithMaxCallAttempts(r.options.MaxAttempts+1),
		grpc.WithDefaultServiceConfig(l.serviceConfig()), grpc.WithDisableServiceConfig(),
		grpc.WithChainUnaryInterceptor(l.unary), grpc.WithChainStreamInterceptor(l.stream),
	)
	return grpc.NewClient(scheme+":///"+r.options.Service, o...)
}
