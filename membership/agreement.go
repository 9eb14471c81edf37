package membership

import (
	"math/bits"
	"sync"
	"time"
)

// agreed says whether all participants hold the view of this member, and which ones differ.
type agreed struct {
	// Fingerprint is the fingerprint of the view.
	Fingerprint uint64
	// Complete says that every participant has held the view, and that no participant has reported
	// another view for more than a few seconds since. It does not apply to members that are not in
	// the view.
	Complete bool
	// Differing are the members that are not known to have held the view, or that have
	// reported another one for some seconds, ascending by ID.
	Differing []differing
	// Since is when this member took up the view, by its own clock.
	Since time.Time
}

// differing is a member that is not known to have held the view. Package transport
// has the same record for users.
type differing struct {
	// ID is the member's NodeID.
	ID string
	// Reason says how the view of the member differs, or that the member has not answered.
	Reason string
}

// agreement collects which members have held this member's view. Members with one
// fingerprint have one order of members, so a bitmap can say which of them hold it.
// Bitmaps are merged by OR. They are sent on packets that gossip sends anyway, and reach
// all members in a logarithmic number of rounds, as in every epidemic protocol (Demers et
// al., 1987).
type agreement struct {
	self   string
	nonce  uint64
	now    func() time.Time
	mended func() // called when a member that differed does not differ any more; may be nil

	mu        sync.Mutex
	holders   []Member // the members that should hold the view
	digest    digest
	starts    uint64
	index     map[string]int // by NodeID: the position in holders
	bitmap    []byte
	held      int                   // bits set
	reasons   map[string]difference // by NodeID: why the view of a member differs, as it reported
	since     time.Time
	idle      int // packets sent since the bitmap last grew
	remaining int // the number of packets to send after the bitmap is complete
	complete  chan struct{}
}

// difference says how a member's view differs from the view of this member, and since when.
type difference struct {
	reason string
	since  time.Time
}

// passing is how long a member that has held the view may report another one before that counts as
// a difference. Usually one of the two members is about to get the news of the other.
const passing = 5 * time.Second

// When the bitmap has not grown for idleSends packets, some member must differ. After that only
// every idleEvery-th packet carries the bitmap.
const (
	idleSends = 256
	idleEvery = 16
)

func newAgreement(self string, nonce uint64, now func() time.Time) *agreement {
	return &agreement{self: self, nonce: nonce, now: now, complete: make(chan struct{})}
}

// publish sets the view. It reports whether the view differs from the previous one.
func (a *agreement) publish(v view) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	holders := v.holders()
	d, starts := v.digest(), hashMembers(holders, false)
	if a.index != nil && d == a.digest && starts == a.starts {
		return false
	}
	a.holders, a.digest, a.starts = holders, d, starts
	a.index = make(map[string]int, len(holders))
	for i, m := range holders {
		a.index[m.ID] = i
	}
	a.bitmap = make([]byte, (len(holders)+7)/8)
	a.held, a.idle, a.remaining = 0, 0, 0
	a.reasons = make(map[string]difference)
	a.since = a.now()
	select {
	case <-a.complete:
		a.complete = make(chan struct{})
	default: // the last view was not agreed, so its waiters wait for this one
	}
	// This member sets its own bit only when this start is the member of its NodeID. Otherwise the
	// start that is the member sets the bit.
	if i, ok := a.index[a.self]; ok && holders[i].Start.Nonce == a.nonce {
		a.bitmap[i/8] |= 1 << (i % 8)
		a.held = 1
	}
	a.settle()
	return true
}

// settle closes complete when the last bit is set.
func (a *agreement) settle() {
	if a.held < len(a.index) || a.held == 0 {
		return
	}
	// Other members may still wait for agreement: send the bitmap to enough of them.
	a.remaining = 4 * bits.Len(uint(len(a.index)))
	select {
	case <-a.complete:
	default:
		close(a.complete)
	}
}

// merge adds the bitmap of another member.
func (a *agreement) merge(m agreementMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.index == nil || m.fingerprint != a.digest.fingerprint || m.starts != a.starts || len(m.bitmap) != len(a.bitmap) {
		return
	}
	behind, grew := false, false
	for i := range a.bitmap {
		grown := m.bitmap[i] &^ a.bitmap[i]
		if i == len(a.bitmap)-1 && len(a.index)%8 != 0 {
			grown &= 1<<(len(a.index)%8) - 1
		}
		if grown != 0 {
			a.bitmap[i] |= grown
			a.held += bits.OnesCount8(grown)
			grew = true
			for rest := grown; rest != 0; rest &= rest - 1 {
				delete(a.reasons, a.holders[8*i+bits.TrailingZeros8(rest)].ID)
			}
		}
		behind = behind || a.bitmap[i]&^m.bitmap[i] != 0
	}
	if grew {
		a.idle = 0
		a.settle()
	}
	if behind && a.held == len(a.index) {
		a.remaining = max(a.remaining, 3)
	}
}

// payload returns the message for the next packet. It returns nil when the packet need not carry
// one.
func (a *agreement) payload(limit int) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.index) < 2 || agreementHeader+len(a.bitmap) > limit {
		return nil
	}
	if a.held == len(a.index) {
		if a.remaining == 0 {
			return nil
		}
		a.remaining--
	} else {
		a.idle++
		if a.idle > idleSends && a.idle%idleEvery != 0 {
			return nil
		}
	}
	return a.message()
}

// message returns the message that says which members have held the view. The caller holds the lock.
func (a *agreement) message() []byte {
	m := agreementMessage{fingerprint: a.digest.fingerprint, starts: a.starts, bitmap: a.bitmap}
	return m.append(make([]byte, 0, agreementHeader+len(a.bitmap)))
}

// heldBy returns the message that says which members have held the view, if the view has a given
// digest.
func (a *agreement) heldBy(view digest) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.index == nil || a.digest != view {
		return nil, false
	}
	return a.message(), true
}

// heard records another member's digest. It returns the digest and the age of this member's view.
// mendable says whether an exchange of members with the other member could end a difference.
func (a *agreement) heard(id string, theirs digest) (ours digest, age time.Duration, mendable bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.index == nil || theirs == a.digest {
		if _, differed := a.reasons[id]; differed {
			delete(a.reasons, id)
			if a.mended != nil {
				a.mended()
			}
		}
		return a.digest, 0, false
	}
	reason, mendable := a.digest.reason(theirs)
	if _, ok := a.index[id]; ok {
		d := difference{reason: reason, since: a.now()}
		if before, ok := a.reasons[id]; ok {
			d.since = before.since
		}
		a.reasons[id] = d
	}
	return a.digest, a.now().Sub(a.since), mendable
}

// missing returns the IDs of members that are not known to hold the view, or that
// reported another one, and the age of the view. The result few says that fewer than
// half of the members hold it.
func (a *agreement) missing() (ids []string, age time.Duration, few bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, m := range a.holders {
		_, differs := a.reasons[m.ID]
		if (differs || !a.holds(i)) && m.ID != a.self {
			ids = append(ids, m.ID)
		}
	}
	return ids, a.now().Sub(a.since), 2*a.held < len(a.index)
}

// confirmed reports whether all members are known to have held the view, and this member has a
// given state in it.
func (a *agreement) confirmed(s State) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, ok := a.index[a.self]
	return ok && a.holders[i].State == s && a.held == len(a.index)
}

// holds reports whether a member is known to have held the view.
func (a *agreement) holds(member int) bool { return a.bitmap[member/8]&(1<<(member%8)) != 0 }

// own returns the digest of the view of this member, and whether there is a view.
func (a *agreement) own() (digest, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.digest, a.index != nil
}

// done returns a channel that is closed when every participant has held the current view. When
// another view replaces the current one before that, the channel is closed when every participant
// has held the new view.
func (a *agreement) done() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.complete
}

// state returns a snapshot.
func (a *agreement) state() agreed {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := agreed{Fingerprint: a.digest.fingerprint, Since: a.since}
	now := a.now()
	for i, m := range a.holders {
		d, differs := a.reasons[m.ID]
		switch {
		case differs && (!a.holds(i) || now.Sub(d.since) > passing):
			s.Differing = append(s.Differing, differing{ID: m.ID, Reason: d.reason})
		case !a.holds(i):
			s.Differing = append(s.Differing, differing{ID: m.ID, Reason: reasonSilent})
		}
	}
	s.Complete = a.held > 0 && len(s.Differing) == 0
	return s
}
