package cluster

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// view is one picture of the cluster: the members and what follows from them.
// It is immutable once published.
type view struct {
	version       uint64
	basis         uint64 // the version of the member list it was made from
	members       []membership.Member
	configuration string     // the one in use; empty when there are no owners
	ring          *ring.Ring // serving, with its target; never nil
	fingerprint   ring.Fingerprint
	spread        ring.Spread
	holding       holding // of this member
	failure       error   // why the ring is older than the members, nil when it is not
}

// derive computes the view of a member list. But for reuse of tables that did
// not change it is a pure function of what the members announce, so that members
// with equal lists derive equal views.
func (b *builder) derive(members []membership.Member, previous *view) *view {
	v := &view{members: members, configuration: chooseConfiguration(members), ring: previous.ring}
	serving, target := owners(members, v.configuration)
	if _, ok := b.configurations[v.configuration]; ok || len(serving)+len(target) == 0 {
		v.ring, v.failure = b.build(v.configuration, serving, target, previous.ring)
	} else {
		v.ring = &ring.Ring{} // ours to watch, not to compute
	}
	if v.failure != nil {
		v.ring = previous.ring
	}
	v.spread, v.holding = previous.spread, previous.holding
	if v.ring != previous.ring {
		v.spread, v.holding = v.ring.Spread(), holdingOf(v.ring, b.self)
	}
	v.fingerprint = fingerprint(v)
	return v
}

// owners returns who owns now and who will: those that can run the
// configuration and are active or draining, and joining or active. A member that is
// back with its data counts as active at once where anybody is: else those that come
// back together would be taken up one by one, each with a ring of its own. When nobody
// is left to take over, the draining go on, and without any the leaving: the last
// to go answer to the end.
func owners(members []membership.Member, configuration string) (serving, target []ring.Node) {
	formed := formed(members)
	var draining, leaving []ring.Node
	for _, m := range members {
		if !slices.Contains(m.Configurations, configuration) {
			continue
		}
		node := ring.Node{ID: m.ID, Region: m.Region, Zone: m.Zone, Weight: m.Weight}
		switch state := m.State; {
		case state == membership.Joining && (m.Origin == 0 || !formed):
			target = append(target, node)
		case state == membership.Joining, state == membership.Active:
			serving, target = append(serving, node), append(target, node)
		case state == membership.Draining:
			serving, draining = append(serving, node), append(draining, node)
		case state == membership.Leaving:
			leaving = append(leaving, node)
		}
	}
	if len(target) == 0 {
		target = draining
	}
	if len(target) == 0 {
		return leaving, leaving
	}
	return serving, target
}

// builder makes rings, and makes none that it has just made.
type builder struct {
	configurations map[string]ring.Config
	self           string // whose view it is
	// made is the configuration of the last ring, by its name as of the start:
	// asking a strategy for it again could panic.
	made string
	// asked counts the tables that strategies were asked for.
	asked int
}

func (b *builder) build(c string, serving, target []ring.Node, previous *ring.Ring) (*ring.Ring, error) {
	if len(serving) == 0 && len(target) == 0 {
		return &ring.Ring{}, nil
	}
	now, err := b.table(c, serving, previous)
	if err != nil {
		return nil, err
	}
	next := now
	if !slices.Equal(serving, target) {
		if next, err = b.table(c, target, previous.Target()); err != nil {
			return nil, err
		}
	}
	paired, err := now.Toward(next)
	if err != nil {
		return nil, err
	}
	b.made = c
	if paired.Fingerprint() == previous.Fingerprint() {
		return previous, nil
	}
	return paired, nil
}

// table builds a ring, unless it is the previous one or the target that this had
// and has come to. The previous table is where a strategy starts from that can
// derive one from another: what it computes is the same.
func (b *builder) table(c string, nodes []ring.Node, previous *ring.Ring) (*ring.Ring, error) {
	if b.made == c {
		for _, r := range []*ring.Ring{previous, previous.Target()} {
			if r.Len() > 0 && slices.Equal(r.Nodes(), nodes) {
				return r, nil
			}
		}
	}
	b.asked++
	return ring.Rebuild(previous, b.configurations[c], nodes)
}

// fingerprint identifies a view: its ring, its configuration, and everything
// about its members that placement or routing may turn on. It leaves out what
// tells one start of a member from another, so that a cluster whose members are
// back has its fingerprint back.
func fingerprint(v *view) ring.Fingerprint {
	var d xxhash.Digest
	d.Reset()
	var buf []byte
	text := func(s string) {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	buf = binary.LittleEndian.AppendUint64(buf, uint64(v.ring.Fingerprint()))
	text(v.configuration)
	for _, m := range v.members {
		text(m.ID)
		text(m.Region)
		text(m.Zone)
		buf = binary.LittleEndian.AppendUint32(buf, uint32(m.Weight))
		buf = append(buf, byte(m.State))
	}
	_, _ = d.Write(buf) // a Digest's Write cannot fail
	return ring.Fingerprint(d.Sum64())
}

// participants are the members that can derive this view: those that can run
// its configuration. Agreement is theirs; the others cannot take part in it and
// say so themselves.
func (v *view) participants() []membership.Member {
	all := true
	for _, m := range v.members {
		all = all && slices.Contains(m.Configurations, v.configuration)
	}
	if all || v.configuration == "" {
		return v.members
	}
	return slices.DeleteFunc(slices.Clone(v.members), func(m membership.Member) bool {
		return !slices.Contains(m.Configurations, v.configuration)
	})
}

// member finds a member of the view by its ID.
func (v *view) member(id string) (membership.Member, bool) {
	i, ok := slices.BinarySearchFunc(v.members, id, func(m membership.Member, id string) int { return strings.Compare(m.ID, id) })
	if !ok {
		return membership.Member{}, false
	}
	return v.members[i], true
}
