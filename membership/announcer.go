package membership

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// announcer holds what this member says of itself and tells gossip of changes.
// memberlist reads the metadata and takes an incarnation number in two steps,
// so that of two changes at once the older could win: a turn serializes them.
type announcer struct {
	turn   chan struct{} // holds one token while the turn is free
	gossip *memberlist.Memberlist
	self   atomic.Pointer[announcement]
}

type announcement struct {
	member Member
	meta   []byte
}

func newAnnouncer(self Member) (*announcer, error) {
	a := &announcer{turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	return a, a.set(self)
}

// get returns what is announced.
func (a *announcer) get() Member { return a.self.Load().member }

// meta returns it encoded.
func (a *announcer) meta() []byte { return a.self.Load().meta }

func (a *announcer) set(m Member) error {
	if err := checkMetaSize(m); err != nil {
		return err
	}
	meta, err := encodeMeta(m)
	if err != nil {
		return err
	}
	a.self.Store(&announcement{member: m, meta: meta})
	return nil
}

// take waits for the turn. When that is free it does not ask the context, so that a
// member that stops without time to wait still announces it.
func (a *announcer) take(ctx context.Context) error {
	select {
	case <-a.turn:
		return nil
	default:
	}
	select {
	case <-a.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *announcer) release() { a.turn <- struct{}{} }

// attach makes changes from now on reach gossip.
func (a *announcer) attach(gossip *memberlist.Memberlist) {
	<-a.turn
	defer a.release()
	a.gossip = gossip
}

// detach runs last with gossip, if it is attached, after which changes do not
// reach it any more.
func (a *announcer) detach(last func(*memberlist.Memberlist)) {
	<-a.turn
	defer a.release()
	if a.gossip != nil && last != nil {
		last(a.gossip)
	}
	a.gossip = nil
}

// change edits what is announced. The new announcement is in force when it
// returns, and goes out with gossip.
func (a *announcer) change(ctx context.Context, edit func(*Member)) error {
	if err := a.take(ctx); err != nil {
		return err
	}
	defer a.release()
	m := a.get()
	edit(&m)
	if equalMembers(m, a.get()) {
		return nil
	}
	if err := a.set(m); err != nil {
		return err
	}
	if a.gossip != nil {
		// It waits, if allowed to, until the message has been sent to
		// enough members. Only wait below needs that.
		_ = a.gossip.UpdateNode(time.Nanosecond)
	}
	return nil
}

// wait announces once more and returns when that has gone out, the limit has
// passed or the context ends.
func (a *announcer) wait(ctx context.Context, limit time.Duration) {
	if a.take(ctx) != nil {
		return
	}
	defer a.release()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if a.gossip != nil && limit > 0 {
		_ = a.gossip.UpdateNode(limit) // its only error is that the limit passed
	}
}
