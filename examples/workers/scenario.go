package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/transport/api"
)

// The limits for the time until every partition has exactly one worker again, on a
// machine that is not busy.
const (
	orderly = 10 * time.Second        // after an announced change
	noticed = 15 * time.Second        // the limit for noticing a crash: 15 probe intervals
	crashed = noticed + 2*time.Second // and the time until all members have the news
)

// settleWithin is the limit on a busy machine.
const settleWithin = 2 * time.Minute

// grain is the smallest time that is shown.
const grain = 100 * time.Microsecond

// scenario holds the state of the steps: the running members, the measure, the screen.
type scenario struct {
	demo.Screen
	measure   *measure
	database  *database
	store     string // the URL of the store
	agreement time.Duration
	members   []*demo.Process

	saved, refused int // the counts of the store before this step
}

// start starts the store and three members.
func (s *scenario) start(ctx context.Context) error {
	s.Step("Three members start. Each runs the partitions whose primary it is.")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.store = "http://" + listener.Addr().String()
	server := &http.Server{Handler: s.database, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }() // for as long as the program runs
	for _, at := range []struct{ id, zone string }{{"n1", "a"}, {"n2", "b"}, {"n3", "c"}} {
		if err := s.spawn(ctx, at.id, at.zone); err != nil {
			return err
		}
	}
	if err := s.settle(ctx, time.Now(), orderly); err != nil {
		return err
	}
	s.saved, s.refused = s.database.counts()
	return nil
}

// join adds a member.
func (s *scenario) join(ctx context.Context) error {
	s.Step("n4 joins.")
	return s.change(ctx, orderly, func() error { return s.spawn(ctx, "n4", "a") })
}

// leave stops a member gracefully.
func (s *scenario) leave(ctx context.Context) error {
	s.Step("n2 leaves in good order: Drain, then Stop.")
	return s.change(ctx, orderly, func() error {
		leaver := s.remove("n2")
		leaving, cancel := context.WithTimeoutCause(ctx, settleWithin, fmt.Errorf("it has not left within %v", settleWithin))
		defer cancel()
		return leaver.Stop(leaving)
	})
}

// kill ends a member as kill -9 does.
func (s *scenario) kill(ctx context.Context) error {
	s.Step("n3 is killed (kill -9).")
	return s.change(ctx, crashed, func() error {
		at := time.Now()
		s.remove("n3").Kill()
		s.measure.died("n3", at)
		return nil
	})
}

// account prints the counts of the store.
func (s *scenario) account(context.Context) error {
	s.Step("The store's account, after all members have left.")
	if err := demo.StopAll(s.members); err != nil {
		return err
	}
	saved, refused := s.database.counts()
	s.Fact("steps saved", "%d", saved)
	s.Fact("refused", "%d, of workers that were not the last to claim their partition", refused)
	s.Fact("positions", "%d in all partitions together: none skipped, none saved twice", s.database.positions())
	if sum := s.database.positions(); saved == 0 || sum != saved {
		return fmt.Errorf("the positions add up to %d, but %d steps were saved", sum, saved)
	}
	return nil
}

// change makes a change, waits until every partition has exactly one worker, and prints
// the times without one or with two.
func (s *scenario) change(ctx context.Context, bound time.Duration, alter func() error) error {
	from := time.Now()
	if err := alter(); err != nil {
		return err
	}
	if err := s.settle(ctx, from, bound); err != nil {
		return err
	}
	to := time.Now()
	w := s.measure.between(from, to)
	s.Printf("\n")
	s.Fact("changed hands", "%d of %d partitions", w.changed, partitions)
	s.Fact("two at once", "%s", describe(w.two))
	s.Fact("none", "%s", describe(w.none))
	_, refused := s.database.counts()
	s.Fact("refused", "%d writes of workers that another had replaced", refused-s.refused)
	s.refused = refused
	if w.changed == 0 {
		return errors.New("no partition changed hands")
	}
	return nil
}

// settle waits until every partition has exactly one worker, on the member that is its
// primary in the views of all members. It prints when that took longer than the limit.
func (s *scenario) settle(ctx context.Context, since time.Time, bound time.Duration) error {
	ctx, cancel := context.WithDeadlineCause(ctx, since.Add(settleWithin), fmt.Errorf("not within %v", settleWithin))
	defer cancel()
	if err := demo.Await(ctx, "every partition has exactly one worker", func() error { return s.settled(ctx) }); err != nil {
		return err
	}
	if took := time.Since(since); took > bound {
		s.News(time.Now(), "this took longer than %v: is the machine busy?", bound)
	}
	running, err := s.measure.running()
	if err != nil {
		return err
	}
	share := make(map[string]int)
	for _, members := range running {
		share[members[0]]++
	}
	var shares []string
	for _, p := range s.members {
		shares = append(shares, fmt.Sprintf("%s %d", p.ID, share[p.ID]))
	}
	s.News(time.Now(), "every partition has one worker: %s", strings.Join(shares, ", "))
	return nil
}

// settled returns nil when every partition has exactly one worker, on its primary.
func (s *scenario) settled(ctx context.Context) error {
	running, err := s.measure.running()
	if err != nil {
		return err
	}
	for partition := range partitions {
		if workers := running[partition]; len(workers) != 1 {
			return fmt.Errorf("partition %d has %d workers %v", partition, len(workers), workers)
		}
	}
	if _, err := demo.Agreed(ctx, s.members...); err != nil {
		return err
	}
	for partition := range partitions {
		var answer api.Placement
		if err := demo.Get(ctx, s.members[0], "/v1/partitions/"+strconv.Itoa(partition), &answer); err != nil {
			return err
		}
		if running[partition][0] != answer.Primary {
			return fmt.Errorf("partition %d has its worker on %s, not on its primary %s", partition, running[partition][0], answer.Primary)
		}
	}
	return nil
}

// spawn starts a member.
func (s *scenario) spawn(ctx context.Context, id, zone string) error {
	join := make([]string, 0, len(s.members))
	for _, p := range s.members {
		join = append(join, p.Gossip)
	}
	p, err := demo.Spawn(ctx, id, zone, func(line string) { s.measure.heard(id, line) },
		"-join", strings.Join(join, ","), "-store", s.store, "-agreement", s.agreement.String())
	if err != nil {
		return err
	}
	s.members = append(s.members, p)
	s.News(time.Now(), "%s is up: zone %s, HTTP %s", p.ID, p.Zone, p.HTTP)
	return nil
}

// remove removes a member from the list of running members.
func (s *scenario) remove(id string) *demo.Process {
	i := slices.IndexFunc(s.members, func(p *demo.Process) bool { return p.ID == id })
	p := s.members[i]
	s.members = slices.Delete(slices.Clone(s.members), i, i+1)
	return p
}

// describe summarizes the times of some partitions.
func describe(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "no partition"
	}
	return fmt.Sprintf("%d of %d partitions, %v at the median and %v at most",
		len(sorted), partitions, sorted[len(sorted)/2].Round(grain), sorted[len(sorted)-1].Round(grain))
}
