package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
)

// step is a part of the scenario.
type step func(*scenario, context.Context) error

const (
	atStart = 5 // the number of members at the beginning
	quorate = 3 // how many of them must be there before the first one owns

	// gapBound is how long a key may be unreadable on a machine that is not busy: the time in which
	// a crash is noticed, 15 probe intervals of a second, and a reserve.
	gapBound = 17 * time.Second
	// settleWithin is how long members may take until nothing moves any more, also on a
	// busy machine.
	settleWithin = 3 * time.Minute
)

// scenario holds the state of the steps: the running members, the load, the screen.
type scenario struct {
	demo.Screen
	load     *load
	members  []*demo.Process // ascending by ID
	statuses map[*demo.Process]status
	names    int
	gap      time.Duration // how long a key may be unreadable

	stop func() // the load
}

func newScenario(screen demo.Screen, f form) *scenario {
	return &scenario{Screen: screen, gap: f.gap, load: newLoad(f.pace), statuses: make(map[*demo.Process]status), stop: func() {}}
}

// end stops the load and kills all members.
func (sc *scenario) end() {
	sc.stop()
	for _, p := range sc.members {
		p.Kill() // has no effect on a member that has stopped
	}
}

// spawn starts a member: the next new one, or an earlier one again.
func (sc *scenario) spawn(ctx context.Context, id string) (*demo.Process, error) {
	if id == "" {
		sc.names++
		id = fmt.Sprintf("n%d", sc.names)
	}
	join := make([]string, 0, len(sc.members))
	for _, p := range sc.members {
		join = append(join, p.Gossip)
	}
	zone := string("abc"[(id[len(id)-1]-'1')%3])
	p, err := demo.Spawn(ctx, id, zone, nil, "-min", strconv.Itoa(quorate), "-join", strings.Join(join, ","))
	if err != nil {
		return nil, err
	}
	sc.members = append(sc.members, p)
	slices.SortFunc(sc.members, func(x, y *demo.Process) int { return strings.Compare(x.ID, y.ID) })
	sc.load.over(sc.members)
	return p, nil
}

// remove forgets a member that has ended.
func (sc *scenario) remove(p *demo.Process) {
	sc.members = slices.DeleteFunc(sc.members, func(q *demo.Process) bool { return q == p })
	sc.load.over(sc.members)
}

// settle waits until all members agree, own, and have nothing left to move.
func (sc *scenario) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWithin, fmt.Errorf("not within %v", settleWithin))
	defer cancel()
	return demo.Await(ctx, fmt.Sprintf("%d members have settled", len(sc.members)), func() error {
		if _, err := demo.Agreed(ctx, sc.members...); err != nil {
			return err
		}
		for _, p := range sc.members {
			s, err := sc.ask(ctx, p)
			switch h := s.Handoff; {
			case err != nil:
				return err
			case len(h.Lost) > 0:
				return fmt.Errorf("%s reports possible loss of partitions %v", p.ID, h.Lost)
			case s.State != membership.Active.String() || h.Receiving+h.Releasing+h.Sharing > 0:
				return fmt.Errorf("%s is %s, with %d partitions to receive, %d to release and %d to share", p.ID, s.State, h.Receiving, h.Releasing, h.Sharing)
			}
		}
		return nil
	})
}

// ask asks a member for its status, and stores it.
func (sc *scenario) ask(ctx context.Context, p *demo.Process) (s status, err error) {
	if err = demo.Get(ctx, p, "/status", &s); err == nil {
		sc.statuses[p] = s
	}
	return s, err
}

// drain stops a member gracefully.
func (sc *scenario) drain(ctx context.Context, p *demo.Process) error {
	if err := p.Signal(terminate); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeoutCause(ctx, drainWithin+stopWithin, fmt.Errorf("not drained within %v", drainWithin))
	defer cancel()
	err := p.Wait(waiting)
	sc.remove(p)
	return err
}

// report prints the results of the load, and returns an error for results that must not
// occur.
func (sc *scenario) report() error {
	t := sc.load.soFar()
	moved := int64(0)
	for _, s := range sc.statuses {
		moved += s.Moved
	}
	var reading, writing gap
	for _, l := range sc.load.hot {
		for _, g := range []struct{ longest, of *gap }{{&reading, &l.read}, {&writing, &l.written}} {
			if g.of.longest > g.longest.longest {
				*g.longest = *g.of
			}
		}
	}
	failed := 0
	kinds := make([]string, 0, len(t.errors))
	for _, kind := range slices.Sorted(maps.Keys(t.errors)) {
		failed += t.errors[kind]
		kinds = append(kinds, fmt.Sprintf("%d %s", t.errors[kind], kind))
	}
	sc.Fact("operations", "%d reads, %d writes, %d deletions", t.reads, t.writes, t.deletes)
	sc.Fact("errors", "%d: %s", failed, cmp.Or(strings.Join(kinds, ", "), "none"))
	sc.Fact("stale reads", "%d missed a write that was acknowledged before them", t.stale)
	sc.Fact("longest gap", "%.1fs between reads of one key, %.1fs between writes", reading.longest.Seconds(), writing.longest.Seconds())
	sc.Fact("moved", "%d partition replicas", moved)
	switch {
	case t.wrong != nil:
		return t.wrong
	case reading.longest > sc.gap:
		return fmt.Errorf("a key could not be read for %v, from %v on: more than %v", reading.longest, reading.from.Format(time.TimeOnly), sc.gap)
	}
	return nil
}
