package grpcroute

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	// Clients check the health of servers with it, where the options ask for it.
	_ "google.golang.org/grpc/health"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/internal/tally"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
	"github.com/clusterkit/clusterkit/transport/route"
)

const balancerName = "clusterkit_key"

// gRPC finds balancers by name, among those that were registered before it is used.
func init() { balancer.Register(builder{}) }

type builder struct{}

// Name is a method of balancer.Builder.
func (builder) Name() string { return balancerName }

// Build is a method of balancer.Builder.
func (builder) Build(cc balancer.ClientConn, _ balancer.BuildOptions) balancer.Balancer {
	return &members{cc: cc}
}

// peer is a process that announces the service, with the connection to it. Of the fields
// only the states change.
type peer struct {
	members  *members // whose connection it is
	id, addr string
	start    membership.Start
	made     time.Duration // when the process was first seen, by the clock of the link
	target   uint64        // identifies it in marks
	// number is that of the marks for it. Another one takes its place when the peer has
	// returned it with a refusal.
	number   atomic.Uint64
	relation tally.Relation
	sub      balancer.SubConn
	wanted   atomic.Bool // a call has needed the connection: from then on it is kept
	ready    atomic.Bool
	failing  atomic.Bool // the peer could not be reached, and has not been reached since
	refused  atomic.Bool // the peer refused a connection, and has not been reached since
	idle     atomic.Bool
	slow     atomic.Int64 // until when reads avoid it, by the clock of the link; zero: they do not
	dialed   atomic.Int64 // when it was last connected to, by that clock
}

func (p *peer) same(id, addr string, start membership.Start) bool {
	return p.id == id && p.addr == addr && p.start == start
}

// connect starts to connect to a peer, unless it does so already. It does not block.
func (p *peer) connect() {
	p.wanted.Store(true)
	if p.idle.CompareAndSwap(true, false) {
		p.dialed.Store(int64(p.members.link.now()))
		p.sub.Connect()
	}
}

// dialing returns for how long a peer is being connected to.
func (p *peer) dialing() time.Duration { return p.members.link.now() - time.Duration(p.dialed.Load()) }

// table is a view with the connections to its members. But for the states of the peers it
// never changes.
type table struct {
	view         route.View
	region, zone string
	peers        map[string]*peer
	free         []*peer // the peers of active members, for calls without a key
	local        int     // this number of free, the first, are the nearest
	away         map[string]bool
	going        map[string]bool // members that drain or leave
}

// members is the balancer of one connection. gRPC calls its methods one at a time.
type members struct {
	cc       balancer.ClientConn
	link     *link // set before there are peers and pickers
	connects bool  // to a member, before a call needs it

	mu     sync.Mutex
	table  *table // only written by the methods of balancer.Balancer
	closed bool
	wakes  time.Duration // when the timer fires, by the clock of the link; zero: there is none
	timer  *time.Timer
}

// UpdateClientConnState is a method of balancer.Balancer. Connections to processes that are
// in both views are kept. gRPC closes the connections to others when their calls have ended.
func (b *members) UpdateClientConnState(s balancer.ClientConnState) error {
	n, ok := s.ResolverState.Attributes.Value(newsKey{}).(*news)
	if !ok {
		return balancer.ErrBadResolverState
	}
	old := b.table
	if old == nil {
		old = &table{}
	}
	if b.link == nil {
		b.link = n.link // the same in all states
	}
	next := &table{view: n.view, peers: make(map[string]*peer), away: make(map[string]bool), going: make(map[string]bool)}
	options := &n.link.router.options
	for i := range n.view.Members {
		m := &n.view.Members[i]
		if m.ID == n.view.NodeID {
			next.region, next.zone = m.Region, m.Zone
		}
		switch m.State {
		case membership.Away:
			next.away[m.ID] = true
		case membership.Draining, membership.Leaving:
			next.going[m.ID] = true
		}
		addr := m.Services[options.Service]
		if addr == "" {
			continue
		}
		p := old.peers[m.ID]
		if p == nil || !p.same(m.ID, addr, m.Start) {
			if p = b.newPeer(n.view, m, addr); p == nil {
				continue // the connection is being closed
			}
		}
		next.peers[m.ID] = p
	}
	for id, p := range old.peers {
		if next.peers[id] == p {
			continue
		}
		p.sub.Shutdown()
		// A process that says that it leaves ends its calls itself. Any other one that is not
		// in the view any more has failed, or another start has its name.
		now, was := n.view.Member(id), old.view.Member(id)
		if now != nil && now.Start == p.start || was.State == membership.Leaving || was.State == membership.Away {
			continue
		}
		// Another process may have the address already, with connections of its own.
		before := time.Duration(math.MaxInt64)
		for _, other := range next.peers {
			if other.addr == p.addr {
				before = min(before, other.made)
			}
		}
		n.link.cut(p.addr, before)
	}
	next.list()
	b.mu.Lock()
	b.table = next
	b.mu.Unlock()
	n.link.table.Store(next)
	b.connect(next)
	b.publish()
	return nil
}

// newPeer makes the connection to a member, without connecting.
func (b *members) newPeer(view route.View, m *membership.Member, addr string) *peer {
	r := b.link.router
	region, zone := "", ""
	if here := view.Member(view.NodeID); here != nil {
		region, zone = here.Region, here.Zone
	}
	p := &peer{members: b, made: b.link.now(), relation: tally.RelationOf(region, zone, m.Region, m.Zone), id: m.ID, addr: addr, start: m.Start, target: target(r.clusterName, r.options.Service, m.ID, m.Start)}
	p.number.Store(wire.NewNumber())
	p.idle.Store(true)
	//nolint:staticcheck // only the list of addresses is deprecated, for more than one
	sub, err := b.cc.NewSubConn([]resolver.Address{address(addr)}, balancer.NewSubConnOptions{
		HealthCheckEnabled: true, // where the service configuration says so
		StateListener:      func(s balancer.SubConnState) { b.changed(p, s) },
	})
	if err != nil {
		return nil
	}
	p.sub = sub
	return p
}

// changed records the state of a connection. A connection that a call has needed is made
// again at once, or after the pause of gRPC when it could not be made. The first refusal after
// the peer was reached is a doubt of its process. gRPC dials again each second, and each member
// that has the peer does so. If each refusal were a doubt, a server that has ended in a process
// that runs would keep the holders of tethers busy.
func (b *members) changed(p *peer, s balancer.SubConnState) {
	p.ready.Store(s.ConnectivityState == connectivity.Ready)
	switch s.ConnectivityState {
	case connectivity.Ready:
		p.failing.Store(false)
		p.refused.Store(false)
	case connectivity.TransientFailure:
		p.failing.Store(true)
		if errors.Is(s.ConnectionError, syscall.ECONNREFUSED) && !p.refused.Swap(true) {
			b.link.router.doubt(p.id)
		}
	case connectivity.Idle:
		p.idle.Store(true)
		if p.wanted.Load() {
			p.connect()
		}
	case connectivity.Connecting, connectivity.Shutdown:
	}
	b.publish()
}

// publish makes a picker of the present table. It wakes the calls that wait for a change.
func (b *members) publish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	state := connectivity.Idle
	for _, p := range b.table.peers {
		switch {
		case p.ready.Load():
			state = connectivity.Ready
		case state == connectivity.Ready || !p.wanted.Load():
		case !p.failing.Load():
			state = connectivity.Connecting
		case state == connectivity.Idle:
			state = connectivity.TransientFailure
		}
	}
	b.cc.UpdateState(balancer.State{ConnectivityState: state, Picker: &picker{b, b.table}})
}

// wakeStep is the step to which the times of wake are rounded, so that many calls are
// woken together.
const wakeStep = 5 * time.Millisecond

// wake makes the calls that wait look at the members again, after a time.
func (b *members) wake(after time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.link.now()
	at := (now + after).Truncate(wakeStep) + wakeStep
	if b.closed || b.wakes != 0 && b.wakes <= at {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.wakes = at
	b.timer = time.AfterFunc(at-now, func() {
		b.mu.Lock()
		b.wakes = 0
		b.mu.Unlock()
		b.publish()
	})
}

// ResolverError is a method of balancer.Balancer. The resolver reports no errors.
func (b *members) ResolverError(err error) {
	if b.table == nil {
		b.cc.UpdateState(balancer.State{ConnectivityState: connectivity.TransientFailure, Picker: base.NewErrPicker(err)})
	}
}

// UpdateSubConnState is a method of balancer.Balancer that gRPC does not call any more.
func (b *members) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle is a method of balancer.Balancer. ClientConn.Connect calls it. Connections are made
// when calls need them, but for the one that it asks for.
func (b *members) ExitIdle() {
	b.connects = true
	if b.table != nil {
		b.connect(b.table)
	}
}

// connect connects to the nearest member, if it is asked for and there is one.
func (b *members) connect(t *table) {
	if b.connects && len(t.free) > 0 {
		b.connects = false
		t.free[0].connect()
	}
}

// Close is a method of balancer.Balancer.
func (b *members) Close() {
	b.mu.Lock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
	b.mu.Unlock()
	if b.table != nil {
		for _, p := range b.table.peers {
			p.sub.Shutdown()
		}
	}
}

// list finds the peers for calls without a key: those of active members, the nearest
// first.
func (t *table) list() {
	var zone, region, rest []*peer
	for i := range t.view.Members {
		m := &t.view.Members[i]
		p := t.peers[m.ID]
		switch {
		case p == nil || m.State != membership.Active:
		case m.Region != t.region:
			rest = append(rest, p)
		case m.Zone != t.zone:
			region = append(region, p)
		default:
			zone = append(zone, p)
		}
	}
	t.free = append(append(append(t.free, zone...), region...), rest...)
	for _, near := range [][]*peer{zone, region, rest} {
		if t.local == 0 {
			t.local = len(near)
		}
	}
}

// owners returns the owners that may answer a call, in the order of its policy, without
// those that are away. Owners that drain or leave come last, so that they get calls only when
// no other one can answer. An owner that announces no address is nil.
func (t *table) owners(room []*peer, p ring.Placement, policy route.Policy) []*peer {
	if policy == route.Nearest {
		p = p.Prefer(t.region, t.zone)
	}
	going := 0
	for i := range p.Len() {
		id := p.At(i).ID()
		switch {
		case t.away[id]:
		case policy == route.PrimaryOnly:
			return append(room, t.peers[id])
		case t.going[id]:
			going++
		default:
			room = append(room, t.peers[id])
		}
	}
	for i := 0; going > 0; i++ {
		if id := p.At(i).ID(); t.going[id] && !t.away[id] {
			room = append(room, t.peers[id])
			going--
		}
	}
	return room
}
