package membership

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

// A process without a key can announce any number of members where gossip is in clear. The bounds
// below keep the cost of such an announcement to memory and time small. They refuse starts that
// this member does not know. A start that is known is never refused because of them. The next
// exchange of members brings what was refused too early.

const (
	// maxStarts bounds the starts of one NodeID that are believed alive at a time. A process that
	// crashes again and again has a few: each start counts until its failure is noticed.
	maxStarts = 64
	// maxMembers bounds the starts of all NodeIDs that are believed alive at a time.
	maxMembers = 1 << 16
	// newMembers and newMembersBurst bound the new starts in a second, and at once, after this
	// member has joined. A member that joins learns of all others at once.
	newMembers, newMembersBurst = 64, 512
)

var (
	errManyStarts = fmt.Errorf("membership: over %d starts of one NodeID are alive", maxStarts)
	errManyNew    = errors.New("membership: too many new members at a time")
)

// newcomers bounds the starts that this member does not know yet.
type newcomers struct {
	inClear bool // gossip is not encrypted: any process can announce members
	joined  atomic.Bool
	recent  guard.Bucket
}

func newNewcomers(encrypted bool) *newcomers {
	return &newcomers{inClear: !encrypted, recent: guard.Bucket{Rate: newMembers, Burst: newMembersBurst}}
}

// admit returns an error when a start that is not known is one too many.
func (n *newcomers) admit(r *registry, name, id string, now time.Time) error {
	starts, total, known := r.startsOf(name, id)
	switch {
	case known:
		return nil
	case starts >= maxStarts:
		return errManyStarts
	case total >= maxMembers, n.inClear && n.joined.Load() && !n.recent.Take(1, now):
		return errManyNew
	}
	return nil
}

// startsOf returns the number of starts of a NodeID that are believed alive, the number of all
// starts, and whether the named one is among them.
func (r *registry) startsOf(name, id string) (starts, total int, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known = r.alive[name]
	return len(r.names[id]), len(r.alive), known
}
