package transport

import (
	"net/http"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

func (h *Handler) members(w http.ResponseWriter, r *http.Request) error {
	view := h.cluster.View()
	answer := api.Members{
		ClusterName: view.ClusterName,
		NodeID:      view.NodeID,
		Fingerprint: view.Fingerprint,
		Members:     make([]api.Member, 0, len(view.Members)),
	}
	for _, m := range view.Members {
		answer.Members = append(answer.Members, api.Member{
			ID:             m.ID,
			State:          m.State.String(),
			Region:         m.Region,
			Zone:           m.Zone,
			Weight:         m.Weight,
			Addr:           m.Addr,
			HTTPAddr:       m.HTTPAddr,
			Services:       notNil(m.Services),
			Metadata:       notNil(m.Metadata),
			PartitionCount: m.PartitionCount,
			Configurations: append([]string{}, m.Configurations...),
			Started:        presentable(m.Started),
			AwayUntil:      presentable(m.Until),
		})
	}
	return wire.WriteJSON(w, r, http.StatusOK, answer)
}

// notNil makes an absent map an empty object rather than null.
func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func byID(m membership.Member, id string) int { return strings.Compare(m.ID, id) }

// httpAddr is the address that a member announces; empty when it announces
// none or is not among the members.
func httpAddr(members []membership.Member, id string) string {
	i, found := slices.BinarySearchFunc(members, id, byID)
	if !found {
		return ""
	}
	return members[i].HTTPAddr
}
