package membership

import (
	"context"
	"time"
)

// settle waits until no more news of the cluster comes in, and makes this start the
// newest of its NodeID.
func (m *Membership) settle(ctx context.Context) error {
	deadline := time.NewTimer(m.settings.timings.settleMax)
	defer deadline.Stop()
	seen := -1
	for {
		if err := m.outbid(); err != nil {
			return err
		}
		others := m.registry.others()
		if len(others) == 0 || len(others) == seen {
			return nil
		}
		seen = len(others)
		quiet := time.NewTimer(m.settings.timings.settleQuiet)
		select {
		case <-quiet.C:
		case <-deadline.C:
			quiet.Stop()
			return m.outbid()
		case <-ctx.Done():
			quiet.Stop()
			return ctx.Err()
		}
	}
}

// outbid makes this start newer than every other start of its NodeID, so that a process
// with a slow clock does not lose to one that is gone.
func (m *Membership) outbid() error {
	rivals := m.registry.rivals(m.settings.NodeID)
	if len(rivals) == 0 {
		return nil
	}
	newest := rivals[0].Start
	return m.announcer.change(context.Background(), func(self *Member) {
		if newest.Compare(self.Start) > 0 {
			self.Start.Number = newest.Number + 1
		}
	})
}
