package cluster

import (
	"github.com/clusterkit/clusterkit/transport"
)

// httpView shows the cluster to the HTTP handler.
type httpView struct{ c *Cluster }

func (h httpView) View() transport.View {
	v := h.c.view.Load()
	return transport.View{
		ClusterName:   h.c.settings.ClusterName,
		NodeID:        h.c.settings.NodeID,
		Version:       v.version,
		Ring:          v.ring,
		Members:       v.members,
		Fingerprint:   v.fingerprint,
		Configuration: v.configuration,
	}
}

func (h httpView) Health() transport.Health {
	health := h.c.Health()
	shown := transport.Health{
		Ready:           health.Ready,
		Healthy:         health.Healthy,
		State:           health.State,
		Members:         health.Members,
		UnderReplicated: health.Spread.UnderReplicated,
		ZoneViolations:  health.Spread.ZoneViolations,
		Agreed:          health.Agreed,
		Fingerprint:     health.Fingerprint,
		LastSync:        health.LastSync,
	}
	for _, p := range health.Problems {
		shown.Problems = append(shown.Problems, transport.Problem(p))
	}
	for _, d := range health.Differing {
		shown.Differing = append(shown.Differing, transport.Differing(d))
	}
	return shown
}
