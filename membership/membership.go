package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/internal/packetstream"
	"github.com/clusterkit/clusterkit/membership/lifecycle"
)

// ErrStopped says that the membership was stopped. A stopped membership cannot be started again.
var ErrStopped = errors.New("membership: stopped")

// Membership is this process as a member of a cluster. [New] makes one. All methods are safe for
// concurrent use and in any order.
type Membership struct {
	settings settings
	log      *slog.Logger
	name     string // the gossip name: NodeID and nonce

	registry      *registry
	agreement     *agreement
	admission     *admission
	newcomers     *newcomers
	announcer     *announcer
	refusals      refusals
	troubles      troubles
	reach         reach
	pairs         pairs
	deaths        deaths
	suspicions    suspicions
	tethers       tethers
	lines         lines
	undecryptable undecryptable
	searches      searches
	known         known // addresses that the file remembers
	keys          *keyring
	updates       updates
	tail          tail
	direct        direct
	counts        counts
	isolation     isolation
	parting       parting
	life          lifecycle.Life
	instance      instance
}

// parting is what this member says of itself when it leaves.
type parting struct {
	announced atomic.Bool                 // this member has announced that it is about to leave
	bare      atomic.Pointer[func() bool] // see driver.HoldsNothing
}

// isBare reports whether this member holds no data.
func (p *parting) isBare() bool {
	nothing := p.bare.Load()
	return nothing != nil && (*nothing)()
}

// lines bounds the lines of the log that are not about a trouble.
type lines struct {
	repeats repeats
	// refusals bounds the lines about members that this one refuses. Any process can announce
	// members with different errors.
	refusals guard.Bucket
}

// undecryptable holds the senders of packets that cannot be decrypted.
type undecryptable struct {
	senders chan netip.AddrPort
	dialled repeats // lately, to learn why
}

// direct holds the messages to and from one other member that are under way.
type direct struct {
	inbox chan message
	sends chan struct{} // holds one token for each message
}

// counts are counts since the start, and what has more of them.
type counts struct {
	dropped   atomic.Uint64 // messages dropped because the inbox was full
	exchanges atomic.Uint64
	refused   atomic.Uint64                          // announcements that this member did not accept
	guard     atomic.Pointer[guard.Guard]            // the guard of the only start
	streams   atomic.Pointer[packetstream.Transport] // the packet streams of the only start; nil without TCPOnly
}

// New checks the options and returns a membership that is not running. It opens no address. The
// error wraps the error of [Options.Validate].
func New(o Options) (*Membership, error) {
	s, err := o.parse()
	if err != nil {
		return nil, fmt.Errorf("membership: invalid options: %w", err)
	}
	self := s.member()
	self.Started = memberTime(s.now().Unix())
	self.Start = Start{Number: uint64(max(s.now().UnixMilli(), 1)), Nonce: unguessable()}
	m := &Membership{
		settings:      s,
		log:           s.Logger,
		name:          gossipName(s.NodeID, self.Start.Nonce),
		agreement:     newAgreement(s.NodeID, self.Start.Nonce, s.now),
		admission:     newAdmission(s.PartitionCount, s.Configurations),
		newcomers:     newNewcomers(len(s.Gossip.Keys) > 0),
		tail:          tail{asks: make(chan digestMessage, 64), syncs: newSyncer(s.timings, s.now)},
		direct:        direct{inbox: make(chan message, maxInbox), sends: make(chan struct{}, maxSends)},
		reach:         newReach(),
		deaths:        deaths{refuted: make(chan struct{}, 1)},
		suspicions:    newSuspicions(suspicionProbes*s.timings.probeInterval, s.now),
		tethers:       newTethers(s),
		searches:      searches{attempts: make(chan struct{}, maxAttempts*maxSearches)},
		pairs:         pairs{doubts: make(chan string, 16), all: make(map[string]*pair)},
		undecryptable: undecryptable{senders: make(chan netip.AddrPort, 16)},
		life:          lifecycle.Life{Name: "membership", Ended: ErrStopped},
	}
	m.registry, m.admission.now, m.admission.born = newRegistry(m.name, s.now), s.now, s.now()
	m.troubles.log, m.troubles.now = s.Logger, s.now
	m.updates.turn = newTurn()
	m.updates.sent.Rate, m.updates.sent.Burst = 1/updatePause.Seconds(), updateBurst
	m.lines.refusals.Rate, m.lines.refusals.Burst = 1.0/3, 20
	m.lines.repeats.every, m.undecryptable.dialled.every = time.Hour, refusalMemory/2
	m.agreement.mended = m.registry.events.poke
	if m.announcer, err = newAnnouncer(self); err != nil {
		return nil, err
	}
	if m.keys, err = newKeyring(s.Gossip.Keys); err != nil {
		return nil, err
	}
	m.settings.Gossip.Keys = nil // so that the keys are never printed
	return m, nil
}

// Start binds the gossip address and joins the cluster. It blocks. It returns nil in two cases:
//
//   - This member has joined, and its list of members has settled.
//   - This member is alone. Start returns at once when Discovery is [Static] without names to look
//     up, and has no address but that of this member. Otherwise Start returns when no other member
//     has been found within BootstrapTimeout. This member then looks for a cluster in the
//     background for as long as it runs.
//
// A member that has joined asks other members to reach it at the address that it announces. When
// none of them does, Start returns an error that names the address and the members that were
// asked.
//
// Start returns other errors in these cases:
//
//   - A [RefusedError] or [ConfigurationError] when the cluster refuses this member.
//   - The context's error when the context ends first.
//   - [ErrStopped] after Stop.
//   - An error of the network.
//
// After an error nothing is left running. What cannot be released within a second after the end of
// the context is released in the background, and Stop waits for it. A membership starts once. Further calls of Start wait
// for the first one to end, and return its error. They return early when their own context ends.
func (m *Membership) Start(ctx context.Context) error { return m.life.Start(ctx, m.start) }

func (m *Membership) start(ctx context.Context) error {
	m.recallFile()
	err := m.open()
	if err == nil {
		err = m.bootstrap(ctx)
		m.reach.want()
		if err == nil {
			err = m.settle(ctx)
		}
		if err == nil {
			err = m.awaitReach(ctx)
		}
		if ctx.Err() != nil {
			if err == nil || !errors.Is(err, context.Cause(ctx)) {
				err = context.Cause(ctx)
			}
			err = fmt.Errorf("membership: starting: %w", err)
		}
		m.newcomers.joined.Store(true)
	}
	if err != nil {
		m.abandon(ctx)
	}
	return err
}

// abandon undoes a start that failed. It tells the members that have accepted this one that this
// one leaves. It waits for that only a moment: the caller of Start may have no more time. memberlist
// may be busy with messages of other processes. So abandon returns a second after the end of the
// context at the latest, and Stop waits for the rest.
func (m *Membership) abandon(ctx context.Context) {
	m.life.Undo(ctx, func() {
		m.leave(context.WithoutCancel(ctx), m.settings.timings.leaveWait/4)
		m.shutdown()
	})
}

// Stop leaves the cluster and releases everything. It takes these steps:
//
//   - It announces that this member is Leaving, or Away when it is Active and has a RestartGrace.
//   - It waits until the announcement has been sent to other members.
//   - It leaves, and closes the address.
//
// When the context ends first, Stop takes the steps without waiting. It then gives the address one
// second to be free, and returns the context's error. Stop may be called any number of times, also
// before or during Start. Every call returns nil when everything is released in time. A stopped
// membership cannot be started again.
func (m *Membership) Stop(ctx context.Context) error {
	err := m.life.Stop(ctx, func(ctx context.Context, _ bool) {
		if _, _, ok := m.live(); ok {
			m.leave(ctx, m.settings.timings.leaveWait)
			m.shutdown()
		}
	})
	if err != nil {
		m.life.Linger()
	}
	return err
}

// depart announces that this member is about to leave, for good or for a restart. After that the
// member announces no other state. depart reports whether this call was the first one.
func (m *Membership) depart(ctx context.Context) (changed bool, err error) {
	_, kept := m.registry.away(m.settings.NodeID)
	err = m.announcer.change(ctx, func(self *Member) {
		changed = !m.parting.announced.Swap(true)
		switch {
		case !changed:
		case self.State == Active && m.settings.RestartGrace > 0:
			self.State, self.Grace = Away, m.settings.RestartGrace
		case self.State == Joining && kept: // the earlier start stays Away
		case self.State != Leaving:
			self.State, self.Bare = Leaving, m.parting.isBare()
		}
	})
	return changed, err
}

// leave tells the other members that this member is about to leave, and then that it has left. It
// waits until each of the two messages has been sent.
func (m *Membership) leave(ctx context.Context, wait time.Duration) {
	if m.registry.countOthers() == 0 {
		return
	}
	// memberlist drops an announcement that has not been sent when it announces the leave. Without
	// the announcement the other members would count a member that is Away as failed.
	changed, err := m.depart(ctx)
	if changed && err == nil || m.announcer.get().State == Away && !m.agreement.confirmed(Away) {
		m.announcer.wait(ctx, wait)
	}
	m.announcer.detach(func(gossip *memberlist.Memberlist) {
		if deadline, ok := ctx.Deadline(); ok {
			wait = max(min(wait, time.Until(deadline)), time.Nanosecond)
		}
		if ctx.Err() != nil {
			wait = time.Nanosecond
		}
		if err := gossip.Leave(wait); err != nil {
			m.log.Debug("leaving before the announcement was confirmed", "error", err)
		}
	})
}
