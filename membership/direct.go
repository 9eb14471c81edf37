package membership

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/memberlist"
)

const (
	// MaxMessage is the largest payload of [Membership.Send], in bytes.
	MaxMessage = 64 << 10
	// maxInbox is how many messages wait for whoever takes them.
	maxInbox = 1024
	// maxSends is how many messages are on their way at a time. One to a
	// member that does not answer takes as long as a connection may.
	maxSends = 32
)

var (
	// ErrUnknownMember says that the member to send to is not believed alive.
	ErrUnknownMember = errors.New("membership: no such member")
	// ErrMessageSize says that a message is longer than [MaxMessage].
	ErrMessageSize = errors.New("membership: message too long")
)

// Message is what a member sent to this one alone.
type Message struct {
	// From is the sender's NodeID and Start the nonce of its start, as the
	// sender has them: where gossip is not encrypted anybody can claim both.
	From  string
	Start uint64
	// Payload is the receiver's to keep.
	Payload []byte
}

// Messages returns the channel of the messages that others sent to this start
// of this member. It is meant for one consumer; when nobody keeps up, messages
// are dropped, and counted in [Stats]. The channel is never closed.
func (m *Membership) Messages() <-chan Message { return m.inbox }

// Send sends a message to the newest start of a member, over a stream of its
// own, and returns when it has been handed to the network: that says nothing
// about its arrival, so who needs to know must be answered. A message arrives at
// most once, and only at the start it was meant for. At most 32 are on their way
// at a time; further calls wait.
//
// It returns [ErrUnknownMember], [ErrMessageSize], [ErrNotStarted] or
// [ErrStopped], the context's error when that ends first, though the message may
// still go out, or an error of the network.
func (m *Membership) Send(ctx context.Context, to string, payload []byte) error {
	if len(payload) > MaxMessage {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrMessageSize, len(payload), MaxMessage)
	}
	select {
	case m.sends <- struct{}{}:
	case <-m.life.Done():
		return ErrStopped
	case <-ctx.Done():
		return fmt.Errorf("membership: sending to %q: %w", to, ctx.Err())
	}
	gossip, _, running := m.live()
	peer, known := m.registry.member(to)
	if !running || !known || to == m.settings.NodeID {
		<-m.sends
		switch {
		case running:
			return fmt.Errorf("%w: %q", ErrUnknownMember, to)
		case m.life.Err() != nil:
			return ErrStopped
		default:
			return ErrNotStarted
		}
	}
	msg := directMessage{
		from: m.settings.NodeID, start: m.announcer.get().Start.Nonce, to: peer.Start.Nonce, payload: payload,
	}.bytes()
	node := &memberlist.Node{
		Name: gossipName(peer.ID, peer.Start.Nonce), Addr: peer.Addr.Addr().AsSlice(), Port: peer.Addr.Port(),
	}
	sent := make(chan error, 1)
	begun := m.background(func() {
		defer func() { <-m.sends }()
		sent <- gossip.SendReliable(node, msg)
	})
	if !begun {
		<-m.sends
		return ErrStopped
	}
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("membership: sending to %q: %w", to, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("membership: sending to %q: %w", to, ctx.Err())
	}
}

// deliver takes a message that arrived. It never waits: memberlist calls it.
func (m *Membership) deliver(msg directMessage) {
	if msg.to != m.announcer.get().Start.Nonce {
		return // meant for an earlier process at this address
	}
	select {
	case m.inbox <- Message{From: msg.from, Start: msg.start, Payload: msg.payload}:
	default:
		m.dropped.Add(1) // who needs an answer asks again
	}
}
