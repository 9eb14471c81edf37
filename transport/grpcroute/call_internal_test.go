package grpcroute

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/balancer"

	"github.com/clusterkit/clusterkit/transport/route"
)

// view is a route.Cluster whose view does not change.
type view route.View

func (v view) View() route.View       { return route.View(v) }
func (view) Changed() <-chan struct{} { return nil }

// TestAnAttemptThatNeverBegan: gRPC reports nothing about an attempt whose connection has ended
// between its pick and its beginning. That attempt does not count, and another is picked.
func TestAnAttemptThatNeverBegan(t *testing.T) {
	r, err := New(view{ClusterName: "orders"}, Options{Service: "kv"})
	require.NoError(t, err)
	c := &call{Context: t.Context(), link: newLink(r), to: &peer{}, phase: picked}
	c.done(balancer.DoneInfo{})
	require.NoError(t, c.again())
	require.Equal(t, route.Stats{ClusterName: "orders", Service: "kv"}, r.Stats())
	require.Zero(t, c.attempts)
}

// TestTheClockOfALink is monotonic: when the clock of the host is set, no peer is avoided for longer, and
// no read waits longer for a near owner. A test cannot set the clock, so it looks for the reading.
func TestTheClockOfALink(t *testing.T) {
	r, err := New(view{ClusterName: "orders"}, Options{Service: "kv"})
	require.NoError(t, err)
	l := newLink(r)
	require.NotEqual(t, l.began.Round(0).String(), l.began.String(), "it has a reading of the monotonic clock")
	p := &peer{members: &members{link: l}}
	p.avoid(time.Second)
	require.LessOrEqual(t, time.Duration(p.slow.Load()), l.now()+time.Second)
	require.LessOrEqual(t, p.dialing(), l.now())
}
