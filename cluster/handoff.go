package cluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/handoff"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// Handoff admits the writes and reads of a service while partitions move, and shows how far
// this member is. [Cluster.Handoff] returns it. All methods are safe for concurrent use, and
// none blocks.
//
// A request between members carries two values: the partition of its key, and the token of
// the sender's placement, [ring.Placement.Token]. Four methods take both. Each returns
// nil, or one of the errors in the last column:
//
//	method    called by                        nil means that this member                      errors
//	Check     a member that gets a token       means the same owners as the sender             TokenError
//	Admit     an owner, before a write         owns, and admits the write                      TokenError, ErrNotOwner, ErrFenced
//	Serve     an owner, after reading locally  serves, and its answer counts in a read quorum  TokenError, ErrNotOwner, ErrNotReceived
//	Received  code that waits for data         owns, and has the data that it must have        TokenError, ErrNotOwner, ErrNotReceived
//
// A member owns a partition if it is an owner in the ring or in its target. It serves if it is an
// owner in the ring. "The same owners" are the owners of this partition in the ring and in its
// target, with the data that they hold. With a [Mover] a process that starts without the data of
// the process before it counts as another owner. For other partitions the rings of the two members
// may differ.
//
// Without a [Mover], and under a configuration in which handoff is off, an owner always admits
// writes, and always counts as having its data. There is one exception. While a call of
// [Mover.Release] still runs that began when handoff was on, Admit returns ErrFenced for its
// partition, and Serve and Received return ErrNotReceived.
type Handoff struct{ c *Cluster }

// Handoff returns the methods that a service needs while partitions move. It is never
// nil, and may be kept.
func (c *Cluster) Handoff() *Handoff { return &Handoff{c} }

// WriteQuorum returns how many owners acknowledge a write under the configuration in use. It is
// zero where handoff is off or there is no [Mover], and before the first view. Then no write is
// claimed to survive, however many owners acknowledge it. A writer that has a placement uses the
// write quorum of that placement, because the configuration may have changed since: see
// [ring.WriteSet.Enough].
func (h *Handoff) WriteQuorum() int {
	return h.c.settings.configs[h.c.view.Load().Configuration].WriteQuorum
}

// Errors that [Handoff] returns to writers and readers while partitions move.
var (
	// ErrNotOwner says that this member does not own the partition. Look the key up
	// again.
	ErrNotOwner = errors.New("cluster: not an owner of the partition")
	// ErrFenced says that this member owns the partition but accepts no writes now. It is
	// deleting data that it held of the partition before, or its journal has not saved yet
	// that it owns the partition. Try again.
	ErrFenced = errors.New("cluster: the partition is fenced")
	// ErrNotReceived says that this member owns the partition and does not have all of its
	// data yet. Ask another owner.
	ErrNotReceived = errors.New("cluster: the partition has not been received yet")
)

// TokenError says that two members mean different owners of a partition, or that an owner has
// started without its data since the request was sent. The members agree again once news that
// one of them lacks has arrived: look the key up again.
type TokenError struct {
	// Partition is the partition of the request.
	Partition int
	// Ours is the token of this member's placement, Theirs the one in the request.
	Ours, Theirs ring.Token
}

// Error names the partition and both tokens.
func (e *TokenError) Error() string {
	return fmt.Sprintf("cluster: partition %d has token %v here, the request has %v: sender and receiver mean different owners", e.Partition, e.Ours, e.Theirs)
}

// Check returns nil when the sender of a token and this member mean the same owners of a
// partition, in the ring and in its target. Otherwise it returns a [TokenError], also before
// the first ring and for a partition out of range.
func (h *Handoff) Check(partition int, token ring.Token) error {
	_, err := h.c.own(partition, token)
	return err
}

// Admit admits a write to a partition that this member owns, in the ring or in its target.
// Apply the write, then call done, then acknowledge. Until done is called, no other member is
// told that it has all writes of this one, and this member cannot release the partition. Call
// done whether or not the write succeeded. Further calls of done do nothing.
//
// Otherwise it returns a [TokenError], [ErrNotOwner] or [ErrFenced], and done is nil. The write
// must then not be applied.
func (h *Handoff) Admit(partition int, token ring.Token) (done func(), err error) {
	switch d := h.c.handoff; {
	case d == nil:
		if err := h.owns(partition, token); err != nil {
			return nil, err
		}
		return func() {}, nil
	case partition < 0 || partition >= len(d.gates):
		return nil, fmt.Errorf("%w %d", ErrNotOwner, partition)
	default:
		done, err := d.gates[partition].enter(partition, token)
		if differ := (*TokenError)(nil); errors.As(err, &differ) {
			// The gate of a partition that was never ours knows no token.
			if owns := h.owns(partition, token); errors.Is(owns, ErrNotOwner) {
				return nil, owns
			}
		}
		return done, err
	}
}

// Serve returns nil when the answer of this member counts among the R answers of a read quorum.
// The member then serves the partition now, has received it, and knows the same owners as the
// sender. Otherwise it returns a [TokenError], [ErrNotOwner] or [ErrNotReceived].
//
// Call Serve after the data was read. A member that was an owner before it read may have
// deleted the data meanwhile.
func (h *Handoff) Serve(partition int, token ring.Token) error {
	p, err := h.c.own(partition, token)
	switch {
	case err != nil:
		return err
	case !p.Owns(h.c.settings.NodeID):
		return fmt.Errorf("%w %d", ErrNotOwner, partition)
	}
	return h.c.received(partition)
}

// Received returns nil when this member owns a partition, in the ring or in its target, and
// has the data that an owner must have. Otherwise it returns a [TokenError], [ErrNotOwner] or
// [ErrNotReceived].
func (h *Handoff) Received(partition int, token ring.Token) error {
	if err := h.owns(partition, token); err != nil {
		return err
	}
	return h.c.received(partition)
}

// AcceptLoss makes this member go on with the data that is left of a partition that State
// lists as lost. An owner becomes ready without the data that it waited for. A former owner
// releases the partition once the owners have its data. Only a person should decide this, and
// has to call AcceptLoss on each member that lists the partition. It reports whether the
// partition was listed; if not, nothing is changed.
func (h *Handoff) AcceptLoss(partition int) bool {
	d := h.c.handoff
	if d == nil || partition < 0 || partition >= len(d.gates) || !d.is(func(m *handoff.Machine) bool { return m.Standing(partition).Lost }) {
		return false
	}
	d.drive(handoff.LossAccepted{Partition: partition})
	return true
}

// State returns how far this member is with moving partitions. It is zero without a [Mover].
func (h *Handoff) State() api.HandoffState {
	if h.c.handoff == nil {
		return api.HandoffState{}
	}
	return h.c.handoff.state(time.Now())
}

// owns returns nil when the token is that of this member's placement, and this member owns the
// partition in the ring or in its target.
func (h *Handoff) owns(partition int, token ring.Token) error {
	p, err := h.c.own(partition, token)
	if err == nil && !ring.Writers(p).Includes(h.c.settings.NodeID) {
		return fmt.Errorf("%w %d", ErrNotOwner, partition)
	}
	return err
}

// own returns the placement of a partition, and a [TokenError] unless its token is the
// one given.
func (c *Cluster) own(partition int, token ring.Token) (ring.Placement, error) {
	p := c.Ring().Placement(partition)
	if ours := p.Token(); p.Len() == 0 || ours != token {
		return p, &TokenError{Partition: partition, Ours: ours, Theirs: token}
	}
	return p, nil
}

// received returns nil when this member, an owner, has the data of a partition.
func (c *Cluster) received(partition int) error {
	if d := c.handoff; d != nil && (partition < 0 || partition >= len(d.gates) || !d.gates[partition].isReady()) {
		return fmt.Errorf("%w: %d", ErrNotReceived, partition)
	}
	return nil
}
