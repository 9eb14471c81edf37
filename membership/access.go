package membership

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/ring/option"
)

// Members returns the members believed alive and those that are Away, this one included, ascending
// by ID. Each NodeID has one entry. The slice is shared and must not be modified. The version
// grows whenever the members change. Members does not block.
func (m *Membership) Members() (members []Member, version uint64) { return m.registry.members() }

// Local returns this member as it announces itself. Before Start its Addr is not valid.
// It does not block.
func (m *Membership) Local() Member {
	self := m.announcer.get()
	self.Addr = m.instance.address()
	return self
}

// Attributes are the announced values that a member may change while it runs.
type Attributes struct {
	// HTTPAddr is the address announced for HTTP, within the bounds of [Options]. Empty means that
	// none is announced.
	HTTPAddr string
	// Services and Metadata replace the values announced before. Services are within the bounds of
	// [Options].
	Services, Metadata map[string]string
	// Weight is the share of partitions that this member should own, relative to the
	// others, 1 to 2^20. Zero means 1.
	Weight int
}

// Update edits the attributes that this member announces. The function gets copies that it may
// keep and modify; it must not call Update. The change takes effect at once and reaches
// the others with gossip. After about a thousand changes in quick succession, they are gathered, and the latest
// one is sent every two seconds. Update changes nothing and returns a [MetadataSizeError] when the
// result does not fit, and an [option.Error] when an address or the weight is out of bounds. It
// blocks while another call of Update runs, and returns the context's error when that ends first.
func (m *Membership) Update(ctx context.Context, edit func(*Attributes)) error {
	switch {
	case ctx == nil:
		return errors.New("membership: updating: the context is nil: pass context.Background() to set no limit")
	case edit == nil:
		return errors.New("membership: updating: the function that edits the attributes is nil")
	}
	// The function may block. So it does not run in the turn of the announcer, which Stop waits for.
	if err := m.updates.turn.take(ctx); err != nil {
		return err
	}
	defer m.updates.turn.release()
	self := m.announcer.get()
	a := Attributes{HTTPAddr: self.HTTPAddr, Services: maps.Clone(self.Services), Metadata: maps.Clone(self.Metadata), Weight: self.Weight}
	edit(&a)
	bad := checkAddresses(a.HTTPAddr, a.Services)
	if a.Weight < 0 || a.Weight > maxWeight {
		bad = errors.Join(&option.Error{Field: "Weight", Value: a.Weight, Bound: fmt.Sprintf("between 0 and %d", maxWeight)}, bad)
	}
	if bad != nil {
		return fmt.Errorf("membership: %w", bad)
	}
	held := false
	err := m.announcer.changeWhen(ctx, func(self *Member) {
		self.HTTPAddr, self.Services, self.Metadata, self.Weight = a.HTTPAddr, maps.Clone(a.Services), maps.Clone(a.Metadata), max(a.Weight, 1)
	}, func() bool {
		held = !m.updates.sent.Take(1, m.settings.now())
		return !held
	})
	if held {
		m.once(&m.updates.waiting, updatePause, func() { m.announcer.wait(m.life.Ending(), time.Nanosecond) })
	}
	return err
}

// Each change increases the incarnation of this member. The other members rely on it that an incarnation grows by less than one
// a second: see incarnationAbove. So changes beyond a bound are gathered.
const (
	updatePause = 2 * time.Second
	updateBurst = 1024
)

// updates bounds how often the attributes of this member are sent.
type updates struct {
	turn    turn // of the calls of Update
	sent    guard.Bucket
	waiting atomic.Bool // changes will be sent soon
}
