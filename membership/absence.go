package membership

import (
	"slices"
	"strings"
	"time"
)

// A member that stops with [Options.RestartGrace] announces that it is Away, and leaves. Every
// other member keeps its record. The member keeps its place until a newer start of its NodeID
// takes over, or the grace is over. memberlist does not report members that have left to new
// members. Exchanges of members therefore carry the records: see absence_message.go.
//
// A start that is away answers no probe. A process without a key could invent any number of such
// starts, and a recorded exchange could bring old ones back. So a member believes the record of a start
// that it has not seen only while the member itself is new.

const (
	// maxGrace bounds how long a member may keep its place after it has left, or has failed with its zone.
	maxGrace = time.Hour
	// maxAbsences bounds how many records of each sort are kept: of members that are Away, and of
	// absences that are over.
	maxAbsences = 1024
	// absenceMemory is how long, after the grace, this member tells others that an absence is
	// over. Members notice a leave at different times. The times differ by less than
	// absenceMemory.
	absenceMemory = 5 * time.Minute
	// newCompany is how long, after this member was alone, records of starts that it has not seen are
	// believed: it learns of a cluster then.
	newCompany = 3 * time.Second
)

// absence is the record of a member that is away and has left.
type absence struct {
	member Member    // the member that is away, with Until set
	since  time.Time // when this process learned that the member had left
	over   bool      // the absence has ended; the record stays so that other members learn that
}

// left records that a start has left: memberlist or a record of another member says so. It reports
// whether the start is Away now and keeps its place. The caller holds the lock.
func (r *registry) left(m Member, remaining time.Duration) bool {
	now := r.now()
	if m.State != Away || r.replaced(m) {
		return false
	}
	until := now.Add(min(remaining, m.Grace))
	if known, ok := r.absences[m.ID]; ok {
		switch c := known.member.Start.Compare(m.Start); {
		case c > 0 || c == 0 && known.over:
			return false
		case c == 0:
			// The earliest end counts, so that no exchange prolongs an absence.
			if until.Before(known.member.Until) {
				known.member.Until = until
				r.absences[m.ID] = known
				r.sorted = nil
			}
			return true
		}
	}
	// An absence that ended here must not begin again after the record of its end is deleted.
	// There is one exception: this member counted the start as failed before it learned that the
	// start is Away. The start then is Away.
	if gone, ok := r.departed[m.ID]; ok {
		if c := gone.member.Start.Compare(m.Start); c > 0 || c == 0 && gone.member.State == Away {
			return false
		}
	}
	m.Until = until
	r.absences[m.ID] = absence{member: m, since: now}
	return true
}

// replaced reports whether a newer start has replaced m. A newer start that is Joining has not
// done so yet. The caller holds the lock.
func (r *registry) replaced(m Member) bool {
	return slices.ContainsFunc(r.names[m.ID], func(name string) bool {
		other := r.alive[name]
		return other.State != Joining && other.Start.Compare(m.Start) > 0
	})
}

// seen reports whether this member knows a start that is gone, as the record describes it. The caller
// holds the lock.
func (r *registry) seen(m Member) bool {
	if a, away := r.absences[m.ID]; away && a.member.Start == m.Start {
		return true
	}
	was := r.departed[m.ID].member
	was.State, was.Grace, was.Until = m.State, m.Grace, m.Until // the member may have left before its last announcement arrived
	was.ZoneGrace = m.ZoneGrace                                 // members of earlier releases pass records on without it
	return equalMembers(was, m)
}

// learn processes the records of absences that another member sent. joined says that this member has
// joined; until then it knows nothing of its own.
func (r *registry) learn(records []absenceRecord, joined bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	joined = joined && r.now().Sub(r.company) >= newCompany
	for _, record := range records {
		name := gossipName(record.member.ID, record.member.Start.Nonce)
		if _, here := r.alive[name]; here || name == r.self {
			continue // this member knows the state of a start that is alive
		}
		id := record.member.ID
		before, was := r.winner(id)
		switch {
		case record.left:
			r.absolve(id, record.member.Start.Nonce)
		case record.over():
			r.endAbsence(id, record.member.Start.Nonce)
		case joined && !r.seen(record.member), !r.left(record.member, record.remaining):
			r.contradict(record)
		}
		after, is := r.winner(id)
		r.changed(name, before, was, after, is)
	}
	r.boundAbsences()
}

// contradict records that an absence is over which another member still believes to last. The next
// exchange tells the other member. The caller holds the lock.
func (r *registry) contradict(record absenceRecord) {
	m := record.member
	if known, ok := r.absences[m.ID]; ok && known.member.Start.Compare(m.Start) >= 0 {
		return
	}
	m.Until = r.now().Add(record.remaining)
	r.absences[m.ID] = absence{member: m, since: r.now(), over: true}
}

// endAbsence ends the absence of one start. The caller holds the lock.
func (r *registry) endAbsence(id string, nonce uint64) {
	if r.kept(id, nonce) {
		a := r.absences[id]
		a.over = true
		r.absences[id] = a
	}
}

// endAbsences ends the absences whose grace is over. It deletes the records of ends that are older
// than absenceMemory.
func (r *registry) endAbsences() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for id, a := range r.absences {
		switch until := a.member.Until; {
		case !a.over && !now.Before(until):
			r.expel(a)
		case a.over && now.Sub(until) > absenceMemory:
			delete(r.absences, id)
		}
	}
}

// expel ends an absence: the member counts as failed. The caller holds the lock.
func (r *registry) expel(a absence) {
	id := a.member.ID
	before, was := r.winner(id)
	r.endAbsence(id, a.member.Start.Nonce)
	after, is := r.winner(id)
	r.changed(gossipName(id, a.member.Start.Nonce), before, was, after, is)
}

// boundAbsences keeps both sorts of records within maxAbsences. Of the members that are Away, it
// keeps those with the lowest IDs, so that all members drop the same ones. Of the absences that
// are over, it keeps the latest. The caller holds the lock.
func (r *registry) boundAbsences() {
	if len(r.absences) <= maxAbsences {
		return
	}
	var away, over []absence
	for _, a := range r.absences {
		if a.over {
			over = append(over, a)
		} else {
			away = append(away, a)
		}
	}
	byID := func(a, b absence) int { return strings.Compare(a.member.ID, b.member.ID) }
	if len(away) > maxAbsences {
		slices.SortFunc(away, byID)
		for _, a := range away[maxAbsences:] {
			r.expel(a)
			over = append(over, r.absences[a.member.ID])
		}
	}
	if len(over) > maxAbsences {
		slices.SortFunc(over, func(a, b absence) int { return b.member.Until.Compare(a.member.Until) })
		for _, a := range over[maxAbsences:] {
			delete(r.absences, a.member.ID)
		}
	}
}

// away returns the start of a NodeID that is Away and keeps the place until a newer start is
// Active.
func (r *registry) away(id string) (Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keeper(id)
}

// keeper is the method away for a caller that holds the lock.
func (r *registry) keeper(id string) (keeper Member, found bool) {
	if a, ok := r.absences[id]; ok && !a.over {
		keeper, found = a.member, true
	}
	for _, name := range r.names[id] {
		if m := r.alive[name]; m.State == Away && name != r.self && (!found || m.Start.Compare(keeper.Start) > 0) {
			keeper, found = m, true
		}
	}
	return keeper, found
}

// absenceRecords returns the records that this member sends to other members: the absences, and
// the members that left last. They are in ascending order of ID.
func (r *registry) absenceRecords() []absenceRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	records := make([]absenceRecord, 0, len(r.absences))
	for _, a := range r.absences {
		record := absenceRecord{member: a.member}
		if !a.over {
			record.remaining = max(a.member.Until.Sub(now), time.Millisecond)
		}
		records = append(records, record)
	}
	for _, d := range r.lastLeft() {
		records = append(records, absenceRecord{member: d.member, left: true})
	}
	slices.SortFunc(records, func(a, b absenceRecord) int { return strings.Compare(a.member.ID, b.member.ID) })
	return records
}
