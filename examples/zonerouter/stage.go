package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// stage is where the acts play: the members that are up, and the screen.
type stage struct {
	settings
	out     io.Writer
	acts    int
	members []*process
}

func (st *stage) printf(format string, args ...any) { _, _ = fmt.Fprintf(st.out, format, args...) }

// title begins an act.
func (st *stage) title(text string) {
	st.acts++
	st.printf("\n%d. %s\n\n", st.acts, text)
}

// end stops whoever is still up, all at the same time.
func (st *stage) end() {
	var all sync.WaitGroup
	for _, p := range st.members {
		all.Go(p.stop)
	}
	all.Wait()
}

// start brings up two members in each of three zones.
func (st *stage) start(ctx context.Context) error {
	st.title("Six processes start. A request for any key may go to any of them.")
	st.printf("   %-6s  %-4s  %s\n", "member", "zone", "service, behind its router")
	join := ""
	for i, zone := range []string{"a", "a", "b", "b", "c", "c"} {
		p, err := spawn(ctx, st.settings, fmt.Sprintf("n%d", i+1), zone, join)
		if err != nil {
			return err
		}
		st.members = append(st.members, p)
		join = st.members[0].gossip
		st.printf("   %-6s  %-4s  http://%s/kv/{key}\n", p.id, p.zone, p.service)
	}
	if err := agree(ctx, st.members); err != nil {
		return err
	}
	st.printf("\n   They agree: every key has three owners, one in each zone.\n")
	return nil
}

// compare reads with and without a preference for the own zone.
func (st *stage) compare(ctx context.Context) error {
	st.title(fmt.Sprintf("Reads, for %v each. A request to another zone is made to wait %v.", st.turn, st.link))
	st.header()
	on := st.reads(ctx, "on", "")
	off := st.reads(ctx, "off", "?zones=ignore")
	if err := errors.Join(on.failure(), off.failure()); err != nil {
		return err
	}
	switch {
	case on.share() > 0:
		return fmt.Errorf("%.1f %% of the reads crossed zones, though each zone has an owner of every key", 100*on.share())
	case off.share() < 0.5 || off.share() > 0.8:
		return fmt.Errorf("%.1f %% of the reads crossed zones when they were ignored; two of three owners are in other zones", 100*off.share())
	case len(on.served) != len(st.members):
		return fmt.Errorf("only %d members served reads", len(on.served))
	}
	return ctx.Err()
}

// header names the columns of reads.
func (st *stage) header() {
	st.printf("   %-15s  %6s  %10s  %7s  %7s\n", "zone preference", "reads", "cross-zone", "p50", "p99")
}

// reads sends nothing but reads for a while and prints what they came to.
func (st *stage) reads(ctx context.Context, name, query string) measured {
	ctx, cancel := context.WithTimeout(ctx, st.turn)
	defer cancel()
	m := load{to: st.members, query: query, readers: 2}.run(ctx)
	st.printf("   %-15s  %6d  %8.1f %%  %7s  %7s\n", name, len(m.reads), 100*m.share(), ms(quantile(m.reads, 0.5)), ms(quantile(m.reads, 0.99)))
	return m
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// loseZone kills both members of a zone while the others are read from and
// written to.
func (st *stage) loseZone(ctx context.Context) error {
	st.title("Zone c is killed under load: both its processes, with SIGKILL.")
	survivors, victims := st.members[:4], st.members[4:]
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan measured)
	go func() { done <- load{to: survivors, readers: 1, writers: 3}.run(loading) }()
	if err := pause(ctx, st.turn/3); err != nil {
		cancel()
		<-done
		return err
	}

	began := time.Now()
	for _, p := range victims {
		p.kill()
	}
	st.members = survivors
	st.printf("   +0.0s  n5 and n6 are gone; nobody was told\n")
	err := agree(ctx, survivors)
	if err == nil {
		st.printf("   +%.1fs  the four that are left have noticed, and agree\n", time.Since(began).Seconds())
		err = pause(ctx, st.turn/3)
	}
	cancel()
	m := <-done
	if err != nil {
		return err
	}
	const row = "   %-8s  %8v  %6v  %10s  %s\n"
	st.printf("\n"+row, "requests", "answered", "failed", "slowest", "while zone c was dead")
	st.printf(row, "reads", len(m.reads), len(m.failedReads), ms(quantile(m.reads, 1)), "went to another zone at once")
	st.printf(row, "writes", len(m.writes), len(m.failedWrites), ms(quantile(m.writes, 1)), "waited for their new primary")
	st.printf("\n   Besides, %d writes were under way in n5 and n6: they may have run or not, and\n   were answered with 502.\n", m.cutOff)
	if err := m.failure(); err != nil {
		return err
	}
	if len(m.reads) == 0 || len(m.writes) == 0 {
		return errors.New("there was no load")
	}
	return nil
}

// carryOn reads from the members that are left.
func (st *stage) carryOn(ctx context.Context) error {
	st.title("Two zones are left, and still nothing has to cross.")
	st.header()
	m := st.reads(ctx, "on", "")
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
