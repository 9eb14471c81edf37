package membership

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hashicorp/memberlist"
)

const (
	maxMessage = 64 << 10 // bytes of the payload of one message
	maxInbox   = 1024     // the number of messages that may wait until they are taken
	// maxSends is the largest number of messages under way at a time. A message that
	// takes longer than the patience does not count any more. Its connection fails by
	// itself, some seconds later.
	maxSends = 32
)

var (
	errNotStarted    = errors.New("membership: not started")
	errUnknownMember = errors.New("membership: no such member")
	errMessageSize   = errors.New("membership: message too long")
)

// message is a message of one member to this one.
type message struct {
	// From is the sender's NodeID and Start the nonce of its start, as the sender
	// states them. Where gossip is not encrypted, any process can claim both.
	From  string
	Start uint64
	// Payload belongs to the receiver.
	Payload []byte
}

// send is driver.Send.
func (m *Membership) send(ctx context.Context, to string, payload []byte) error {
	if len(payload) > maxMessage {
		return fmt.Errorf("%w: %d bytes, the limit is %d", errMessageSize, len(payload), maxMessage)
	}
	limit := m.settings.timings.patience
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it takes longer than %v", limit))
	defer cancel()
	select {
	case m.direct.sends <- struct{}{}:
		defer func() { <-m.direct.sends }()
	case <-m.life.Ending().Done():
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("membership: sending to %q: %w", to, context.Cause(ctx))
	}
	gossip, _, running := m.live()
	peer, known := m.registry.reachable(to)
	if !running || !known || to == m.settings.NodeID {
		switch {
		case running:
			return fmt.Errorf("%w: %q", errUnknownMember, to)
		case m.life.Ending().Err() != nil:
			return ErrStopped
		default:
			return errNotStarted
		}
	}
	msg := directMessage{
		from: m.settings.NodeID, start: m.announcer.get().Start.Nonce, to: peer.Start.Nonce, payload: payload,
	}.bytes()
	node := &memberlist.Node{
		Name: gossipName(peer.ID, peer.Start.Nonce), Addr: peer.Addr.Addr().AsSlice(), Port: peer.Addr.Port(),
	}
	sent := make(chan error, 1)
	if !m.background(func() { sent <- gossip.SendReliable(node, msg) }) {
		return ErrStopped
	}
	select {
	case err := <-sent:
		if err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				m.doubt(to)
			}
			return fmt.Errorf("membership: sending to %q: %w", to, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("membership: sending to %q: %w", to, context.Cause(ctx))
	}
}

// deliver accepts a message that arrived. It never waits, because memberlist calls it.
func (m *Membership) deliver(msg directMessage) {
	if msg.to != m.announcer.get().Start.Nonce {
		return // meant for an earlier process at this address
	}
	select {
	case m.direct.inbox <- message{From: msg.from, Start: msg.start, Payload: msg.payload}:
	default:
		m.counts.dropped.Add(1) // dropped: a sender that needs an answer asks again
	}
}
