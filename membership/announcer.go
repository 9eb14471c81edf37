package membership

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// announcer holds this member's announced values and passes changes to gossip. memberlist reads
// the metadata and takes an incarnation number in two steps. If two changes ran at the same
// time, the older metadata could win. Therefore changes take turns.
type announcer struct {
	turn    turn
	gossip  *memberlist.Memberlist
	version string // announced where it fits
	self    atomic.Pointer[announcement]
}

// turn is a lock that can be waited for as long as a context lasts. It holds one value while it is free.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t.release()
	return t
}

// take waits for the turn. When the turn is free, take ignores the context, so that a
// member that stops without time to wait still announces that.
func (t turn) take(ctx context.Context) error {
	select {
	case <-t:
		return nil
	default:
	}
	select {
	case <-t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) release() { t <- struct{}{} }

type announcement struct {
	member Member
	meta   []byte
}

func newAnnouncer(self Member) (*announcer, error) {
	a := &announcer{turn: newTurn(), version: self.Version}
	return a, a.set(withVersion(self, a.version))
}

// get returns the announced member.
func (a *announcer) get() Member { return a.self.Load().member }

// meta returns the announced member, encoded.
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

// attach passes changes to gossip from now on.
func (a *announcer) attach(gossip *memberlist.Memberlist) {
	<-a.turn
	defer a.turn.release()
	a.gossip = gossip
}

// detach calls last with the attached gossip, if any. Afterwards the announcer passes no changes
// to gossip.
func (a *announcer) detach(last func(*memberlist.Memberlist)) {
	<-a.turn
	defer a.turn.release()
	if a.gossip != nil && last != nil {
		last(a.gossip)
	}
	a.gossip = nil
}

// change edits the announced values. They are in effect when change returns. Gossip then sends
// them.
func (a *announcer) change(ctx context.Context, edit func(*Member)) error {
	return a.changeWhen(ctx, edit, func() bool { return true })
}

// changeWhen is change. Gossip sends the values now when the function says so, and otherwise with the next change, or when
// wait is called.
func (a *announcer) changeWhen(ctx context.Context, edit func(*Member), now func() bool) error {
	if err := a.turn.take(ctx); err != nil {
		return err
	}
	defer a.turn.release()
	m := a.get()
	edit(&m)
	m = withVersion(m, a.version)
	if equalMembers(m, a.get()) {
		return nil
	}
	if err := a.set(m); err != nil {
		return err
	}
	if a.gossip != nil && now() {
		// UpdateNode can wait until the message has been sent to enough members. Only
		// wait below needs that.
		_ = a.gossip.UpdateNode(time.Nanosecond)
	}
	return nil
}

// wait announces the values once more. It returns when the announcement has been sent, the limit
// has passed or the context ends.
func (a *announcer) wait(ctx context.Context, limit time.Duration) {
	if a.turn.take(ctx) != nil {
		return
	}
	defer a.turn.release()
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	if a.gossip != nil && limit > 0 {
		_ = a.gossip.UpdateNode(limit) // UpdateNode fails only when the limit has passed
	}
}
