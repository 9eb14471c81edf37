package cluster

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
)

// problemLogInterval is the least time between two lines that report the same problem.
const problemLogInterval = time.Minute

// problemLog writes a line when a problem of health appears, and one when the problem is over.
// A problem that comes and goes has at most one such pair of lines in a problemLogInterval. A
// problem that lasts is always logged, at the latest after that time.
type problemLog struct {
	log   *slog.Logger
	known map[string]*loggedProblem // by code
}

// loggedProblem is what a problemLog remembers of one code.
type loggedProblem struct {
	since  time.Time // when the problem appeared
	here   bool
	said   bool      // the log says that the problem is here
	last   time.Time // when the log last said that the problem is here
	unsaid int       // how often the problem has appeared since then without a line
}

// update logs which problems have appeared, and which are over, since the last call.
func (l *problemLog) update(now time.Time, problems []api.Problem) {
	if l.known == nil {
		l.known = make(map[string]*loggedProblem)
	}
	here := make(map[string]bool, len(problems))
	for _, p := range problems {
		if here[p.Code] || slices.ContainsFunc(gossipProblems[:], func(g gossipProblem) bool { return g.code == p.Code }) {
			continue // the log has the first message of this code, or membership logs the problem
		}
		here[p.Code] = true
		l.present(now, p)
	}
	for code, k := range l.known {
		if here[code] || !k.here {
			continue
		}
		if k.said {
			l.log.Info("a problem is over", "problem", code, "lasted", now.Sub(k.since).Round(time.Millisecond))
		}
		k.here, k.said = false, false
	}
}

func (l *problemLog) present(now time.Time, p api.Problem) {
	k := l.known[p.Code]
	if k == nil {
		k = new(loggedProblem)
		l.known[p.Code] = k
	}
	if !k.here {
		k.here, k.since = true, now
		k.unsaid++
	}
	if k.said || !k.last.IsZero() && now.Sub(k.last) < problemLogInterval {
		return
	}
	attrs := []any{"problem", p.Code, "message", p.Message}
	if k.unsaid > 1 {
		attrs = append(attrs, "repeated", k.unsaid-1)
	}
	l.log.Log(context.Background(), problemLevel(p), "a problem appeared", attrs...)
	k.said, k.last, k.unsaid = true, now, 0
}

// problemLevel is the level of the line about a problem. Some problems are steps of every
// start and stop.
func problemLevel(p api.Problem) slog.Level {
	switch {
	case p.Critical:
		return slog.LevelError
	case p.Code == api.ProblemNotStarted, p.Code == api.ProblemJoining, p.Code == api.ProblemLeaving:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}
