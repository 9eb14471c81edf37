package sim_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// TestSimWaitConverged measures the time from the start of a new member until every
// member knows that every other one has it in its ring.
func TestSimWaitConverged(t *testing.T) {
	t.Parallel()
	sizes := []int{scaled(100, 40, 20)}
	if full() {
		sizes = append(sizes, 500)
	}
	for _, n := range sizes {
		simulate(t, memnet.Options{Latency: time.Millisecond, Jitter: time.Millisecond}, func(s *sim) {
			s.form(n)
			s.sleep(5 * time.Second)
			before := s.net.Stats()

			joiner := s.make(s.number(n))
			s.launch(joiner)
			var mu sync.Mutex
			var slowest time.Duration
			var errs []error
			var wg sync.WaitGroup
			for _, m := range s.sorted() {
				wg.Go(func() {
					err := awaitAgreement(m, joiner.id, 30*time.Second)
					mu.Lock()
					defer mu.Unlock()
					slowest = max(slowest, time.Since(joiner.at))
					if err != nil {
						errs = append(errs, err)
					}
				})
			}
			wg.Wait()
			up, err := joiner.startedAt()
			if err != nil || len(errs) > 0 {
				s.fail("joining: %v, waiting: %v", err, errs)
			}
			if _, same := sameFingerprint(s.sorted()); !same {
				s.fail("all have agreed, on different views:\n%s", differences(s.sorted()))
			}
			after := s.net.Stats()
			t.Logf("%d members and one more: Start took %v, all knew that all agreed %v after its call; packets of %d bytes on average, at most %d",
				n, up.Sub(joiner.at), slowest,
				(after.PacketBytesSent-before.PacketBytesSent)/(after.PacketsSent-before.PacketsSent), after.LargestPacket)
			if slowest > 5*time.Second {
				s.fail("agreement took %v", slowest)
			}
		})
	}
}

// awaitAgreement waits until a member owns partitions in the view of another member,
// and that member knows that all members hold this view.
func awaitAgreement(m *simMember, id string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for ctx.Err() == nil {
		if _, owns := m.Ring().Node(id); owns {
			return m.WaitConverged(ctx)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}
