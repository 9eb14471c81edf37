package transport

import (
	"net/http"
	"sync"
	"weak"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

func (h *Handler) ring(w http.ResponseWriter, r *http.Request) error {
	view, err := h.serving(w)
	if err != nil {
		return err
	}
	summary := h.summaries.of(view.Ring)
	lease := h.lease(r)
	defer lease.end()
	nodes := len(summary.table.Nodes)
	if summary.target != nil {
		nodes += len(summary.target.Nodes)
	}
	if err := lease.resize(w, 2*pieceBytes+2*nodeBytes*int64(nodes)); err != nil {
		return err
	}
	return wire.WriteJSON(w, r, http.StatusOK, api.Ring{
		ClusterName:    view.ClusterName,
		NodeID:         view.NodeID,
		Version:        view.Version,
		Fingerprint:    view.Fingerprint,
		Configuration:  view.Configuration,
		PartitionCount: view.Ring.PartitionCount(),
		Moving:         summary.target != nil,
		Table:          summary.table,
		Target:         summary.target,
	})
}

// summaries keeps the summary of the last ring that was requested. Making a summary
// reads the whole table, which takes up to a second for the largest. It stays valid as
// long as the ring is the same.
type summaries struct {
	mu   sync.Mutex // held while summarizing, so that concurrent requests wait for one summary
	ring weak.Pointer[ring.Ring]
	last summary
}

type summary struct {
	table  api.Table
	target *api.Table
}

func (s *summaries) of(r *ring.Ring) summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Weak, so that a replaced ring is not kept in memory for its summary.
	if key := weak.Make(r); s.ring != key {
		made := summary{table: summarize(r)}
		if target := r.Target(); target != r {
			t := summarize(target)
			made.target = &t
		}
		s.ring, s.last = key, made
	}
	return s.last
}

func summarize(r *ring.Ring) api.Table {
	config, nodes := r.Config(), r.Nodes()
	info := api.Table{
		ReplicationFactor: config.ReplicationFactor,
		Replicas:          r.Replicas(),
		Strategy:          config.Strategy.Name(),
		Spread:            r.Spread(),
		Nodes:             make([]api.Node, len(nodes)),
	}
	index := make(map[string]int, len(nodes))
	for i, n := range nodes {
		index[n.ID] = i
		info.Nodes[i] = api.Node{ID: n.ID, Region: n.Region, Zone: n.Zone, Weight: n.Weight}
	}
	for _, p := range r.All() {
		for rank, n := range p.All() {
			load := &info.Nodes[index[n.ID()]]
			load.Owned++
			if rank == 0 {
				load.Primary++
			}
		}
	}
	return info
}
