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

	"github.com/clusterkit/clusterkit/examples/internal/stage"
	"github.com/clusterkit/clusterkit/membership"
)

// act is a part of the story.
type act func(*bed, context.Context) error

const (
	crew    = 5 // members at the beginning
	quorate = 3 // of which must be there before the first begin

	// gapBound is how long a key may be unreadable: as long as it may take to
	// notice a crash, 15 probe intervals of a second, and some slack.
	gapBound = 17 * time.Second
	// settleWithin is how long members may take to have nothing left to move.
	settleWithin = 45 * time.Second
)

// bed is where the acts play: the members that are up, the load, the screen.
type bed struct {
	stage.Screen
	load     *load
	members  []*stage.Process // ascending by ID
	statuses map[*stage.Process]status
	names    int

	stop func() // the load
}

func newBed(screen stage.Screen) *bed {
	return &bed{Screen: screen, load: newLoad(), statuses: make(map[*stage.Process]status), stop: func() {}}
}

// end leaves nothing behind.
func (b *bed) end() {
	b.stop()
	for _, p := range b.members {
		p.Kill() // who has stopped already does not mind
	}
}

// spawn starts a member, the next one or one that was there before.
func (b *bed) spawn(ctx context.Context, id string) (*stage.Process, error) {
	if id == "" {
		b.names++
		id = fmt.Sprintf("n%d", b.names)
	}
	join := make([]string, 0, len(b.members))
	for _, p := range b.members {
		join = append(join, p.Gossip)
	}
	zone := string("abc"[(id[len(id)-1]-'1')%3])
	p, err := stage.Spawn(ctx, id, zone, nil, "-min", strconv.Itoa(quorate), "-join", strings.Join(join, ","))
	if err != nil {
		return nil, err
	}
	b.members = append(b.members, p)
	slices.SortFunc(b.members, func(x, y *stage.Process) int { return strings.Compare(x.ID, y.ID) })
	b.load.over(b.members)
	return p, nil
}

// remove forgets a member that has ended.
func (b *bed) remove(p *stage.Process) {
	b.members = slices.DeleteFunc(b.members, func(q *stage.Process) bool { return q == p })
	b.load.over(b.members)
}

// settle waits until all members agree, own, and have nothing left to move.
func (b *bed) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleWithin, fmt.Errorf("%d members did not settle in %v", len(b.members), settleWithin))
	defer cancel()
	return stage.Await(ctx, func() error {
		if _, err := stage.Agreed(ctx, b.members...); err != nil {
			return err
		}
		for _, p := range b.members {
			s, err := b.ask(ctx, p)
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

// ask asks a member how it stands, and remembers it.
func (b *bed) ask(ctx context.Context, p *stage.Process) (s status, err error) {
	if err = stage.Get(ctx, p, "/status", &s); err == nil {
		b.statuses[p] = s
	}
	return s, err
}

// drain ends a member in good order.
func (b *bed) drain(ctx context.Context, p *stage.Process) error {
	if err := p.Signal(terminate); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeoutCause(ctx, drainWithin, fmt.Errorf("not drained in %v", drainWithin))
	defer cancel()
	err := p.Wait(waiting)
	b.remove(p)
	return err
}

// report prints what came of the load, and returns what must not be.
func (b *bed) report() error {
	t := b.load.soFar()
	moved := int64(0)
	for _, s := range b.statuses {
		moved += s.Moved
	}
	var reading, writing gap
	for _, l := range b.load.hot {
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
	b.Fact("operations", "%d reads, %d writes, %d deletions", t.reads, t.writes, t.deletes)
	b.Fact("errors", "%d: %s", failed, cmp.Or(strings.Join(kinds, ", "), "none"))
	b.Fact("stale reads", "%d missed a write that was acknowledged before them", t.stale)
	b.Fact("longest gap", "%.1fs between reads of one key, %.1fs between writes", reading.longest.Seconds(), writing.longest.Seconds())
	b.Fact("moved", "%d partition replicas", moved)
	switch {
	case t.wrong != nil:
		return t.wrong
	case reading.longest > gapBound:
		return fmt.Errorf("a key could not be read for %v, from %v on: more than %v", reading.longest, reading.from.Format(time.TimeOnly), gapBound)
	}
	return nil
}
