package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Handoff is the user's part in moving data when partitions change owners. The
// library says who merges what from whom and when a member may let go; how bytes
// travel is the user's affair. docs/handoff.md has the model, and what may be
// claimed of it.
//
// Both methods are called from goroutines of the library's, several at a time but
// never two for one partition, and with no lock held. They should return soon after
// the context ends. What they return as an error, or panic with, is reported and
// tried again.
type Handoff interface {
	// Receive merges a partition from others: from as many of them as needed
	// at least, and better from all. To merge is to keep, of each datum, the newer
	// of what is here and what is there; what is here is never replaced as a whole.
	// It must see every write that a source had applied when Receive was called,
	// and must not take the word of a process whose start is not the source's
	// Start: that one has begun anew, and empty. It returns nil once what it
	// merged is here as safely as a write that was acknowledged.
	//
	// The context ends when a newer ring makes the move pointless, when the time
	// limit has passed, or when the cluster stops.
	Receive(ctx context.Context, partition int, from []Member, need int) error
	// Release throws a partition away. Each owner has confirmed that it has
	// merged what is here. No write is accepted until it has returned. With a
	// [Journal] it is called again after a restart, for nothing perhaps.
	Release(ctx context.Context, partition int) error
}

// HandoffOptions are how handoff goes about it. The zero value of every field
// has a meaning.
type HandoffOptions struct {
	// WriteQuorum is how many of a partition's owners acknowledge a write
	// before it counts: W, from 1 to the replication factor, the same on all
	// members. The claim of docs/handoff.md needs more than half of the replication
	// factor. Zero means the smallest such number.
	WriteQuorum int
	// Parallel is how many calls of Receive and Release, and of a Journal's Save, run
	// at a time, 1 to 1024. Zero means 8.
	Parallel int
	// RetryAfter is the wait before a call that failed is made again, doubled
	// each time up to 32 times as long; from a millisecond to an hour. Zero means
	// a second.
	RetryAfter time.Duration
	// CallLimit is how long one call may take before its context ends, up to a
	// week. Zero means ten minutes.
	CallLimit time.Duration
	// Journal keeps what this member knows of its data, where that survives a
	// restart. Nil: it does not, and a process that starts is a new, empty owner.
	Journal Journal
	// OverdueAfter is how long a partition may be on its way before health
	// says so, up to a week. Nothing is given up. Zero means a minute.
	OverdueAfter time.Duration
}

// Errors of writing and reading while partitions move.
var (
	// ErrNotOwner says that this member does not own the partition.
	ErrNotOwner = errors.New("cluster: not an owner of the partition")
	// ErrFenced says that this member owns the partition but accepts no writes
	// now, because it is throwing away what it had of it, or its journal does not
	// know of it yet.
	ErrFenced = errors.New("cluster: the partition is fenced")
	// ErrNotReceived says that this member owns the partition and does not have
	// all of its data yet.
	ErrNotReceived = errors.New("cluster: the partition has not been received yet")
)

// TokenError says that two members mean different owners of a partition. It goes
// away with the news that one of them has not heard: look the key up again.
type TokenError struct {
	Partition    int
	Ours, Theirs ring.Token
}

// Error names the partition and both tokens.
func (e *TokenError) Error() string {
	return fmt.Sprintf("cluster: partition %d has token %v here, the request has %v: sender and receiver mean different owners", e.Partition, e.Ours, e.Theirs)
}

// Check returns nil when the sender of a token and this member mean the same
// owners of a key, now and in the ring to come, even while their rings differ
// elsewhere; otherwise a [TokenError]. It never blocks.
func (c *Cluster) Check(key string, token ring.Token) error {
	p := c.Lookup(key)
	if ours := p.Token(); ours != token {
		return &TokenError{Partition: p.Partition(), Ours: ours, Theirs: token}
	}
	return nil
}

// Accept admits a write that was sent with a token, [ring.Placement.Token] of the
// sender's placement. Apply the write, then call done, then acknowledge: as
// long as done has not been called, nobody is told that they have all that was
// written here, and this member cannot let go. Call done whether or not the write
// succeeded; further calls of it do nothing.
//
// It returns a [TokenError], [ErrNotOwner] or [ErrFenced], and done is nil; the
// write must then not be applied. Without [Options.Handoff] only the token and the
// ownership are checked. It never blocks.
func (c *Cluster) Accept(partition int, token ring.Token) (done func(), err error) {
	if c.handoff != nil {
		return c.handoff.accept(partition, token)
	}
	p, err := c.own(partition, token)
	if err != nil {
		return nil, err
	}
	if !ring.Writers(p).Includes(c.settings.NodeID) {
		return nil, fmt.Errorf("%w %d", ErrNotOwner, partition)
	}
	return func() {}, nil
}

// Serve returns nil when this member may answer a read that was sent with a
// token, as one of the R answers that a quorum needs: it serves the partition, has
// received it, and means the same owners as the sender. Otherwise it returns a
// [TokenError], [ErrNotOwner] or [ErrNotReceived]. It never blocks.
func (c *Cluster) Serve(partition int, token ring.Token) error {
	p, err := c.own(partition, token)
	switch {
	case err != nil:
		return err
	case !p.Owns(c.settings.NodeID):
		return fmt.Errorf("%w %d", ErrNotOwner, partition)
	case !c.Received(partition):
		return fmt.Errorf("%w: %d", ErrNotReceived, partition)
	}
	return nil
}

// Received reports whether this member owns a partition, now or in the ring to
// come, and has what an owner must have. Without [Options.Handoff] that is to own
// it. It never blocks.
func (c *Cluster) Received(partition int) bool {
	if c.handoff != nil {
		return c.handoff.ready(partition)
	}
	return ring.Writers(c.Ring().Placement(partition)).Includes(c.settings.NodeID)
}

func (c *Cluster) own(partition int, token ring.Token) (ring.Placement, error) {
	p := c.Ring().Placement(partition)
	if ours := p.Token(); p.Len() == 0 || ours != token {
		return p, &TokenError{Partition: partition, Ours: ours, Theirs: token}
	}
	return p, nil
}

// AcceptLoss makes this member go on with what there is of a partition that it
// reports as possibly lost: it becomes ready without what it waited for, or lets go
// once the owners have what it has. That is for people to decide, on each member that
// reports it. It reports whether the partition was one of those. It never blocks.
func (c *Cluster) AcceptLoss(partition int) bool {
	return c.handoff != nil && c.handoff.acceptLoss(partition)
}

// HandoffState is how far this member is with moving partitions. It is zero
// without [Options.Handoff].
type HandoffState = api.HandoffState

// Handoff returns how far this member is with moving partitions.
func (c *Cluster) Handoff() HandoffState {
	if c.handoff == nil {
		return HandoffState{}
	}
	return c.handoff.state(time.Now())
}
