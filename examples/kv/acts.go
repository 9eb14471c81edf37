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

	"github.com/clusterkit/clusterkit/examples/internal/stage"
	"github.com/clusterkit/clusterkit/transport"
)

// terminate is what a member takes for being asked to go, in good order.
const terminate = syscall.SIGTERM

// start brings up the members and the load.
func (b *bed) start(ctx context.Context) error {
	b.Title(fmt.Sprintf("%d members start, and the load begins.", crew))
	for range crew {
		p, err := b.spawn(ctx, "")
		if err != nil {
			return err
		}
		b.Printf("   %-6s  http://%s/kv/\n", p.ID, p.HTTP)
	}
	if err := b.settled(ctx, "all %d own their partitions", crew); err != nil {
		return err
	}
	loading, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.load.run(loading)
	}()
	b.stop = func() { stop(); <-done }
	return nil
}

// settled waits until nothing moves and says so.
func (b *bed) settled(ctx context.Context, format string, args ...any) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	b.News(time.Now(), format, args...)
	return nil
}

// roll restarts every member.
func (b *bed) roll(ctx context.Context) error {
	b.Title("A rolling restart: each hands over, leaves, and comes back empty.")
	for _, p := range slices.Clone(b.members) {
		if err := b.drain(ctx, p); err != nil {
			return err
		}
		b.News(time.Now(), "%s has handed over and left", p.ID)
		if _, err := b.spawn(ctx, p.ID); err != nil {
			return err
		}
		if err := b.settled(ctx, "%s is back and has received its share", p.ID); err != nil {
			return err
		}
	}
	return nil
}

// scale changes the number of members, several times.
func scale(sizes ...int) act {
	return func(b *bed, ctx context.Context) error {
		b.Title(fmt.Sprintf("From %d members to %s, each drained or received.", len(b.members), sequence(sizes)))
		for _, size := range sizes {
			for len(b.members) > size {
				last := b.members[len(b.members)-1]
				if err := b.drain(ctx, last); err != nil {
					return err
				}
				b.names--
			}
			for len(b.members) < size {
				if _, err := b.spawn(ctx, ""); err != nil {
					return err
				}
			}
			if err := b.settled(ctx, "%d members own everything", size); err != nil {
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

// kill kills members, one at a time and with time to recover. Every second one
// is started again before anybody can have noticed.
func kill(count int) act {
	return func(b *bed, ctx context.Context) error {
		b.Title("kill -9, one at a time: what they had in memory is gone.")
		for i := range count {
			victim := b.members[i%len(b.members)]
			victim.Kill()
			b.remove(victim)
			b.News(time.Now(), "%s is killed", victim.ID)
			if i%2 == 0 {
				if err := b.settled(ctx, "the %d others have noticed, and replaced it", len(b.members)); err != nil {
					return err
				}
			}
			if _, err := b.spawn(ctx, victim.ID); err != nil {
				return err
			}
			if err := b.settled(ctx, "%s was started again, empty, and has received", victim.ID); err != nil {
				return err
			}
		}
		return nil
	}
}

// pause stops a member for a while, as a machine does that hangs.
func pause(length time.Duration) act {
	return func(b *bed, ctx context.Context) error {
		victim := b.members[1]
		b.Title(fmt.Sprintf("%s hangs for %v (SIGSTOP).", victim.ID, length))
		if err := victim.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		timer := time.NewTimer(length)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := victim.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		b.News(time.Now(), "%s goes on as if nothing had been (SIGCONT)", victim.ID)
		return b.settled(ctx, "nothing is left to move")
	}
}

// metadata has every member announce something else.
func (b *bed) metadata(ctx context.Context) error {
	b.Title("Every member changes its metadata. Nothing moves.")
	before := make([]status, 0, len(b.members))
	for _, p := range b.members {
		s, err := b.ask(ctx, p)
		if err != nil {
			return err
		}
		before = append(before, s)
		if err := p.Signal(syscall.SIGHUP); err != nil {
			return err
		}
	}
	err := stage.Await(ctx, func() error {
		for _, p := range b.members {
			var all transport.MembersAnswer
			if err := stage.Get(ctx, p, "/v1/members", &all); err != nil {
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
	if err := b.settled(ctx, "all %d know that of all", len(b.members)); err != nil {
		return err
	}
	for i, p := range b.members {
		if after := b.statuses[p]; after.Moved != before[i].Moved || after.Handoff.Received != before[i].Handoff.Received {
			return fmt.Errorf("something moved to %s", p.ID)
		}
	}
	return nil
}

// check stops the load and looks for every acknowledged write: for those that
// were written once, and not read since, through one member each; then for the
// others through all of them.
func (b *bed) check(ctx context.Context) error {
	b.Title("The load stops. Is every acknowledged write there?")
	b.stop()
	var wrong []error
	for i, l := range b.load.once {
		wrong = append(wrong, b.find(ctx, l, b.members[i%len(b.members)]))
	}
	for _, l := range b.load.hot {
		for _, p := range b.members {
			wrong = append(wrong, b.find(ctx, l, p))
		}
	}
	wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
	if err := b.report(); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d times something is wrong, first: %w", len(wrong), wrong[0])
	}
	b.Fact("checked", "%d keys, %d of them through %d members each:", len(b.load.once)+len(b.load.hot), len(b.load.hot), len(b.members))
	b.Fact("", "no acknowledged write is lost")
	return stage.StopAll(b.members)
}

// find looks for what was acknowledged of a key, through a member.
func (b *bed) find(ctx context.Context, l *ledger, p *stage.Process) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v, content, err := b.load.do(http.MethodGet, p, l.key, "")
	if err != nil {
		return fmt.Errorf("reading %s through %s: %w", l.key, p.ID, err)
	}
	missing, err := l.saw(l.known(), v, content)
	if missing {
		err = fmt.Errorf("%s: version %v was acknowledged, %s finds %v", l.key, l.known(), p.ID, v)
	}
	return err
}
