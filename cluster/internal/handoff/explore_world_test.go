package handoff

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
)

// most is how many members an exploration has at most.
const most = 4

// model says what is explored: members with one partition, and one write.
type model struct {
	name     string
	members  string  // the initials of the members that form the cluster; the members that rank first own
	spare    string  // the initials of the members that may join
	order    string  // the rank of the members
	quorums          // of the configuration
	least    int     // how many members stay active when one drains; 0: RF
	second   quorums // of the configuration that a rise switches to
	faults   faults
	victims  string // the members that faults happen to; all, when it is empty
	side     string // the members that a cut parts from the rest; when empty, the member that the fault happens to
	journal  bool
	plain    bool // without the reductions that docs/handoff.md lists
	overtake bool // the last query and the last answer are on their way, else the last message
	names    bool // tokens name members and not starts
	without  Safeguards
	defect   func(*Machine) // spoils a machine before each of its events
}

// fault is a failure, or a change that an operator makes.
type fault byte

const (
	crash   fault = iota // a process ends, and its data is gone
	restart              // a process ends, and the next start of the member runs before any process noticed
	power                // a process ends; with a journal it comes back as the same process
	join
	drain
	cut
	rise
	faultKinds
)

// faults says how many faults of each kind may happen.
type faults [faultKinds]uint8

// space is the memory of an exploration: the states of processes, messages and sights, each once and with
// a number.
type space struct {
	model
	ids          string
	builder      view.Builder
	locals       []*local
	localNumbers map[string]uint32
	results      map[uint64]*result
	messages     []exploredMessage
	messageAt    map[string]uint32
	sights       []sight
	sightOf      map[uint32]uint32 // a sight with a token
	may          map[string]bool   // the results of mayAccept
	sightAt      map[[most + 1]byte]uint32
	rings        map[string]*ring.Ring
	tokens       map[string]uint32
	addresses    []address // of writes
	addressAt    map[string]uint8
	histories    []string
	historyAt    map[string]uint16
	buffer       []byte
	excused      func(*failure) bool        // failures that do not count; nil: all do
	tell         func(*global, int, *sight) // is called with each view that a process gets, with nil when the member leaves
}

type exploredMessage struct {
	from, to Process
	message  *Message
}

// sight is the view that a process has of the cluster, and the owners that follow from the view.
type sight struct {
	view   View
	owners owners
	token  uint32
	agreed bool // every member of the view is active
}

// address is the token of a write request, with the owners and the quorum that its writer counts by.
type address struct {
	owners
	quorum int
	token  uint32
}

// announcement is what a member announces about itself: its state in the low 3 bits, its start in the
// next 2 bits, and the flags below. 0: the member is gone.
type announcement byte

const (
	announcedRise announcement = 1 << (5 + iota) // the member has the second configuration
	announcedBack                                // the member is back with its data
	announcedHere
)

func (a announcement) state() membership.State { return membership.State(a & 7) }
func (a announcement) start() uint64           { return uint64(a >> 3 & 3) }

func (a announcement) with(s membership.State) announcement { return a&^7 | announcement(s) }

// global is the state of the whole world. It is a value: a copy shares nothing.
type global struct {
	locals  [most]uint32
	history [most]uint16            // the announcements of each member
	known   [most][most]uint8       // twice the number of the last announcement that each process knows; odd: the process takes the member for gone
	slots   [2 * most * most]uint32 // the last query and the last answer from each member to each other: each may arrive at any time, again and again, or never
	left    faults
	apart   uint8 // the members on one side of a cut
	moving  bool  // a change is not complete, and other changes may follow
	overlap bool  // there was a cut, or a change before the last one was complete: until all changes are complete, ready owners may miss a write
	losses  uint8 // processes that lost their state since all handoffs were complete
	write   exploredWrite
}

// exploredWrite is the state of the write.
type exploredWrite struct {
	address uint8  // the address that the write was sent to; 0: the write is not sent yet
	pending uint8  // members that the request may still reach
	acked   uint16 // processes that acknowledged the write
	holders uint16 // processes that the claim counts
	gone    uint8  // how many holders lost their state
	known   bool   // the write is acknowledged
}

func newSpace(m model) *space {
	x := &space{
		model: m, ids: m.members + m.spare, localNumbers: make(map[string]uint32), results: make(map[uint64]*result),
		messages: make([]exploredMessage, 1), may: make(map[string]bool), sightOf: make(map[uint32]uint32), messageAt: make(map[string]uint32), sights: make([]sight, 1), sightAt: make(map[[most + 1]byte]uint32),
		rings: make(map[string]*ring.Ring), tokens: make(map[string]uint32), addresses: make([]address, 1), addressAt: make(map[string]uint8), histories: []string{""}, historyAt: map[string]uint16{"": 0},
	}
	x.builder.Configurations = make(map[string]view.Configuration)
	for _, q := range []quorums{m.quorums, m.second} {
		c := x.configuration(q)
		x.builder.Configurations[c.Name()] = c
	}
	x.intern(&local{})
	return x
}

func (x *space) configuration(q quorums) view.Configuration {
	return view.Configuration{
		Config: ring.Config{PartitionCount: 1, ReplicationFactor: max(int(q.factor), 1), WriteQuorum: int(q.writes), Strategy: byRank(x.order)},
	}
}

// byRank is a strategy that ranks members always in the same order.
type byRank string

func (r byRank) Name() string { return "rank/" + string(r) }

func (r byRank) Assign(t ring.Topology, table ring.Table) error {
	nodes := make([]uint16, len(t.Nodes))
	for i := range nodes {
		nodes[i] = uint16(i)
	}
	slices.SortFunc(nodes, func(a, b uint16) int {
		return strings.Index(string(r), t.Nodes[a].ID) - strings.Index(string(r), t.Nodes[b].ID)
	})
	copy(table.Row(0), nodes)
	return nil
}

// number returns the place and the start of a process in one byte.
func (x *space) number(p Process) byte {
	if p == (Process{}) {
		return 0xff
	}
	return byte(strings.Index(x.ids, p.ID))<<2 | byte(p.Start)
}

func (x *space) check(err error) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", x.name, err))
	}
}

// message returns the number of a message.
func (x *space) message(from, to Process, said *Message) uint32 {
	m := exploredMessage{from: from, to: to}
	b := said.Bytes()
	key := string(append(b, x.number(from), x.number(to)))
	n, known := x.messageAt[key]
	if !known {
		var err error
		m.message, err = ParseMessage(slices.Clip(b), 1)
		x.check(err)
		n = uint32(len(x.messages))
		x.messages, x.messageAt[key] = append(x.messages, m), n
	}
	return n
}

// renumbered returns a message with the rank of its query number in place of the number.
func (x *space) renumbered(n uint32, thresholds []uint64) uint32 {
	m := x.messages[n]
	rank := ranked(m.message.query, thresholds)
	if m.message.query == rank || m.message.query == 0 {
		return n
	}
	next := *m.message
	next.query = rank
	return x.message(m.from, m.to, &next)
}

func (x *space) slot(from, to int, kind byte) int {
	at := 2 * (from*most + to)
	if kind == answer && x.overtake {
		at++
	}
	return at
}

// kinds returns the kinds of messages that have separate slots on their way.
func (x *space) kinds() []byte {
	if x.overtake {
		return []byte{query, answer}
	}
	return []byte{query}
}

// token returns a number for owners and their write quorum. The number covers the starts of the owners,
// as a token does. With names it covers the members alone, as tokens once did.
func (x *space) token(o owners, q int) uint32 {
	key := []byte{byte(q)}
	for _, s := range []set{o.serving, o.target} {
		for _, p := range s {
			if x.names {
				p.Start, key[0] = 0, 0
			}
			key = append(key, x.number(p))
		}
		key = append(key, '/')
	}
	n, known := x.tokens[string(key)]
	if !known {
		n = uint32(len(x.tokens)) + 1
		x.tokens[string(key)] = n
	}
	return n
}

// address returns a number for the owners and the quorum that a process sees.
func (x *space) address(s *sight) uint8 {
	quorum := s.view.Ring.Config().WriteQuorum
	key := []byte{byte(quorum)}
	for _, some := range []set{s.owners.serving, s.owners.target} {
		for _, p := range some {
			key = append(key, x.number(p))
		}
		key = append(key, '/')
	}
	n, known := x.addressAt[string(key)]
	if !known {
		n = uint8(len(x.addresses))
		x.addresses = append(x.addresses, address{s.owners, quorum, s.token})
		x.addressAt[string(key)] = n
	}
	return n
}

// newest returns the number of the last announcement of a member, from 1, and the announcement.
func (x *space) newest(g *global, i int) (uint8, announcement) {
	h := x.histories[g.history[i]]
	if h == "" {
		return 0, 0
	}
	return uint8(len(h)), announcement(h[len(h)-1])
}

// sees returns the number of the sight of a process, by the announcements that the process knows.
func (x *space) sees(g *global, i int) uint32 {
	key := [most + 1]byte{most: byte(i)}
	for j := range x.ids {
		if k := g.known[i][j]; k > 0 && k&1 == 0 {
			key[j] = x.histories[g.history[j]][k/2-1]
		}
	}
	return x.sight(key)
}

func (x *space) sight(key [most + 1]byte) uint32 {
	n, known := x.sightAt[key]
	if !known {
		n = uint32(len(x.sights))
		x.sights = append(x.sights, x.derive(int(key[most]), key))
		x.sightOf[x.sights[n].token] = n
		x.sightAt[key] = n
	}
	return n
}

// derive derives a view as package cluster does it.
func (x *space) derive(i int, key [most + 1]byte) (s sight) {
	var members []membership.Member
	s.view.Starts = make(map[string]uint64)
	now, next := x.configuration(x.quorums).Name(), x.configuration(x.second).Name()
	s.agreed = true
	for j, id := range strings.Split(x.ids, "") {
		a := announcement(key[j])
		if a == 0 {
			continue
		}
		m := membership.Member{ID: id, Weight: 1, State: a.state(), PartitionCount: 1, Configurations: []string{now}, Start: membership.Start{Nonce: a.start()}}
		if a&announcedRise != 0 {
			m.Configurations = append(m.Configurations, next)
		}
		if a&announcedBack != 0 {
			m.Origin = a.start()
		}
		s.agreed = s.agreed && m.State == membership.Active
		members = append(members, m)
		s.view.Starts[id] = a.start()
	}
	slices.SortFunc(members, func(a, b membership.Member) int { return strings.Compare(a.ID, b.ID) })
	v := x.builder.Derive(members, view.Empty())
	x.check(v.Failure)
	same := fmt.Sprint(v.Ring.Fingerprint(), s.view.Starts) // equal rings are kept once
	if x.rings[same] == nil {
		x.rings[same] = v.Ring
	}
	s.view.Ring = x.rings[same]
	own := announcement(key[i])
	s.view.Draining, s.view.Leaving = own.state() == membership.Draining, own.state() == membership.Leaving
	if s.view.Ring.Len() > 0 {
		s.owners = *new(surroundings).ownersOf(s.view.Ring.Placement(0))
		s.token = x.token(s.owners, s.view.Ring.Config().WriteQuorum)
	}
	return s
}

// append writes a state as bytes, for its hash and for the list of states to explore.
func (x *space) append(b []byte, g *global) []byte {
	n := len(x.ids)
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, g.locals[i])
		b = binary.LittleEndian.AppendUint16(b, g.history[i])
		b = append(b, g.known[i][:n]...)
		for at := 2 * i * most; at < 2*(i*most+n); at++ {
			b = binary.LittleEndian.AppendUint32(b, g.slots[at])
		}
	}
	b = append(b, g.left[:]...)
	w := &g.write
	b = append(b, g.apart, g.losses, w.address, w.pending, w.gone)
	for _, u := range []uint16{w.acked, w.holders} {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	flags := byte(0)
	if g.overlap {
		flags |= 1
	}
	if w.known {
		flags |= 2
	}
	if g.moving {
		flags |= 4
	}
	return append(b, flags)
}

// read reads what append wrote.
func (x *space) read(b []byte) (g global) {
	n := len(x.ids)
	u16 := func() (u uint16) { u, b = binary.LittleEndian.Uint16(b), b[2:]; return u }
	u32 := func() (u uint32) { u, b = binary.LittleEndian.Uint32(b), b[4:]; return u }
	for i := range n {
		g.locals[i], g.history[i] = u32(), u16()
		b = b[copy(g.known[i][:n], b):]
		for at := 2 * i * most; at < 2*(i*most+n); at++ {
			g.slots[at] = u32()
		}
	}
	b = b[copy(g.left[:], b):]
	w := &g.write
	g.apart, g.losses, w.address, w.pending, w.gone = b[0], b[1], b[2], b[3], b[4]
	b = b[5:]
	w.acked, w.holders = u16(), u16()
	g.overlap, w.known, g.moving = b[0]&1 != 0, b[0]&2 != 0, b[0]&4 != 0
	return g
}
