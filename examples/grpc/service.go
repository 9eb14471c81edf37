package main

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/examples/grpc/counterpb"
	"github.com/clusterkit/clusterkit/transport/grpcroute"
)

// counter is the service of one member.
type counter struct {
	counterpb.UnimplementedCounterServer
	member string

	mu      sync.Mutex
	values  map[string]int64
	changed chan struct{} // closed at each change
	adds    int           // calls of Add that ran here
}

func newCounter(member string) *counter {
	return &counter{member: member, values: make(map[string]int64), changed: make(chan struct{})}
}

// keyOf finds the key of a call in its request. The router of the client calls it, and the
// router of the server for clients that have none.
func keyOf(c grpcroute.Call) (key string, ok bool) {
	request, ok := c.Request.(interface{ GetKey() string })
	if !ok {
		return "", false
	}
	return request.GetKey(), true
}

// Add adds to a counter of this member. A call that gets here is for a key of this member.
func (c *counter) Add(_ context.Context, r *counterpb.AddRequest) (*counterpb.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adds++
	c.values[r.GetKey()] += r.GetAdd()
	close(c.changed)
	c.changed = make(chan struct{})
	return c.value(r.GetKey()), nil
}

// Get reads a counter.
func (c *counter) Get(_ context.Context, r *counterpb.GetRequest) (*counterpb.Value, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value(r.GetKey()), nil
}

// value returns the value of a counter. The caller holds the lock.
func (c *counter) value(key string) *counterpb.Value {
	return &counterpb.Value{Value: c.values[key], Member: c.member}
}

// Watch sends a counter until this member loses its key. The client then asks again, and
// gets to the new owner.
func (c *counter) Watch(r *counterpb.GetRequest, stream grpc.ServerStreamingServer[counterpb.Value]) error {
	lost := grpcroute.Lost(stream.Context())
	for {
		c.mu.Lock()
		value, changed := c.value(r.GetKey()), c.changed
		c.mu.Unlock()
		if err := stream.Send(value); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-lost:
			return status.Error(codes.Unavailable, "another member owns the key now")
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// ran returns how many calls of Add have run here.
func (c *counter) ran() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.adds
}
