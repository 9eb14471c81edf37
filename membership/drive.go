package membership

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// driver has the methods of a [Membership] that only package cluster calls. All methods are safe
// for concurrent use.
type driver struct{ m *Membership }

// Drive returns the methods of a membership that package cluster needs beyond the exported ones:
// events, agreement and messages. Drive is for package cluster alone. It is not part of the API:
// the methods change without notice. A call of Drive allocates nothing, so callers need not keep
// the result.
func Drive(m *Membership) driver { return driver{m} } //nolint:revive // cluster needs the methods, users must not name the type

// Wake returns a channel that receives a value when something may have changed: TakeEvents may
// have events, Isolated or Unreached may return another result, or a member in Agreement no longer
// differs. Only one consumer may read from the channel.
func (d driver) Wake() <-chan struct{} { return d.m.registry.events.wake }

// TakeEvents returns the events since the last call, in order. Up to 8192 events wait. When more
// occur, the events of each member are folded into one.
func (d driver) TakeEvents() []event { return d.m.registry.events.take() }

// Rivals returns the other starts of this NodeID that are believed alive, newest first. A start
// that is newer than Local().Start is the member of the NodeID in place of this one. An older
// start may be a process that has crashed before gossip noticed the crash.
func (d driver) Rivals() []Member { return d.m.registry.rivals(d.m.settings.NodeID) }

// Isolated reports whether most of the members believed alive do not answer. It is then more
// likely that this member is cut off than that all of them have failed.
func (d driver) Isolated() bool { return d.m.isolation.on.Load() }

// Suspected returns how many members are suspected now: by this member, or by others as far as
// gossip says so. More of them may fail soon. A member that outlived a suspicion within the last
// two minutes is not counted, so that one bad member is not suspected for ever.
func (d driver) Suspected() int { return d.m.suspicions.count() }

// LastSync returns when this member last exchanged the list of all members with another member, by
// the clock of this process. The zero time means never.
func (d driver) LastSync() time.Time {
	if at := d.m.tail.lastSync.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// SetState announces another lifecycle state, between Joining and Observer; any other state is an
// error. The state takes effect at once and reaches the other members with gossip. Before Start,
// SetState sets the state that is announced first. SetState has no effect on a member that is
// Leaving, nor after Depart, nor after Stop has announced the leave. It returns the context's
// error when the context ends while an earlier change is under way.
func (d driver) SetState(ctx context.Context, s State) error {
	if s < Joining || s > Observer {
		return fmt.Errorf("membership: cannot announce %v", s)
	}
	return d.m.announcer.change(ctx, func(self *Member) {
		if self.State != Leaving && !d.m.parting.announced.Load() {
			self.State = s
			self.Bare = s == Leaving && d.m.parting.isBare()
		}
	})
}

// HoldsNothing says which function reports that this member holds no data. It is called when the member
// announces that it leaves, also where a Start that is cut short announces that, and must not call the
// membership. Without it no member is bare.
func (d driver) HoldsNothing(report func() bool) { d.m.parting.bare.Store(&report) }

// Rejoin announces state s for a member that is Draining or Leaving and stays in the cluster after
// all. It has no effect on a member in another state. A dataStart other than zero becomes the
// Renewal of the member, and its Origin becomes zero. Rejoin returns [ErrStopped] after Depart,
// and after Stop has announced the leave. It returns the context's error when the context ends
// while an earlier change is under way.
func (d driver) Rejoin(ctx context.Context, s State, dataStart uint64) error {
	parting := false
	err := d.m.announcer.change(ctx, func(self *Member) {
		if parting = d.m.parting.announced.Load(); parting || self.State != Draining && self.State != Leaving {
			return
		}
		if self.State, self.Bare = s, false; dataStart != 0 {
			self.Origin, self.Renewal = 0, dataStart
		}
	})
	if parting {
		return ErrStopped
	}
	return err
}

// Depart announces that this member is about to leave. The announcement depends on the member:
//
//   - Away, when the member is Active and has a RestartGrace.
//   - Nothing, when the member is Joining and an earlier start of its NodeID is Away.
//   - Leaving otherwise.
//
// Stop does the same when there are other members, unless Depart was called before. Depart returns
// the context's error when the context ends while an earlier change is under way.
func (d driver) Depart(ctx context.Context) error {
	_, err := d.m.depart(ctx)
	return err
}

// Return announces that this member is Active, when it is Joining and an earlier start of its
// NodeID is Away. This member then takes the place of that start. Return reports whether it
// announced that.
func (d driver) Return(ctx context.Context) bool {
	keeper, kept := d.m.registry.away(d.m.settings.NodeID)
	if !kept {
		return false
	}
	returned := false
	err := d.m.announcer.change(ctx, func(self *Member) {
		if self.State != Joining || d.m.parting.announced.Load() {
			return
		}
		returned, self.State = true, Active
		if keeper.Start.Compare(self.Start) > 0 {
			self.Start.Number = keeper.Start.Number + 1
		}
	})
	return returned && err == nil
}

// Publish tells the other members which view this member holds, and begins to collect which of
// them hold the same view. Publish keeps the slices, and the caller must not modify them.
//
// The fingerprint is opaque: members agree when their fingerprints are equal. It must cover the
// IDs of the members, so that equal fingerprints mean equal lists of IDs. The configuration is the
// name of the configuration that the view was derived with. When fingerprints differ, members
// compare it to learn whether the configuration is the reason. The list members holds the members
// of the view, ascending by ID. The list participants holds the members of the view that can hold
// the view, ascending by ID. Nil means all members.
func (d driver) Publish(fingerprint uint64, configuration string, members, participants []Member) {
	d.m.publish(view{fingerprint, configuration, members, participants})
}

// Agreement returns whether all participants hold the published view, and the participants that
// differ.
func (d driver) Agreement() agreed { return d.m.agreement.state() }

// Agreed returns a channel that is closed once every participant of the published view has held
// that view. When Publish replaces the view before that, the channel is closed once every
// participant has held the new view.
func (d driver) Agreed() <-chan struct{} { return d.m.agreement.done() }

// Messages returns the channel of the messages that other members sent to this start of this
// member. Only one consumer may read from the channel. Up to 1024 messages wait. Further messages
// are dropped and counted in [Stats]. The channel is never closed.
func (d driver) Messages() <-chan message { return d.m.direct.inbox }

// Send sends a message of at most 64 KiB to the newest start of a member, over a stream of its
// own. It returns when the network has taken the message. That does not show that the message
// arrives: a sender that must know needs an answer. A message arrives at most once, and only at
// the start for which it was meant. At most 32 messages are under way at a time. Further calls
// wait.
//
// Send returns an error in these cases:
//
//   - The member is not believed alive, the message is too long, or the membership does not run.
//   - The network fails.
//   - The context ends. The message may still be sent.
//   - Sending takes longer than 1 second, 3 seconds with profile WAN, 0.5 seconds with Local. The
//     message may still be sent.
func (d driver) Send(ctx context.Context, to string, payload []byte) error {
	return d.m.send(ctx, to, payload)
}

// Troubles returns the problems of gossip that exist now, ascending by kind and subject.
// Membership logs each of them itself.
func (d driver) Troubles() []trouble {
	if d.m.registry.countOthers() > 0 {
		d.m.troubles.clear(troubleNoSeed, "")
	}
	return d.m.troubles.list()
}

// First reports whether this member has reason to be the first one of a cluster: Discovery has no
// address but that of this member, and its answer cannot change.
func (d driver) First() bool { return d.m.searches.first.Load() }

// TroubleKinds returns all kinds of troubles that there may be.
func (d driver) TroubleKinds() []string { return troubleKinds[:] }

// Unreached returns an error when no other member reaches this one at the address that it
// announces. The error says why. Unreached returns nil when another member does, and while that is
// not known.
func (d driver) Unreached() error {
	_, err := d.m.reach.state()
	return err
}

// DeclaredDead returns an error while this member must not own because others declared it dead. The
// error says for how long.
func (d driver) DeclaredDead() error { return d.m.deaths.state() }

// LastRefuted returns when this member last refuted that it is dead or suspected, as it does when others
// do not reach it. The zero time means never.
func (d driver) LastRefuted() time.Time { return d.m.deaths.lastRefuted() }

// OwnAgain ends that, for a member without which no member would own.
func (d driver) OwnAgain() { d.m.ownAgain() }

// Retreat announces that this member is an Observer, when it is Joining or Active. It reports
// whether it announced that.
func (d driver) Retreat(ctx context.Context) bool {
	done := d.step(ctx, Observer, Joining, Active)
	if done {
		d.m.spread()
	}
	return done
}

// Advance announces that this member is Joining, when it is an Observer. It reports whether it
// announced that.
func (d driver) Advance(ctx context.Context) bool { return d.step(ctx, Joining, Observer) }

// step announces the state to, when this member is in one of the states from. It reports whether
// it announced that.
func (d driver) step(ctx context.Context, to State, from ...State) (done bool) {
	err := d.m.announcer.change(ctx, func(self *Member) {
		if done = slices.Contains(from, self.State) && !d.m.parting.announced.Load(); done {
			self.State = to
		}
	})
	return done && err == nil
}

// Forget records a member that was lost as one that has left. The next exchanges of members carry
// that record to the other members, and no member looks for the lost one any more. When it comes
// back, the members accept it. Forget reports whether a lost member has this ID.
func (d driver) Forget(id string) bool { return d.m.registry.forgetLost(id) }

// Lost returns the members that have failed and have not come back, and since when. They are in no
// order. It does not block.
func (d driver) Lost() iter.Seq2[Member, time.Time] {
	lost := d.m.registry.lostMembers()
	return func(yield func(Member, time.Time) bool) {
		for _, l := range lost {
			if !yield(l.member, l.at) {
				return
			}
		}
	}
}

// Doubt says that a member refused a connection for another purpose. The members that hold tethers
// to it then look at once whether its process runs. Doubt never blocks.
func (d driver) Doubt(id string) { d.m.doubt(id) }

// Key reports whether a gossip key is installed, and whether this member encrypts with it.
func (d driver) Key(key []byte) (installed, used bool) { return d.m.keys.has(key) }

// Stats returns the current counts. It does not block.
func (d driver) Stats() Stats { return d.m.stats() }
