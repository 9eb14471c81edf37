package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

// scenario holds the state of the steps: the running members, the load, the screen.
type scenario struct {
	demo.Screen
	load    *load
	reads   int // the length of a name in a table
	members []*demo.Process
	before  tally // with all members up
}

// start starts the six members and fills the cache.
func (s *scenario) start(ctx context.Context) error {
	s.Step("Six members start, and the cache fills.")
	for _, at := range []struct{ id, zone string }{{"n1", "a"}, {"n2", "a"}, {"n3", "b"}, {"n4", "b"}, {"n5", "c"}, {"n6", "c"}} {
		if err := s.spawn(ctx, len(s.members), at.id, at.zone); err != nil {
			return err
		}
	}
	s.Printf("   %-6s  %-4s  %-15s  %s\n", "member", "zone", "gossip", "HTTP")
	for _, p := range s.members {
		s.Printf("   %-6s  %-4s  %-15s  %s\n", p.ID, p.Zone, p.Gossip, p.HTTP)
	}
	s.Printf("\n")
	if err := s.agree(ctx, s.members); err != nil {
		return err
	}
	s.Printf("\n")
	s.head()
	for _, name := range []string{"empty", "filling", "filled"} {
		if err := s.line(name, s.load.run(ctx, s.members, s.reads, "")); err != nil {
			return err
		}
	}
	return nil
}

// zones compares reading from the nearest owner with reading from the primary.
func (s *scenario) zones(ctx context.Context) error {
	s.Step("Reads are answered by the nearest owner: every zone has one.")
	s.head()
	primary := s.load.run(ctx, s.members, s.reads, "?from=primary")
	if err := s.line("off: primary", primary); err != nil {
		return err
	}
	s.before = s.load.run(ctx, s.members, s.reads, "")
	if err := s.line("on: nearest", s.before); err != nil {
		return err
	}
	if on, off := share(s.before.near, s.before.reads), share(primary.near, primary.reads); on < 99 || off > 60 {
		return fmt.Errorf("%.1f %% of the reads stayed in their zone with zone preference and %.1f %% without: expected 100 and a third", on, off)
	}
	return nil
}

// kill kills n2 and shows that the load goes on.
func (s *scenario) kill(ctx context.Context) error {
	s.Step("n2 is killed (kill -9). The load goes on.")
	victim := s.members[1]
	survivors := append([]*demo.Process{s.members[0]}, s.members[2:]...)
	loading, noticed := context.WithCancel(ctx)
	defer noticed()
	unnoticed := make(chan tally, 1)
	go func() { unnoticed <- s.load.run(loading, s.members, untilDone, "") }()
	victim.Kill()
	s.News(time.Now(), "n2 is gone; half of what zone a reads was there")
	err := s.agree(ctx, survivors)
	noticed()
	was := <-unnoticed
	if err != nil {
		return err
	}
	return s.showChange(ctx, "unnoticed", was, "taken over")
}

// restart starts n2 again, with an empty cache.
func (s *scenario) restart(ctx context.Context) error {
	s.Step("n2 is back: the same NodeID, an empty memory.")
	loading, back := context.WithCancel(ctx)
	defer back()
	joining := make(chan tally, 1)
	everyone := slices.Clone(s.members) // in the order of the load, with n2 at its earlier position
	go func() { joining <- s.load.run(loading, everyone, untilDone, "") }()
	err := s.spawn(ctx, 1, "n2", "a")
	if err == nil {
		err = s.agree(ctx, s.members)
	}
	back()
	was := <-joining
	if err != nil {
		return err
	}
	return s.showChange(ctx, "joining", was, "back")
}

// showChange shows the load during a change and after it, and compares both with the
// load before.
func (s *scenario) showChange(ctx context.Context, name string, during tally, next string) error {
	s.Printf("\n")
	s.head()
	if err := s.line("before", s.before); err != nil {
		return err
	}
	if err := s.line(name, during); err != nil {
		return err
	}
	first := s.load.run(ctx, s.members, s.reads, "")
	if err := s.line(next, first); err != nil {
		return err
	}
	later := s.load.run(ctx, s.members, s.reads, "")
	if err := s.line("later", later); err != nil {
		return err
	}
	for _, t := range []tally{during, first, later} {
		if t.hitRate() < s.before.hitRate()-3 {
			return fmt.Errorf("the hit rate fell from %.1f %% to %.1f %%", s.before.hitRate(), t.hitRate())
		}
	}
	if first.fills == 0 && during.fills == 0 {
		return errors.New("nothing was filled from the other owners")
	}
	return nil
}

// stop stops all members gracefully.
func (s *scenario) stop(context.Context) error { return demo.StopAll(s.members) }

// spawn starts a member, and replaces an earlier one of its NodeID.
func (s *scenario) spawn(ctx context.Context, at int, id, zone string) error {
	join := make([]string, 0, len(s.members))
	for _, p := range s.members {
		if p.ID != id {
			join = append(join, p.Gossip)
		}
	}
	p, err := demo.Spawn(ctx, id, zone, nil, "-join", strings.Join(join, ","))
	if err != nil {
		return err
	}
	if at == len(s.members) {
		s.members = append(s.members, p)
	} else {
		s.members[at] = p
	}
	return nil
}

// agree waits until all members report that they agree.
func (s *scenario) agree(ctx context.Context, members []*demo.Process) error {
	return demo.Await(ctx, fmt.Sprintf("%d members agree", len(members)), func() error {
		fingerprint, err := demo.Agreed(ctx, members...)
		if err == nil {
			s.News(time.Now(), "all %d members agree: fingerprint %v", len(members), fingerprint)
		}
		return err
	})
}

func (s *scenario) head() {
	s.Printf("   %-12s  %6s  %8s  %12s  %8s  %13s  %6s\n", "", "reads", "hit rate", "of it filled", "own zone", "writes to all", "failed")
}

// line prints a line of a table. It returns an error if a read or a write failed.
func (s *scenario) line(name string, t tally) error {
	s.Printf("   %-12s  %6d  %6.1f %%  %10.1f %%  %6.1f %%  %11.1f %%  %6d\n", name, t.reads,
		t.hitRate(), share(t.fills, t.hits+t.fills), share(t.near, t.reads), share(t.everywhere, t.writes), t.failed)
	if t.err != nil {
		return fmt.Errorf("%d of %d requests failed, the first: %w", t.failed, t.reads+t.writes, t.err)
	}
	return nil
}
