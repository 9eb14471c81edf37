package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/transport/api"
)

// terminate is the signal that stops a member gracefully.
const terminate = syscall.SIGTERM

// start starts the members and the load.
func (sc *scenario) start(ctx context.Context) error {
	sc.Step(fmt.Sprintf("%d members start, and the load begins.", atStart))
	for range atStart {
		p, err := sc.spawn(ctx, "")
		if err != nil {
			return err
		}
		sc.Printf("   %-6s  http://%s/kv/\n", p.ID, p.HTTP)
	}
	if err := sc.settled(ctx, "all %d own their partitions", atStart); err != nil {
		return err
	}
	loading, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		sc.load.run(loading)
	}()
	sc.stop = func() { stop(); <-done }
	return nil
}

// settled waits until nothing moves, and prints that.
func (sc *scenario) settled(ctx context.Context, format string, args ...any) error {
	if err := sc.settle(ctx); err != nil {
		return err
	}
	sc.News(time.Now(), format, args...)
	return nil
}

// roll restarts every member.
func (sc *scenario) roll(ctx context.Context) error {
	sc.Step("A rolling restart: each hands over, leaves, and comes back empty.")
	for _, p := range slices.Clone(sc.members) {
		if err := sc.drain(ctx, p); err != nil {
			return err
		}
		sc.News(time.Now(), "%s has handed over and left", p.ID)
		if _, err := sc.spawn(ctx, p.ID); err != nil {
			return err
		}
		if err := sc.settled(ctx, "%s is back and has received its share", p.ID); err != nil {
			return err
		}
	}
	return nil
}

// scale changes the number of members, several times.
func scale(sizes ...int) step {
	return func(sc *scenario, ctx context.Context) error {
		sc.Step(fmt.Sprintf("From %d members to %s, each drained or received.", len(sc.members), sequence(sizes)))
		for _, size := range sizes {
			for len(sc.members) > size {
				last := sc.members[len(sc.members)-1]
				if err := sc.drain(ctx, last); err != nil {
					return err
				}
				sc.names--
			}
			for len(sc.members) < size {
				if _, err := sc.spawn(ctx, ""); err != nil {
					return err
				}
			}
			if err := sc.settled(ctx, "%d members own everything", size); err != nil {
				return err
			}
		}
		return nil
	}
}

func sequence(sizes []int) string {
	texts := make([]string, 0, len(sizes))
	for _, size := range sizes {
		texts = append(texts, strconv.Itoa(size))
	}
	return strings.Join(texts, " to ")
}

// kill kills members, one at a time, and waits until the others have recovered. Every
// second one is started again before the other members can have noticed.
func kill(count int) step {
	return func(sc *scenario, ctx context.Context) error {
		sc.Step("kill -9, one at a time: what they had in memory is gone.")
		for i := range count {
			victim := sc.members[i%len(sc.members)]
			victim.Kill()
			sc.remove(victim)
			sc.News(time.Now(), "%s is killed", victim.ID)
			if i%2 == 0 {
				if err := sc.settled(ctx, "the %d others have noticed, and replaced it", len(sc.members)); err != nil {
					return err
				}
			}
			if _, err := sc.spawn(ctx, victim.ID); err != nil {
				return err
			}
			if err := sc.settled(ctx, "%s was started again, empty, and has received", victim.ID); err != nil {
				return err
			}
		}
		return nil
	}
}

// pause stops a member for a while, like a machine that hangs.
func pause(length time.Duration) step {
	return func(sc *scenario, ctx context.Context) error {
		victim := sc.members[1]
		sc.Step(fmt.Sprintf("%s hangs for %v (SIGSTOP).", victim.ID, length))
		if err := victim.Signal(stopSignal); err != nil {
			return err
		}
		timer := time.NewTimer(length)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := victim.Signal(continueSignal); err != nil {
			return err
		}
		sc.News(time.Now(), "%s goes on as if nothing had been (SIGCONT)", victim.ID)
		return sc.settled(ctx, "nothing is left to move")
	}
}

// metadata makes every member announce another value.
func (sc *scenario) metadata(ctx context.Context) error {
	sc.Step("Every member changes its metadata. Nothing moves.")
	before := make([]status, 0, len(sc.members))
	for _, p := range sc.members {
		s, err := sc.ask(ctx, p)
		if err != nil {
			return err
		}
		before = append(before, s)
		if err := p.Signal(syscall.SIGHUP); err != nil {
			return err
		}
	}
	err := demo.Await(ctx, "all members know the metadata of all", func() error {
		for _, p := range sc.members {
			var all api.Members
			if err := demo.Get(ctx, p, "/v1/members", &all); err != nil {
				return err
			}
			for _, m := range all.Members {
				if m.Metadata[generation] == "" {
					return fmt.Errorf("%s has not heard of the metadata of %s", p.ID, m.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := sc.settled(ctx, "all %d know that of all", len(sc.members)); err != nil {
		return err
	}
	for i, p := range sc.members {
		if after := sc.statuses[p]; after.Moved != before[i].Moved || after.Handoff.Received != before[i].Handoff.Received {
			return fmt.Errorf("something moved to %s", p.ID)
		}
	}
	return nil
}

// check stops the load and looks for every acknowledged write. It reads keys that were
// written once, and not read since, through one member each. Then it reads the other
// keys through all members.
func (sc *scenario) check(ctx context.Context) error {
	sc.Step("The load stops. Is every acknowledged write there?")
	sc.stop()
	var wrong []error
	for i, l := range sc.load.once {
		wrong = append(wrong, sc.find(ctx, l, sc.members[i%len(sc.members)]))
	}
	for _, l := range sc.load.hot {
		for _, p := range sc.members {
			wrong = append(wrong, sc.find(ctx, l, p))
		}
	}
	wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
	if err := sc.report(); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d times something is wrong, first: %w", len(wrong), wrong[0])
	}
	sc.Fact("checked", "%d keys, %d of them through %d members each:", len(sc.load.once)+len(sc.load.hot), len(sc.load.hot), len(sc.members))
	sc.Fact("", "no acknowledged write is lost")
	return demo.StopAll(sc.members)
}

// findWithin is how long a member may take to answer a read without load, also on a
// busy machine.
const findWithin = time.Minute

// find reads a key through a member, and requires its acknowledged write.
func (sc *scenario) find(ctx context.Context, l *ledger, p *demo.Process) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var v Version
	var content string
	waiting, cancel := context.WithTimeoutCause(ctx, findWithin, fmt.Errorf("not within %v", findWithin))
	defer cancel()
	err := demo.Await(waiting, fmt.Sprintf("%s answers a read of %s", p.ID, l.key), func() (err error) {
		v, content, err = sc.load.do(http.MethodGet, p, l.key, "")
		return err
	})
	if err != nil {
		return err
	}
	missing, err := l.saw(l.known(), v, content)
	if missing {
		err = fmt.Errorf("%s: version %v was acknowledged, %s finds %v", l.key, l.known(), p.ID, v)
	}
	return err
}
