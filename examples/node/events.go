package main

import (
	"log/slog"
	"strings"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
)

// logEvent logs an event in one line, at level warn if it is a problem.
func logEvent(logger *slog.Logger, e cluster.Event) {
	switch {
	case e.Member != nil:
		logMember(logger, e.Kind, e.Member)
	case e.Ring != nil:
		logRing(logger, e.Kind, e.Ring)
	case e.Health != nil:
		logHealth(logger, e.Kind, e.Health)
	}
}

func logMember(logger *slog.Logger, kind cluster.EventKind, change *cluster.MemberChange) {
	about := change.After
	if about.ID == "" { // the member is gone
		about = change.Before
	}
	attrs := []any{"member", change.ID, "region", about.Region, "zone", about.Zone, "state", about.State, "gossip", about.Addr}
	if change.Away > 0 {
		attrs = append(attrs, "away", change.Away)
	}
	if kind == cluster.MemberFailed {
		logger.Warn(kind.String(), attrs...)
		return
	}
	logger.Info(kind.String(), attrs...)
}

func logRing(logger *slog.Logger, kind cluster.EventKind, change *cluster.RingChange) {
	plan, err := rebalance.Diff(change.Old, change.New)
	if err != nil {
		logger.Error(kind.String(), "error", err)
		return
	}
	logger.Info(kind.String(), "fingerprint", change.Fingerprint, "owners", change.New.Len(),
		"moves", len(plan.Moves), "slots", plan.Slots, "primary_changes", plan.PrimaryChanges)
}

func logHealth(logger *slog.Logger, kind cluster.EventKind, change *cluster.HealthChange) {
	after := change.After
	attrs := []any{"ready", after.Ready, "healthy", after.Healthy}
	problems := make([]string, 0, len(after.Problems))
	for _, p := range after.Problems {
		problems = append(problems, p.Message)
	}
	if len(problems) > 0 {
		attrs = append(attrs, "problems", strings.Join(problems, "; "))
	}
	expected := after.Healthy || after.State == membership.Joining.String() || after.State == membership.Leaving.String()
	if expected {
		logger.Info(kind.String(), attrs...)
		return
	}
	logger.Warn(kind.String(), attrs...)
}
