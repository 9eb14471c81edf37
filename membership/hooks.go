package membership

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// hooks has the methods that memberlist calls. memberlist holds its lock during some of the calls.
// The methods therefore copy the values that they need, never wait, and never call memberlist.
type hooks struct{ m *Membership }

// NotifyAlive decides whether memberlist accepts a message about a member.
func (h *hooks) NotifyAlive(n *memberlist.Node) error {
	if n.Name == h.m.name {
		return nil // this member accepts itself, whatever address it announces
	}
	err := checkVersions(n)
	var member Member
	if err == nil {
		member, err = h.m.admission.admit(n)
	}
	if err == nil {
		err = h.m.admitStart(n.Name, member, n.DMax >= probeVersion)
	}
	if err != nil && !errors.Is(err, errUnproven) {
		h.refuse(err)
	}
	return err
}

// refuse records that this member refuses another one.
func (h *hooks) refuse(err error) {
	h.m.refusals.add(err)
	h.m.counts.refused.Add(1)
	differs, ok := errors.AsType[*ConfigurationError](err)
	if ok && h.m.registry.isLost(differs.NodeID) {
		h.m.troubles.set(troubleRefused, differs.NodeID, err.Error(), err.Error(), configurationMemory)
	}
	now := h.m.settings.now()
	if ok, held := h.m.lines.repeats.say(err.Error(), now); ok && h.m.lines.refusals.Take(1, now) {
		h.m.log.With(attributes("", held)...).Warn("refusing a member", "error", err)
	}
}

// NotifyJoin and NotifyUpdate record the values that a member announces.
func (h *hooks) NotifyJoin(n *memberlist.Node)   { h.seen(n) }
func (h *hooks) NotifyUpdate(n *memberlist.Node) { h.seen(n) }

func (h *hooks) seen(n *memberlist.Node) {
	if h.m.instance.closed.Load() {
		return
	}
	addr, err := gossipAddr(n.Addr, n.Port)
	if err != nil {
		h.m.log.Warn("ignoring a member", "name", n.Name, "error", err)
		return
	}
	member, err := decodeMeta(n.Name, addr, n.Meta)
	if err != nil {
		h.m.log.Warn("ignoring a member", "name", n.Name, "error", err)
		return
	}
	h.m.reach.seen(n)
	h.m.registry.set(n.Name, member)
	if n.Name != h.m.name {
		h.m.tethers.seen(n, member)
	}
}

// NotifyLeave records that a member is gone.
func (h *hooks) NotifyLeave(n *memberlist.Node) {
	if !h.m.instance.closed.Load() {
		member, _ := h.m.registry.named(n.Name)
		h.m.tethers.push(tether.Lost{Name: n.Name, Failed: member.State != Leaving && member.State != Away})
		h.m.newcomers.fail(n.Name, h.m.settings.now())
		h.m.registry.remove(n.Name)
		h.m.registry.wasSilent(n.Name, h.m.suspicions.silent(n.Name))
		h.m.reach.gone(n.Name)
		h.m.suspicions.gone(n.Name)
	}
}

// NodeMeta returns the values that this member announces, encoded.
func (h *hooks) NodeMeta(int) []byte { return h.m.announcer.meta() }

// GetBroadcasts adds a message about agreement to packets that memberlist sends anyway.
func (h *hooks) GetBroadcasts(overhead, limit int) [][]byte {
	if b := h.m.agreement.payload(limit - overhead - 1); b != nil {
		return [][]byte{b}
	}
	return nil
}

// NotifyMsg processes the messages of this library. It drops malformed messages and messages of
// other versions. That is safe: a sender repeats every message that must arrive.
func (h *hooks) NotifyMsg(b []byte) {
	if h.m.instance.closed.Load() {
		return
	}
	h.m.heardFrom()
	switch msg, _ := parseMessage(b); msg := msg.(type) {
	case agreementMessage:
		h.m.agreement.merge(msg)
	case directMessage:
		h.m.deliver(msg)
	case reachMessage:
		h.m.heardReach(msg)
	case probeMessage:
		h.m.heardProbe(msg)
	case digestMessage:
		if msg.kind == kindDigest {
			return
		}
		select {
		case h.m.tail.asks <- msg:
		default: // the sender asks again
		}
	}
}

// NotifyMerge takes from an exchange of all members those that the other member believes dead, and
// whether it knows this one. It refuses no exchange.
func (h *hooks) NotifyMerge(nodes []*memberlist.Node) error {
	h.m.touched()
	for _, n := range nodes {
		if n.Name == h.m.name {
			h.m.reach.isListed(h.m.settings.now())
			continue
		}
		if _, alive := h.m.registry.named(n.Name); alive && n.State == memberlist.StateDead {
			h.m.tethers.push(tether.Reported{Name: n.Name})
		}
	}
	return nil
}

// LocalState returns the records of absences, which memberlist adds to an exchange of all members.
// The result is never empty: memberlist does not call MergeRemoteState for an empty one.
func (h *hooks) LocalState(bool) []byte { return encodeAbsences(h.m.registry.absenceRecords()) }

// MergeRemoteState processes the records that the other member added to an exchange of all
// members. memberlist has merged the members of the exchange by then.
func (h *hooks) MergeRemoteState(b []byte, _ bool) {
	h.m.tail.lastSync.Store(h.m.settings.now().UnixNano())
	h.m.counts.exchanges.Add(1)
	if h.m.instance.closed.Load() {
		return
	}
	all, err := parseAbsences(b)
	if err != nil {
		h.refuse(fmt.Errorf("membership: ignoring what another member says about members that are away: %w", err))
		return
	}
	records := make([]absenceRecord, 0, len(all))
	for _, raw := range all {
		record, err := h.m.admission.admitAbsence(raw)
		if err != nil {
			h.m.counts.refused.Add(1)
			continue
		}
		records = append(records, record)
	}
	h.m.registry.learn(records, h.m.newcomers.joined.Load())
}

// AckPayload puts this member's digest into the answer to a probe.
func (h *hooks) AckPayload() []byte {
	h.m.heardFrom()
	own, _ := h.m.agreement.own()
	return digestMessage{kind: kindDigest, digest: own}.append(make([]byte, 0, digestSize))
}

// NotifyPingComplete compares the digest of this member with the digest of a member that answered
// a probe.
func (h *hooks) NotifyPingComplete(n *memberlist.Node, _ time.Duration, payload []byte) {
	if h.m.instance.closed.Load() {
		return
	}
	h.m.isolation.heardAt.Store(h.m.settings.now().UnixNano())
	h.m.heardFrom()
	msg, _ := parseMessage(payload)
	theirs, ok := msg.(digestMessage)
	if !ok || theirs.digest == (digest{}) {
		return
	}
	if id, _, err := splitName(n.Name); err == nil {
		h.m.compare(id, net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port))), theirs.digest)
	}
}
