package sim_test

import "time"

// simStep is the time between two checks of a condition, and coarseStep that of
// conditions that check all members.
const (
	simStep    = 50 * time.Millisecond
	coarseStep = 5 * simStep
)

// sleep lets virtual time pass.
func (s *sim) sleep(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(coarseStep, time.Until(end)))
		if s.watch != nil {
			s.watch()
		}
	}
}

// until waits for a condition and returns how long that took. It fails after a
// while, with an explanation.
func (s *sim) until(what string, limit time.Duration, holds func() bool, why func() string) time.Duration {
	s.t.Helper()
	return s.untilBy(simStep, what, limit, holds, why)
}

// untilBy is until with a step of its own.
func (s *sim) untilBy(step time.Duration, what string, limit time.Duration, holds func() bool, why func() string) time.Duration {
	s.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			s.fail("%s: not within %v:\n%s", what, limit, why())
		}
		s.sleep(step)
	}
	return time.Since(began)
}
