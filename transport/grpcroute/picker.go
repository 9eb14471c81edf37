package grpcroute

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/transport/route"
)

// picker finds the connection for each attempt of a call. It takes no lock, unless the
// call must wait.
type picker struct {
	members *members
	table   *table
}

// Pick is a method of balancer.Picker.
func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	c, ok := info.Ctx.Value(callKey{}).(*call)
	if !ok {
		return balancer.PickResult{}, status.Error(codes.Internal, "grpcroute: the call has passed the interceptors of NewClient by")
	}
	if err := c.again(); err != nil {
		return balancer.PickResult{}, err
	}
	t := p.table
	c.resume(t.view.Version)
	if c.phase == marked && c.to.members == p.members && c.to.ready.Load() { // another balancer follows when a client was idle
		c.phase = picked
		c.countRetry()
		return balancer.PickResult{SubConn: c.to.sub, Done: c.done}, nil
	}
	var room [4]*peer // usually large enough
	placement, owners := c.owners(t, room[:0])
	to, at, mayCome, look := c.choose(t, owners)
	if to == nil {
		if look > 0 {
			p.members.wake(look)
		}
		if err := c.wait(p.members, owners, mayCome); err != nil {
			return balancer.PickResult{}, err
		}
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	m := c.begin(placement, to, at)
	c.countRetry()
	return balancer.PickResult{SubConn: to.sub, Done: c.done, Metadata: metadata.MD{markKey: {m.String()}}}, nil
}

// countRetry counts an attempt after the first of a call.
func (c *call) countRetry() {
	if c.attempts > 0 {
		c.link.router.counts.retries.Add(1)
	}
}

// choose returns the peer that a call is sent to now, and its place among the owners: the
// first that is connected. It waits for an owner before that one only while the connection
// to it is being made: a read not for longer than nearWithin. Without a peer, mayCome says
// that a connection is being made, and look is when to look again; zero: when it is made.
func (c *call) choose(t *table, owners []*peer) (to *peer, at int, mayCome bool, look time.Duration) {
	start, near, dials := 0, len(owners), len(owners)
	if !c.keyed {
		dials = 2 // there may be many members
		if t.local > 0 {
			// The calls without a key take turns among the nearest members.
			start, near = int(c.link.turn.Add(1)%uint64(t.local)), t.local
		}
	}
	within := nearWithin
	if after := c.link.router.options.HedgeAfter; after > 0 && c.method.Reads {
		within = min(within, after)
	}
	var last *peer // the last peer that is avoided
	lastAt := 0
	for i := range owners {
		at := i
		if i < near {
			if at = i + start; at >= near {
				at -= near
			}
		}
		p := owners[at]
		switch {
		case p == nil || p == c.except || c.hasTried(at):
			continue
		case p.ready.Load():
			if !c.avoids(p) {
				return p, at, false, 0
			}
			if last == nil {
				last, lastAt = p, at
			}
			continue
		}
		if dials > 0 {
			dials--
			p.connect()
		}
		if p.failing.Load() {
			continue
		}
		mayCome = true
		if c.keyed && c.method.Policy != route.Nearest {
			return nil, 0, true, 0
		}
		if left := within - p.dialing(); left > 0 {
			return nil, 0, true, left
		}
	}
	if last != nil {
		return last, lastAt, false, 0
	}
	return nil, 0, mayCome, 0
}

// avoid lets reads try a peer last for a while.
func (p *peer) avoid(period time.Duration) { p.slow.Store(int64(p.members.link.now() + period)) }

// avoids reports whether a call should be sent to another peer if it can. When the while is
// over, one call tries the peer again.
func (c *call) avoids(p *peer) bool {
	until := p.slow.Load()
	if until == 0 || !c.method.Reads {
		return false
	}
	now := p.members.link.now()
	return now < time.Duration(until) || !p.slow.CompareAndSwap(until, int64(now+c.link.router.options.AvoidFor))
}

// nearWithin is how long a read waits for the first connection to the nearest owner while
// a farther one is connected.
const nearWithin = 250 * time.Millisecond

// The pauses between rounds in which no owner took a call. A random part of up to half is
// subtracted from each.
const (
	firstPause   = 20 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// wait makes a call wait for a change of the view or of a connection, or for the end of a
// pause. It returns an error when the call has waited enough, unless its caller lets it wait. A connection that is being
// made is waited for without a limit, because making it has one.
func (c *call) wait(b *members, owners []*peer, mayCome bool) error {
	if mayCome {
		return nil
	}
	now, patience := time.Now(), c.link.router.options.Patience
	if c.began.IsZero() {
		c.began = now
	}
	left := patience - now.Sub(c.began)
	if c.waits {
		left = longestPause
	}
	if left <= 0 {
		return c.gaveUp(owners, "none did within "+max(patience, 0).String())
	}
	if c.resumes.IsZero() {
		c.pause = min(max(2*c.pause, firstPause), longestPause)
		c.resumes = now.Add(c.pause/2 + rand.N(c.pause/2)) //nolint:gosec // a time
	}
	b.wake(min(c.resumes.Sub(now), left))
	return nil
}

// resume makes all owners candidates again: by another view, and after a pause.
func (c *call) resume(version uint64) {
	switch {
	case version != c.version:
	case c.resumes.IsZero() || time.Now().Before(c.resumes):
		return
	}
	c.version, c.tried, c.resumes = version, 0, time.Time{}
	if c.phase == marked {
		c.phase = judged // another owner may be the first
	}
}
