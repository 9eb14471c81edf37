package handoff

import (
	"fmt"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
)

// progress makes a process announce its next lifecycle state, when it may.
func (x *space) progress(g *global, i int) string {
	l := x.locals[g.locals[i]]
	_, now := x.newest(g, i)
	switch state := now.state(); {
	case l.machine == nil:
		return ""
	case state == membership.Joining && (l.summary.Joined || now&announcedBack != 0): // also when no member owns: enough members are back
		return x.announce(g, i, now.with(membership.Active))
	case state == membership.Draining && l.summary.HandedOver:
		return x.announce(g, i, now.with(membership.Leaving))
	case state == membership.Leaving && l.summary.Bare:
		wrong := ""
		if l.has {
			wrong = fmt.Sprintf("%s leaves with the write", l.self.ID)
		}
		x.end(g, i, false, 0)
		if x.tell != nil {
			x.tell(g, i, nil)
		}
		return wrong
	}
	return ""
}

// formed reports whether a process sees a member that owns.
func (x *space) formed(g *global, i int) bool { return x.sights[x.sees(g, i)].token != 0 }

// announce changes the announcement of a member. The member itself has the new view at once.
func (x *space) announce(g *global, i int, a announcement) string {
	x.record(g, i, a)
	return x.do(g, i, actView, x.sees(g, i))
}

// record adds an announcement of a member. 0: the member is gone.
func (x *space) record(g *global, i int, a announcement) {
	h := x.histories[g.history[i]] + string([]byte{byte(a)})
	n, known := x.historyAt[h]
	if !known {
		n = uint16(len(x.histories))
		x.histories, x.historyAt[h] = append(x.histories, h), n
	}
	g.history[i] = n
	if a != 0 {
		g.known[i][i] = 2 * uint8(len(h))
	}
}

// boot starts a process: as another start or, with start 0, as the process that was away. The process
// knows the last announcement of each member that it reaches.
func (x *space) boot(g *global, i int, start uint8) string {
	_, was := x.newest(g, i)
	a := announcement(start)<<3 | announcedHere | was&announcedRise
	if x.second.factor > 0 && i > 0 {
		a |= announcedRise // member 0 gets the second configuration last
	}
	if start == 0 {
		a |= announcedBack | was&(3<<3)
	}
	for j := range x.ids {
		if last, says := x.newest(g, j); j != i && last > 0 && says != 0 && g.apart>>i&1 == g.apart>>j&1 && !x.off(g, j) {
			g.known[i][j] = 2 * last
		}
	}
	x.record(g, i, a.with(membership.Joining))
	if wrong := x.do(g, i, actStart, uint32(start)); wrong != "" {
		return wrong
	}
	return x.do(g, i, actView, x.sees(g, i))
}

// back starts a process that was off. When its journal holds no partition, the process begins as a new
// one.
func (x *space) back(g *global, i int) string {
	if b := x.locals[g.locals[i]].disk.records; b != nil {
		record, err := ParseRecord(b, 0, 1)
		if x.check(err); record.Held() {
			return x.boot(g, i, 0)
		}
	}
	_, now := x.newest(g, i)
	g.losses++ // to other members the process is gone
	return x.boot(g, i, uint8(now.start())+1)
}

// end ends a process. Messages on their way to the process do not arrive.
func (x *space) end(g *global, i int, again bool, disk uint32) {
	l := x.locals[g.locals[i]]
	r := x.act(g.locals[i], actOff, disk)
	g.locals[i], g.known[i] = r.next, [most]uint8{}
	for j := range x.ids {
		for _, kind := range []byte{query, answer} {
			g.slots[x.slot(j, i, kind)] = 0
		}
	}
	if !again {
		x.record(g, i, 0)
	}
	if bit := uint16(1) << x.number(l.self); g.write.holders&bit != 0 && !x.locals[r.next].has {
		g.write.holders &^= bit
		g.write.gone++
	}
}

// fault carries out a fault.
func (x *space) fault(g *global, f fault, i int) string {
	_, now := x.newest(g, i)
	switch f {
	case crash, restart:
		g.losses++
		x.end(g, i, f == restart, 0)
		if f == restart {
			return x.boot(g, i, uint8(now.start())+1)
		}
	case power:
		x.end(g, i, true, 1)
	case join:
		return x.boot(g, i, 1)
	case drain:
		return x.announce(g, i, now.with(membership.Draining))
	case rise:
		return x.announce(g, i, now|announcedRise)
	case cut:
		g.apart, g.overlap = 1<<i, true
		for j, id := range strings.Split(x.ids, "") {
			if strings.Contains(x.side, id) {
				g.apart = g.apart&^(1<<i) | 1<<j
			}
		}
	}
	return ""
}
