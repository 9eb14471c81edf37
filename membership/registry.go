package membership

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxDeparted bounds the records of members that are gone. The records tell a member that returns
// from a new one, and list the failed members to look for.
const maxDeparted = 1024

// registry is the list of members. memberlist reports gossip names, and the registry returns
// members by NodeID. Several gossip names can have one NodeID, for example those of a crashed
// process and its restart. The newest start is then the member of the NodeID. Every member decides
// that alike, because the decision depends only on the announcements of the starts.
//
// memberlist holds its lock while it calls methods of the registry. The methods therefore never
// block, and never call memberlist.
type registry struct {
	self   string // the gossip name of this member
	events *eventQueue
	now    func() time.Time

	mu         sync.Mutex
	alive      map[string]Member   // by gossip name
	names      map[string][]string // gossip names believed alive, by NodeID
	absences   map[string]absence  // by NodeID
	departed   map[string]departure
	lost       int              // the number of failed members in departed
	flaps      map[string]flaps // by NodeID
	nextLost   time.Time        // when dueLost next looks for a lost member to dial
	nextOld    time.Time        // when the next member may be dialled of those lost for a long time
	nextForget time.Time        // when forgetOld next looks for records to delete
	company    time.Time        // when another start was last believed alive after none was
	addresses  knownAddresses
	owners     zoneOwners
	unproven   map[string]bool // gossip names that are believed on their word; their addresses are not known ones
	peers      []string        // the gossip names that nextPeer has not returned in this turn
	tally      tally           // counts the events about other members
	sorted     []Member        // the members, ascending by ID; nil when the list must be made again
	version    uint64          // counts the changes of sorted
}

// departure is the record of a member that has left or failed.
type departure struct {
	member Member
	failed bool
	at     time.Time
	next   time.Time // when to dial the member next
	silent time.Time // since when there had been no sign of it; zero: since at
	ghost  bool      // the start was believed without proof, and has never answered
}

// silentSince returns since when there has been no sign of a member that was declared dead.
func (d departure) silentSince() time.Time {
	if d.silent.IsZero() || d.silent.After(d.at) {
		return d.at
	}
	return d.silent
}

func newRegistry(self string, now func() time.Time) *registry {
	return &registry{
		self:     self,
		events:   newEventQueue(),
		now:      now,
		alive:    make(map[string]Member),
		names:    make(map[string][]string),
		absences: make(map[string]absence),
		departed: make(map[string]departure),
		unproven: make(map[string]bool),

		addresses: knownAddresses{alive: make(map[netip.Addr]int)},
		owners:    make(zoneOwners),
	}
}

// set records what a gossip name announced.
func (r *registry) set(name string, m Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, was := r.winner(m.ID)
	if old, known := r.alive[name]; known {
		r.count(name, old, -1)
	} else {
		r.names[m.ID] = append(r.names[m.ID], name)
		if _, self := r.alive[r.self]; name != r.self && (len(r.alive) == 0 || len(r.alive) == 1 && self) {
			r.company = r.now()
		}
	}
	r.alive[name] = m
	r.count(name, m, 1)
	if a := r.absences[m.ID]; r.replaced(a.member) {
		r.endAbsence(m.ID, a.member.Start.Nonce)
	} else if a.member.Start == m.Start && !a.over {
		delete(r.absences, m.ID) // the start is Away and has not left yet
	}
	after, _ := r.winner(m.ID)
	r.changed(name, before, was, after, true)
}

// remove records that a gossip name is gone.
func (r *registry) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.alive[name]
	if !known {
		return
	}
	before, was := r.winner(m.ID)
	delete(r.alive, name)
	r.count(name, m, -1)
	r.names[m.ID] = slices.DeleteFunc(r.names[m.ID], func(n string) bool { return n == name })
	if len(r.names[m.ID]) == 0 {
		delete(r.names, m.ID)
	}
	r.left(m, m.Grace)
	after, is := r.winner(m.ID)
	r.changed(name, before, was, after, is)
	if d, gone := r.departed[m.ID]; gone && d.member.Start == m.Start && r.unproven[name] {
		d.ghost = true
		r.departed[m.ID] = d
	}
	delete(r.unproven, name)
	if r.departed[m.ID].failed {
		r.keepZone(m)
	}
	r.boundAbsences()
}

// winner returns the start that is the member of a NodeID. That is the newest start, with one
// exception: a start that is Joining does not replace an earlier start that is Away. The caller
// holds the lock.
func (r *registry) winner(id string) (Member, bool) {
	newest, found := r.newest(id)
	keeper, kept := r.keeper(id)
	if kept && (!found || newest.State == Joining || keeper.Start.Compare(newest.Start) > 0) {
		return keeper, true
	}
	return newest, found
}

// newest returns the newest start of a NodeID that is believed alive. The caller holds the lock.
func (r *registry) newest(id string) (newest Member, found bool) {
	for i, name := range r.names[id] {
		if m := r.alive[name]; i == 0 || m.Start.Compare(newest.Start) > 0 {
			newest = m
		}
	}
	return newest, len(r.names[id]) > 0
}

// changed adds an event for the change of a member from before to after. name is the gossip name
// that caused the change. The caller holds the lock.
func (r *registry) changed(name string, before Member, was bool, after Member, is bool) {
	e := event{Before: before, After: after, At: r.now()}
	switch {
	case !was && is:
		e.Kind, e.ID = eventJoined, after.ID
		gone, known := r.departed[after.ID]
		switch {
		case !known:
		case !after.Until.IsZero(): // it is gone still, and keeps its place from now on
			e.Kind, e.Before = eventUpdated, gone.member
		default:
			e.Kind, e.Before, e.Away = eventRejoined, gone.member, e.At.Sub(gone.at)
			if gone.failed && gone.member.Start.Nonce == after.Start.Nonce {
				r.flapped(after, gone, e.At)
			}
			r.forget(gone)
		}
	case !was:
		return
	case !is:
		e.Kind, e.ID = eventFailed, before.ID
		d := departure{member: before, failed: before.State != Leaving, at: e.At, next: e.At.Add(lostTick)}
		if gone, ok := r.departed[before.ID]; ok { // its place was kept meanwhile
			d.failed, d.silent = gone.failed, gone.silentSince()
			r.forget(gone)
		}
		if !d.failed {
			e.Kind = eventLeft
		}
		r.remember(d)
	case before.Start.Nonce != after.Start.Nonce, !before.Until.IsZero() && after.State != Away:
		e.Kind, e.ID = eventRejoined, after.ID
		if a, ok := r.absences[after.ID]; ok && a.member.Start == before.Start {
			e.Away = e.At.Sub(a.since)
		}
		if gone, ok := r.departed[after.ID]; ok { // its zone was lost, and its place kept
			e.Away = e.At.Sub(gone.at)
			r.forget(gone)
		}
	case equalMembers(before, after):
		return
	default:
		e.Kind, e.ID = eventUpdated, after.ID
		if after.State == Leaving && before.State != Leaving {
			e.Kind = eventLeaving
		}
	}
	if name != r.self {
		r.tally[e.Kind]++
	}
	r.sorted = nil
	r.version++
	r.events.add(e)
}

// wasSilent records since when there had been no sign of a start that was declared dead now. A zero
// time has no effect.
func (r *registry) wasSilent(name string, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, nonce, err := splitName(name)
	if d := r.departed[id]; err == nil && d.failed && d.member.Start.Nonce == nonce {
		d.silent = since
		r.departed[id] = d
	}
}

func (r *registry) remember(d departure) {
	if len(r.departed) >= maxDeparted {
		oldest, first := "", time.Time{}
		for id, one := range r.departed { // not a copy of all of them, for each member that goes
			if oldest == "" || one.at.Before(first) {
				oldest, first = id, one.at
			}
		}
		r.forget(r.departed[oldest])
	}
	r.departed[d.member.ID] = d
	if d.failed {
		r.lost++
		r.addresses.gone = nil // news with which it refutes its death is news of a known member
		if d.next.Before(r.nextLost) {
			r.nextLost = d.next
		}
	}
}

func (r *registry) forget(d departure) {
	delete(r.departed, d.member.ID)
	if d.failed {
		r.lost--
	}
}

// members returns the list of members, ascending by ID, and the number of changes so far. The
// slice is shared and must not be modified.
func (r *registry) members() ([]Member, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sorted == nil {
		r.sorted = make([]Member, 0, len(r.names))
		for id := range r.names {
			m, _ := r.winner(id)
			r.sorted = append(r.sorted, m)
		}
		for id, a := range r.absences {
			if _, alive := r.names[id]; !alive && !a.over {
				r.sorted = append(r.sorted, a.member)
			}
		}
		slices.SortFunc(r.sorted, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	}
	return r.sorted, r.version
}

// member returns the start that is the member of a NodeID.
func (r *registry) member(id string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.winner(id)
}

// reachable returns the newest start of a NodeID that is believed alive.
func (r *registry) reachable(id string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest(id)
}

// rivals returns the other starts of the NodeID of this member that are believed alive, newest
// first.
func (r *registry) rivals(id string) []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Member
	for _, name := range r.names[id] {
		if name != r.self {
			found = append(found, r.alive[name])
		}
	}
	slices.SortFunc(found, func(a, b Member) int { return b.Start.Compare(a.Start) })
	return found
}

// others returns every start believed alive except this one, in no order. It includes starts that
// are not the member of their NodeID, because their processes still run.
func (r *registry) others() []Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := make([]Member, 0, len(r.alive))
	for name, m := range r.alive {
		if name != r.self {
			others = append(others, m)
		}
	}
	return others
}

// countOthers returns how many starts [registry.others] would return.
func (r *registry) countOthers() int {
	count, _ := r.companySince()
	return count
}

// companySince returns the same, and when another start was last believed alive after none was.
func (r *registry) companySince() (count int, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count = len(r.alive)
	if _, known := r.alive[r.self]; known {
		count--
	}
	return count, r.company
}

func equalMembers(a, b Member) bool {
	return a.ID == b.ID && a.Region == b.Region && a.Zone == b.Zone && a.Weight == b.Weight &&
		a.Addr == b.Addr && a.HTTPAddr == b.HTTPAddr && a.Version == b.Version && a.PartitionCount == b.PartitionCount &&
		a.State == b.State && a.Grace == b.Grace && a.Until.IsZero() == b.Until.IsZero() && a.Start == b.Start &&
		a.Origin == b.Origin && a.Renewal == b.Renewal && a.Bare == b.Bare && a.Started.Equal(b.Started) &&
		a.ZoneGrace == b.ZoneGrace && maps.Equal(a.Services, b.Services) && maps.Equal(a.Metadata, b.Metadata) &&
		slices.Equal(a.Configurations, b.Configurations)
}
