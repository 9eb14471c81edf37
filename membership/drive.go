package membership

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// driver is what package cluster does with a [Membership] beyond its exported methods.
// All methods are safe for concurrent use.
type driver struct{ m *Membership }

// Drive returns what package cluster needs to drive a membership: its events, its
// agreement and its messages. It is for that package alone and no part of the API: what
// it returns changes without notice. It costs nothing and may be called each time.
func Drive(m *Membership) driver { return driver{m} } //nolint:revive // cluster needs the methods, users must not name the type

// Wake returns a channel that receives when there may be news: events to take, or
// another answer of Isolated. It is meant for one consumer.
func (d driver) Wake() <-chan struct{} { return d.m.registry.events.wake }

// TakeEvents returns the events since the last call, in order. When they are not taken
// for long, the events of one member are folded into one.
func (d driver) TakeEvents() []event { return d.m.registry.events.take() }

// Rivals returns the other starts of this NodeID that are believed alive, newest first.
// A start that is newer than Local().Start speaks for the NodeID instead of this one. An
// older one may be a process that crashed, which is not noticed yet.
func (d driver) Rivals() []Member { return d.m.registry.rivals(d.m.settings.NodeID) }

// Isolated reports whether most of the members believed alive do not answer, so that
// rather this member is cut off than they are.
func (d driver) Isolated() bool { return d.m.isolated.Load() }

// LastSync returns when all members were last exchanged with another member, by this
// process's clock. The zero time means never.
func (d driver) LastSync() time.Time {
	if at := d.m.lastSync.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// SetState announces another state of life. It takes effect at once and reaches the
// others with gossip. Before Start it changes what is announced first. A member that is
// Leaving stays so: after that, and after Depart or Stop, SetState has no effect. It returns the
// context's error when an earlier change takes that long.
func (d driver) SetState(ctx context.Context, s State) error {
	if s < Joining || s > Observer {
		return fmt.Errorf("membership: cannot announce %v", s)
	}
	return d.m.announcer.change(ctx, func(self *Member) {
		if self.State != Leaving && !d.m.parting.Load() {
			self.State = s
		}
	})
}

// Rejoin announces a state of a member that is Draining or Leaving and stays after all. A data start
// that is not zero takes the place of what its data went back to. It returns [ErrStopped] after Depart
// or Stop, or the context's error when an earlier change takes that long.
func (d driver) Rejoin(ctx context.Context, s State, dataStart uint64) error {
	parting := false
	err := d.m.announcer.change(ctx, func(self *Member) {
		if parting = d.m.parting.Load(); parting || self.State != Draining && self.State != Leaving {
			return
		}
		if self.State = s; dataStart != 0 {
			self.Origin, self.Renewal = 0, dataStart
		}
	})
	if parting {
		return ErrStopped
	}
	return err
}

// Depart announces that this member is about to leave: that it is Away when it is Active and has a
// RestartGrace, and Leaving otherwise. A member that is Joining while an earlier start of its
// NodeID is away announces nothing. Stop does the same, unless Depart was called before. It
// returns the context's error when an earlier change takes that long.
func (d driver) Depart(ctx context.Context) error {
	_, err := d.m.depart(ctx)
	return err
}

// Return announces that this member is active when it is Joining and an earlier start of its
// NodeID is away: it takes the place of that start. It reports whether it did.
func (d driver) Return(ctx context.Context) bool {
	keeper, kept := d.m.registry.away(d.m.settings.NodeID)
	if !kept {
		return false
	}
	returned := false
	err := d.m.announcer.change(ctx, func(self *Member) {
		if self.State != Joining || d.m.parting.Load() {
			return
		}
		returned, self.State = true, Active
		if keeper.Start.Compare(self.Start) > 0 {
			self.Start.Number = keeper.Start.Number + 1
		}
	})
	return returned && err == nil
}

// Publish tells the others which view this member holds, and begins to collect which of
// them hold it too. The slices are kept and must not be modified.
//
// The fingerprint is opaque: members agree when theirs are equal. It must cover which
// members there are, so that equal fingerprints mean equal lists of IDs. The configuration
// names what the view was derived with, so that members that differ can tell whether
// that is the reason. The members are those of the view, ascending by ID. The
// participants are those of them that can hold the view, ascending by ID; nil means all.
func (d driver) Publish(fingerprint uint64, configuration string, members, participants []Member) {
	d.m.publish(view{fingerprint, configuration, members, participants})
}

// Agreement returns how far the published view is that of all participants.
func (d driver) Agreement() agreed { return d.m.agreement.state() }

// Agreed returns a channel that is closed once every participant of the view has held
// it. When another view is published before that, the channel is closed once that one is
// held.
func (d driver) Agreed() <-chan struct{} { return d.m.agreement.done() }

// Messages returns the channel of the messages that others sent to this start of this
// member. It is meant for one consumer. Up to 1024 messages wait; further ones are
// dropped, and counted in [Stats]. The channel is never closed.
func (d driver) Messages() <-chan message { return d.m.inbox }

// Send sends a message of at most 64 KiB to the newest start of a member, over a stream
// of its own. It returns when the message has been handed to the network, which says
// nothing about its arrival: a sender that must know needs an answer. A message arrives
// at most once, and only at the start it was meant for. At most 32 are on their way at a
// time; further calls wait.
//
// It returns an error when the member is not believed alive, the message is too long or
// the membership does not run; an error of the network; the context's error when that
// ends first; or an error after the time of a message: a second, three with profile WAN,
// half a second with Local. In the last two cases the message may still go out.
func (d driver) Send(ctx context.Context, to string, payload []byte) error {
	return d.m.send(ctx, to, payload)
}

// Troubles returns what is wrong with gossip now, ascending by kind and subject. Membership has
// logged each of them.
func (d driver) Troubles() []trouble {
	if len(d.m.registry.others()) > 0 {
		d.m.troubles.clear(troubleNoSeed, "")
	}
	return d.m.troubles.list()
}

// Unreached returns why no other member reaches this one at the address that it announces, nil when
// one does, or that is not known.
func (d driver) Unreached() error {
	_, err := d.m.reach.state()
	return err
}

// Retreat announces that a member that is Joining or Active is an Observer. It reports whether it did.
func (d driver) Retreat(ctx context.Context) bool { return d.step(ctx, Observer, Joining, Active) }

// Advance announces that a member that is an Observer is Joining. It reports whether it did.
func (d driver) Advance(ctx context.Context) bool { return d.step(ctx, Joining, Observer) }

// step announces a state of a member that is in one of some others.
func (d driver) step(ctx context.Context, to State, from ...State) (done bool) {
	err := d.m.announcer.change(ctx, func(self *Member) {
		if done = slices.Contains(from, self.State) && !d.m.parting.Load(); done {
			self.State = to
		}
	})
	return done && err == nil
}

// Forget makes a member that was lost one that has left, here and with the next exchanges of
// members everywhere: no member looks for it any more. When it comes back, it is let in. Forget
// reports whether there was such a member.
func (d driver) Forget(id string) bool { return d.m.registry.forgetLost(id) }

// Stats returns the counts of now. It does not block.
func (d driver) Stats() Stats { return d.m.stats() }
