package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
)

// batch is a batch of events that comes in at a time.
type batch struct {
	at    time.Duration
	about news
}

func TestGatheringWaitsForABurst(t *testing.T) {
	none, one := func(time.Duration) int { return 0 }, func(time.Duration) int { return 1 }
	until := func(end time.Duration) func(time.Duration) int {
		return func(at time.Duration) int {
			if at < end {
				return 1
			}
			return 0
		}
	}
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		batches   []batch
		suspected func(time.Duration) int
		views     []time.Duration
	}{
		"a failure that stands alone":          {[]batch{{0, oneFailure}}, none, []time.Duration{100 * ms}},
		"a join":                               {[]batch{{0, otherChange}}, one, []time.Duration{100 * ms}},
		"joins without an end":                 {[]batch{{0, otherChange}, {90 * ms, otherChange}, {180 * ms, otherChange}, {270 * ms, otherChange}, {360 * ms, otherChange}, {450 * ms, otherChange}}, none, []time.Duration{500 * ms}},
		"two failures":                         {[]batch{{0, oneFailure}, {50 * ms, oneFailure}}, none, []time.Duration{350 * ms}},
		"many failures at once":                {[]batch{{0, moreFailed}}, none, []time.Duration{300 * ms}},
		"failures apart":                       {[]batch{{0, oneFailure}, {time.Second, oneFailure}}, none, []time.Duration{100 * ms, 1100 * ms}},
		"failures apart, others suspected":     {[]batch{{0, oneFailure}, {time.Second, oneFailure}}, until(1200 * ms), []time.Duration{1300 * ms}},
		"a suspicion that is refuted":          {[]batch{{0, oneFailure}}, until(950 * ms), []time.Duration{time.Second}},
		"a suspicion without an end":           {[]batch{{0, oneFailure}}, one, []time.Duration{4 * time.Second}},
		"a join while failures wait":           {[]batch{{0, oneFailure}, {time.Second, otherChange}}, one, []time.Duration{1100 * ms}},
		"a failure after a join":               {[]batch{{0, otherChange}, {50 * ms, oneFailure}}, one, []time.Duration{150 * ms}},
		"failures without an end, one by one":  {[]batch{{0, oneFailure}, {2 * time.Second, oneFailure}, {3950 * ms, moreFailed}}, one, []time.Duration{4 * time.Second}},
		"a return that stands alone":           {[]batch{{0, oneReturn}}, none, []time.Duration{4 * time.Second}},
		"a return, and what it announces":      {[]batch{{0, oneReturn}, {time.Second, otherChange}}, none, []time.Duration{1100 * ms}},
		"two returns":                          {[]batch{{0, oneReturn}, {time.Second, oneReturn}}, none, []time.Duration{1100 * ms}},
		"a failure while a return waits":       {[]batch{{0, oneReturn}, {time.Second, oneFailure}}, one, []time.Duration{1100 * ms}},
		"a return before the view of its end":  {[]batch{{0, oneFailure}, {50 * ms, oneReturn}}, one, []time.Duration{150 * ms}},
		"no news":                              {[]batch{{0, noNews}}, one, nil},
		"failures after a view wait once more": {[]batch{{0, oneFailure}, {5 * time.Second, oneFailure}}, one, []time.Duration{4 * time.Second, 9 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGathering(paceOf(membership.LAN))
				defer g.done()
				began, next := time.Now(), time.NewTimer(0)
				defer next.Stop()
				end := time.After(time.Minute)
				var views []time.Duration
				for running := true; running; {
					select {
					case <-next.C:
						g.add(test.batches[0].about, time.Now())
						if test.batches = test.batches[1:]; len(test.batches) > 0 {
							next.Reset(test.batches[0].at - time.Since(began))
						}
					case <-g.timer.C:
						if g.ready(test.suspected(time.Since(began)), time.Now()) {
							views = append(views, time.Since(began))
							g.done()
						}
					case <-end:
						running = false
					}
				}
				require.Equal(t, test.views, views)
			})
		})
	}
}

func TestNewsOfSeveralBatches(t *testing.T) {
	for _, test := range []struct{ a, b, want news }{
		{noNews, noNews, noNews}, {noNews, oneFailure, oneFailure}, {oneFailure, oneFailure, moreFailed},
		{oneFailure, moreFailed, moreFailed}, {oneFailure, otherChange, otherChange}, {noNews, otherChange, otherChange},
		{noNews, moreFailed, moreFailed}, {noNews, oneReturn, oneReturn}, {oneReturn, oneReturn, otherChange},
		{oneReturn, oneFailure, otherChange}, {oneReturn, moreFailed, otherChange}, {oneReturn, otherChange, otherChange},
	} {
		require.Equal(t, test.want, test.a.and(test.b))
		require.Equal(t, test.want, test.b.and(test.a))
	}
}

func TestWhichReturnWaits(t *testing.T) {
	back := Member{ID: "n2", Start: membership.Start{Number: 1, Nonce: 5}, State: membership.Active}
	for name, test := range map[string]struct {
		kind   EventKind
		change func(before, after *Member)
		others int
		want   news
	}{
		"an owner that had failed":           {MemberRejoined, func(_, _ *Member) {}, 2, oneReturn},
		"in a cluster of two":                {MemberRejoined, func(_, _ *Member) {}, 1, otherChange},
		"of a later start":                   {MemberRejoined, func(_, after *Member) { after.Start.Number++ }, 2, otherChange},
		"of an observer":                     {MemberRejoined, func(_, after *Member) { after.State = membership.Observer }, 2, otherChange},
		"of a member that was not there yet": {MemberJoined, func(before, _ *Member) { *before = Member{} }, 2, otherChange},
		"a failure":                          {MemberFailed, func(_, after *Member) { *after = Member{} }, 2, oneFailure},
	} {
		var c Cluster
		v := &published{}
		v.Members = make([]Member, test.others)
		c.view.Store(v)
		before, after := back, back
		test.change(&before, &after)
		require.Equal(t, test.want, c.newsOf(test.kind, before, after), name)
	}
}
