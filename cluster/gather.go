package cluster

import (
	"time"

	"github.com/clusterkit/clusterkit/membership"
)

// pace says how changes are gathered before a view is derived from them. The loop waits until no
// change has come for the time quiet, but no longer than the time longest after the first change.
//
// When a whole zone fails, gossip finds its members dead one after another, within some seconds.
// Each of them would make another ring, and each member would go through those in an order of its
// own. So failures alone wait for longer, up to the time burst: while other members are suspected,
// and for three times quiet after the second failure. Routers pass over the failed members at once.
// This is the idea of the two watermarks of Rapid (Suresh et al., 2018). A failure that stands
// alone does not wait.
//
// A start that had failed and is back asks others about its death, and may step back. Then the ring
// does not change again. So its return waits for its next announcement, up to the time burst. The ring
// without it is valid meanwhile. No other change waits.
type pace struct{ quiet, longest, burst time.Duration }

func paceOf(p membership.Profile) pace {
	switch p {
	case membership.WAN:
		return pace{250 * time.Millisecond, time.Second, 10 * time.Second}
	case membership.Local:
		return pace{50 * time.Millisecond, 250 * time.Millisecond, 4 * time.Second}
	default:
		return pace{100 * time.Millisecond, 500 * time.Millisecond, 4 * time.Second}
	}
}

// news is what the events of membership that came in together are about.
type news uint8

const (
	noNews      news = iota
	oneFailure       // a member failed
	moreFailed       // several members failed
	oneReturn        // a start that had failed is back
	otherChange      // at least one other change, or more than one return
)

// and returns what two batches of events are about.
func (n news) and(more news) news {
	switch {
	case n == noNews || more == noNews:
		return max(n, more)
	case n >= oneReturn || more >= oneReturn:
		return otherChange
	}
	return moreFailed
}

// gathering is the changes that wait for a view.
type gathering struct {
	pace  pace
	about news
	until time.Time // the latest time of the view
	held  time.Time // the latest time of the view while failures wait
	timer *time.Timer
}

func newGathering(p pace) gathering {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return gathering{pace: p, timer: timer}
}

// add adds changes. They may have been added before, when a view did not cover them.
func (g *gathering) add(about news, now time.Time) {
	if about == noNews {
		return
	}
	alone := g.about == noNews
	was := g.about
	g.about = g.about.and(about)
	if alone {
		g.held = now.Add(g.pace.burst)
	}
	if alone || was != otherChange && g.about == otherChange {
		g.until = now.Add(g.pace.longest)
	}
	g.wait(now)
}

// wait sets the timer to the end of the quiet time.
func (g *gathering) wait(now time.Time) {
	quiet, until := g.pace.quiet, g.until
	switch g.about {
	case moreFailed:
		quiet, until = 3*quiet, g.held
	case oneReturn:
		quiet, until = g.pace.burst, g.held
	}
	g.timer.Reset(min(quiet, until.Sub(now)))
}

// ready reports, when the timer has fired, whether the view is to be derived now. Otherwise it sets
// the timer again. suspected is the number of members that may fail next.
func (g *gathering) ready(suspected int, now time.Time) bool {
	failures := g.about == oneFailure || g.about == moreFailed
	if !failures || suspected == 0 || !now.Before(g.held) {
		return true
	}
	g.timer.Reset(min(g.pace.quiet, g.held.Sub(now)))
	return false
}

// done ends the gathering, because a view covers its changes.
func (g *gathering) done() {
	g.about = noNews
	g.timer.Stop()
}
