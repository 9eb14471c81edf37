package handoff

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/clusterkit/clusterkit/ring"
)

// printer writes moves as the commands of a scenario.
type printer struct {
	*space
	lines  []string
	copies map[int]int // for each process, the line after which its merge began
}

func (p *printer) say(format string, args ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, args...))
}

// print returns the commands that lead to a failure, and those of the fair run after it.
func (x *space) print(start global, f *failure) []string {
	p := &printer{space: x, copies: make(map[int]int)}
	g, moves := start, x.withFairRun(start, f)
	x.tell = p.view
	defer func() { x.tell = nil }()
	owners := strings.Join(strings.Split(x.order, ""), ",")
	if x.spare != "" {
		owners = strings.Join(strings.Split(x.members, ""), ",")
	}
	p.say("cluster factor=%d quorum=%d owners=%s prompt%s", x.factor, x.writes, owners, map[bool]string{true: " journal"}[x.journal])
	for at, m := range moves {
		again := false
		if m[0] == moveDeliver {
			n, later := g.slots[x.slot(int(m[1]), int(m[2]), m[3])], g
			x.tell = nil
			for next := range moves[at:] {
				again = again || next > 0 && moves[at+next] == m && later.slots[x.slot(int(m[1]), int(m[2]), m[3])] == n
				x.apply(&later, moves[at+next])
			}
			x.tell = p.view
		}
		p.move(&g, m, again)
	}
	p.say("status")
	return p.lines
}

// move writes a move as commands, and carries it out.
func (p *printer) move(g *global, m move, again bool) {
	x, i := p.space, m.at()
	id := func(i byte) string { return x.ids[i : i+1] }
	at := id(byte(i))
	if m[0]&moveLate != 0 || m[0] == moveAccept {
		if g.write.address == 0 {
			p.say("send x by=%s", at)
		}
	}
	if m[0]&moveLate != 0 {
		p.say("arrive x at=%s open", at)
	}
	switch m[0] &^ moveLate {
	case moveDeliver:
		kind := "query"
		if x.messages[g.slots[x.slot(int(m[1]), i, m[3])]].message.kind == answer {
			kind = "answer"
		}
		p.say("deliver %s->%s %s%s", id(m[1]), at, kind, map[bool]string{true: " twice"}[again])
	case moveTimer:
		p.say("timer %s %s", at, map[byte]string{byte(Ask): "ask", byte(Patience): "patience", byte(Retry): "retry", byte(Announce): "announce"}[m[2]&15])
	case moveEnd:
		p.end(g, i, m[2])
	case moveSaved:
		p.say("end %s", at)
	case moveSend:
		p.say("send x by=%s", at)
	case moveAccept:
		p.say("arrive x at=%s", at)
	case moveApply:
		p.say("apply x at=%s", at)
	case moveFault:
		if word := map[fault]string{crash: "crash", restart: "restart", power: "off", join: "start", cut: "cut"}[fault(m[1])]; word != "" {
			if fault(m[1]) == cut && x.side != "" {
				at = strings.Join(strings.Split(x.side, ""), " ")
			}
			p.say("%s %s", word, at)
		}
	case moveBack:
		p.say("start %s", at)
	case moveHeal:
		p.say("heal")
	}
	had := x.locals[g.locals[i]].job
	x.apply(g, m)
	if now := x.locals[g.locals[i]].job; now != nil && now != had {
		p.copies[i] = len(p.lines)
	}
}

// view writes the view that a process gets, or, without a view, that the member leaves.
func (p *printer) view(g *global, i int, is *sight) {
	x, at := p.space, p.ids[i:i+1]
	if is == nil {
		p.say("leave %s", at)
		return
	}
	line := "view at=" + at
	if r := is.view.Ring; r.Len() > 0 {
		if line += " serving=" + x.named(g, r); r.Target() != r {
			line += " target=" + x.named(g, r.Target())
		}
	}
	var alive []string
	for j, id := range strings.Split(x.ids, "") {
		if start, known := is.view.Starts[id]; known {
			alive = append(alive, x.startWord(g, j, start))
		}
	}
	line += " alive=" + strings.Join(alive, ",")
	if is.view.Draining {
		line += " draining=" + at
	}
	if is.view.Leaving {
		line += " leaving=" + at
	}
	if x.second.factor > 0 && is.view.Ring.Len() > 0 {
		line += fmt.Sprintf(" factor=%d quorum=%d", is.view.Ring.Config().ReplicationFactor, is.view.Ring.Config().WriteQuorum)
	}
	p.say("%s", line)
}

// startWord names a start of a member. The start that runs has the name of the member alone.
func (x *space) startWord(g *global, i int, start uint64) string {
	if runs := x.locals[g.locals[i]]; runs.machine != nil && runs.self.Start == start && g.apart == 0 {
		return x.ids[i : i+1]
	}
	return fmt.Sprint(x.ids[i:i+1], start)
}

// named returns the members of a ring by their rank.
func (x *space) named(g *global, r *ring.Ring) string {
	var ids []string
	for _, n := range r.Nodes() {
		ids = append(ids, x.startWord(g, strings.Index(x.ids, n.ID), n.Start))
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Index(x.order, a[:1]) - strings.Index(x.order, b[:1]) })
	return strings.Join(ids, ",")
}

// end writes the end of a job, and which sources a merge read when it began.
func (p *printer) end(g *global, i int, how byte) {
	l, at := p.locals[g.locals[i]], p.ids[i:i+1]
	switch {
	case how == jobFailed:
		p.say("end %s failed", at)
		return
	case l.job.Kind != Merge:
		p.say("end %s", at)
		return
	}
	reached, had := p.reach(g, i, l.job.Sources)
	var before, now []string
	wants := how == jobWith
	for pass := range 2 {
		for s, from := range l.job.Sources {
			bit, left := byte(1)<<s, l.job.Need-len(before)-len(now)
			if left == 0 || slices.Contains(before, from.ID) || slices.Contains(now, from.ID) {
				continue
			}
			useful := func(reached, had byte) bool {
				return reached&bit != 0 && (pass == 1 && wants || (had&bit != 0) == wants)
			}
			switch {
			case useful(reached, had):
				now = append(now, from.ID)
			case useful(l.early.reached, l.early.had):
				before = append(before, from.ID)
			}
		}
	}
	if len(before) > 0 {
		line := p.copies[i]
		p.lines = slices.Insert(p.lines, line, fmt.Sprintf("copy %s from=%s", at, strings.Join(before, ",")))
		for j := range p.copies {
			if p.copies[j] > line {
				p.copies[j]++
			}
		}
	}
	if len(now) == 0 {
		now = []string{"nobody"}
	}
	p.say("end %s from=%s", at, strings.Join(now, ","))
}

// withFairRun returns the moves of a failure, and those of the fair run after them that change anything.
func (x *space) withFairRun(g global, f *failure) []move {
	for _, m := range f.moves {
		x.apply(&g, m)
	}
	moves := slices.Clone(f.moves)
	if f.fair {
		x.settle(&g, nil, func(m move) { moves = append(moves, m) })
	}
	return moves
}

// play carries out the commands of a scenario, and returns the scenario file.
func play(t *testing.T, x *space, lines []string) (*scenario, string) {
	s := newScenario()
	s.t, s.defect, s.names = t, x.defect, x.names
	var file strings.Builder
	for _, line := range lines {
		cmd, args, err := datadriven.ParseLine(line)
		x.check(err)
		if cmd == "timer" && s.running[args[0].Key] == nil {
			continue
		}
		s.log = nil
		s.do(cmd, args)
		for _, p := range s.running {
			s.without, p.machine.around.config.Without = x.without, x.without
		}
		file.WriteString(line + "\n----\n")
		for _, said := range s.log {
			file.WriteString(said + "\n")
		}
		file.WriteString("\n")
	}
	return s, file.String()
}
