package grpcroute

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/route"
)

// arrival is the context of a call that the handler gets.
type arrival struct {
	context.Context
	router    *Router
	placement ring.Placement
	keyed     bool
	policy    route.Policy
	routed    bool // a router has sent it
}

type arrivalKey struct{}

// Value is a method of context.Context. The metadata that it returns is without the mark:
// a handler may copy it into a call of its own.
func (a *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return a
	}
	v := a.Context.Value(key)
	if md, ok := v.(metadata.MD); ok && md[markKey] != nil {
		md = md.Copy()
		delete(md, markKey)
		return md
	}
	return v
}

// Routed returns the placement of the key of a call, from the context that its handler
// gets, in the view by which the [Router] of this member decided. A handler that needs the
// ring token takes it from there, and need not compute the key again. The result ok is
// false for a call without a key, and for a context that no router has made.
func Routed(ctx context.Context) (p ring.Placement, ok bool) {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok || !a.keyed {
		return ring.Placement{}, false
	}
	return a.placement, true
}

// Lost returns a channel that is closed when this member should not answer the call any
// more: it does not own the partition of the key any more, or it is not the primary any
// more and only the primary may answer. A handler of a long stream should watch the
// channel, and then end the stream with code Unavailable, so that its caller opens it
// again at the new owner. The channel is nil for a context for which [Routed] returns
// false. Each call starts a goroutine, which ends with the call.
func Lost(ctx context.Context) <-chan struct{} {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok || !a.keyed {
		return nil
	}
	lost := make(chan struct{})
	go a.watch(lost)
	return lost
}

func (a *arrival) watch(lost chan<- struct{}) {
	for {
		changed, view := a.router.cluster.Changed(), a.router.cluster.View()
		if !view.MayAnswer(view.Ring.Placement(a.placement.Partition()), a.policy, a.routed) {
			close(lost)
			return
		}
		select {
		case <-changed:
		case <-a.Done():
			return
		}
	}
}
