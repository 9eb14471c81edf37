package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

// scenario holds the state of the steps: the running members, and the screen.
type scenario struct {
	demo.Screen
	settings
	members []*demo.Process
}

// end stops the members that still run, and ignores their errors.
func (s *scenario) end() { _ = demo.StopAll(s.members) }

// start starts two members in each of three zones.
func (s *scenario) start(ctx context.Context) error {
	s.Step("Six processes start. A request for any key may go to any of them.")
	s.Printf("   %-6s  %-4s  %s\n", "member", "zone", "service, behind its router")
	join := ""
	for i, zone := range []string{"a", "a", "b", "b", "c", "c"} {
		p, err := demo.Spawn(ctx, fmt.Sprintf("n%d", i+1), zone, nil, append(s.memberArgs(), "-join", join)...)
		if err != nil {
			return err
		}
		s.members = append(s.members, p)
		join = s.members[0].Gossip
		s.Printf("   %-6s  %-4s  http://%s/kv/{key}\n", p.ID, p.Zone, p.Service)
	}
	if err := agree(ctx, s.members); err != nil {
		return err
	}
	s.Printf("\n   They agree: every key has three owners, one in each zone.\n")
	return nil
}

// compare reads with and without a preference for the own zone.
func (s *scenario) compare(ctx context.Context) error {
	s.Step(fmt.Sprintf("Reads, for %v each. A request to another zone is made to wait %v.", s.turn, s.link))
	s.header()
	on := s.reads(ctx, "on", "")
	off := s.reads(ctx, "off", "?zones=ignore")
	if err := errors.Join(on.failure(), off.failure()); err != nil {
		return err
	}
	switch {
	case on.share() > 0:
		return fmt.Errorf("%.1f %% of the reads crossed zones, though each zone has an owner of every key", 100*on.share())
	case off.share() < 0.5 || off.share() > 0.8:
		return fmt.Errorf("%.1f %% of the reads crossed zones when they were ignored; two of three owners are in other zones", 100*off.share())
	case len(on.served) != len(s.members):
		return fmt.Errorf("only %d members served reads", len(on.served))
	}
	return ctx.Err()
}

// header names the columns of reads.
func (s *scenario) header() {
	s.Printf("   %-15s  %6s  %10s  %7s  %7s\n", "zone preference", "reads", "cross-zone", "p50", "p99")
}

// reads sends only reads for a while, and prints the results.
func (s *scenario) reads(ctx context.Context, name, query string) measured {
	ctx, cancel := context.WithTimeout(ctx, s.turn)
	defer cancel()
	m := load{to: s.members, query: query, readers: 2}.run(ctx)
	s.Printf("   %-15s  %6d  %8.1f %%  %7s  %7s\n", name, len(m.reads), 100*m.share(), ms(quantile(m.reads, 0.5)), ms(quantile(m.reads, 0.99)))
	return m
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// loseZone kills both members of a zone under a load of reads and writes.
func (s *scenario) loseZone(ctx context.Context) error {
	s.Step("Zone c is killed under load: both its processes, with SIGKILL.")
	survivors, victims := s.members[:4], s.members[4:]
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan measured)
	go func() { done <- load{to: survivors, readers: 1, writers: 3}.run(loading) }()
	if err := pause(ctx, s.turn/3); err != nil {
		cancel()
		<-done
		return err
	}

	began := time.Now()
	for _, p := range victims {
		p.Kill()
	}
	s.members = survivors
	s.Printf("   +0.0s  n5 and n6 are gone; no other member was told\n")
	err := agree(ctx, survivors)
	if err == nil {
		s.Printf("   +%.1fs  the four that are left have noticed, and agree\n", time.Since(began).Seconds())
		err = pause(ctx, s.turn/3)
	}
	cancel()
	m := <-done
	if err != nil {
		return err
	}
	const row = "   %-8s  %8v  %6v  %10s  %s\n"
	s.Printf("\n"+row, "requests", "answered", "failed", "slowest", "while zone c was dead")
	s.Printf(row, "reads", len(m.reads), len(m.failedReads), ms(quantile(m.reads, 1)), "went to another zone at once")
	s.Printf(row, "writes", len(m.writes), len(m.failedWrites), ms(quantile(m.writes, 1)), "waited for their new primary")
	s.Printf("\n   Besides, %d writes were under way in n5 and n6: they may have run or not, and\n   were answered with 502.\n", m.cutOff)
	if err := m.failure(); err != nil {
		return err
	}
	if len(m.reads) == 0 || len(m.writes) == 0 {
		return errors.New("there was no load")
	}
	return nil
}

// agree waits until the members know each other and no other member, and all of them
// know that they agree.
func agree(ctx context.Context, all []*demo.Process) error {
	return demo.Await(ctx, fmt.Sprintf("%d members agree", len(all)), func() error {
		_, err := demo.Agreed(ctx, all...)
		return err
	})
}

// carryOn reads from the remaining members.
func (s *scenario) carryOn(ctx context.Context) error {
	s.Step("Two zones are left, and still nothing has to cross.")
	s.header()
	m := s.reads(ctx, "on", "")
	if err := m.failure(); err != nil {
		return err
	}
	if m.share() > 0 {
		return fmt.Errorf("%.1f %% of the reads crossed zones, though both have owners of every key", 100*m.share())
	}
	return ctx.Err()
}

// pause lets the load go on for a while.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
