package handofftest

import (
	"context"
	"time"
)

// rest stops a member with a grace, so that it is away. Several members stop at once where all of
// them come back with their stores. They come back within the grace, later, when all handoffs must
// be complete, or never. Writes go on meanwhile.
func (r *run) rest() {
	never := r.rand.IntN(4) == 0
	empty := never || !r.o.Durable || r.rand.IntN(3) == 0 // the member loses its state
	count := 1
	if empty {
		r.calm(r.o.Durable || r.losses+1 >= quorum)
	} else {
		count += r.rand.IntN(3)
	}
	stopping := make(map[*process]bool)
	for range count {
		if n := r.staying(); n != nil && r.stay() > 3+len(stopping) {
			stopping[n] = true
		}
	}
	r.leave(stopping)
	back, later := make([]string, 0, count), r.rand.IntN(4) == 0
	for _, n := range r.sorted() {
		if !stopping[n] {
			continue
		}
		r.peers.remove(n)
		delete(r.live, n.id)
		if empty {
			r.note("%s has lost its state", n.id)
			r.losses++
			delete(r.disks, n.id)
		}
		if !never {
			back = append(back, n.id)
		}
	}
	r.away = append(r.away, back...)
	if later || len(back) == 0 {
		return
	}
	for until := time.Now().Add(time.Duration(r.rand.Int64N(int64(min(r.grace, 10*time.Second))))); time.Now().Before(until); {
		r.write()
		time.Sleep(200 * time.Millisecond)
	}
	r.restore()
}

// leave stops members, and goes on writing until they have stopped.
func (r *run) leave(stopping map[*process]bool) {
	done := make(chan error, len(stopping))
	for _, n := range r.sorted() {
		if stopping[n] {
			r.note("%s stops and keeps its place for %v", n.id, r.grace)
			go func() { done <- n.Stop(context.Background()) }()
		}
	}
	for range stopping {
		for waits := true; waits; {
			select {
			case err := <-done:
				if waits = false; err != nil {
					r.fail("stopping a member: %v", err)
				}
			case <-time.After(50 * time.Millisecond):
				r.write()
			}
		}
	}
}

// stay returns the number of members that do not drain.
func (r *run) stay() (n int) {
	for _, p := range r.live {
		if p.drained == nil {
			n++
		}
	}
	return n
}
