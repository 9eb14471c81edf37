package transport

import (
	"net/http"
	"sort"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

func (h *Handler) members(w http.ResponseWriter, r *http.Request) error {
	view := h.cluster.View()
	lease := h.lease(r)
	defer lease.end()
	if err := lease.resize(w, 4*pieceBytes); err != nil {
		return err
	}
	answer := api.Members{
		ClusterName: view.ClusterName,
		NodeID:      view.NodeID,
		Fingerprint: view.Fingerprint,
		Members:     []api.Member{},
	}
	return writeList(w, r, answer, "members", func(yield func(api.Member) bool) {
		for i := range view.Members {
			if !yield(documentOf(&view.Members[i])) {
				return
			}
		}
	})
}

func membersOf(view route.View) []api.Member {
	members := make([]api.Member, 0, len(view.Members))
	for i := range view.Members {
		members = append(members, documentOf(&view.Members[i]))
	}
	return members
}

func documentOf(m *membership.Member) api.Member {
	return api.Member{
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
	}
}

// notNil turns a nil map into an empty one, so that JSON has an empty object and not
// null.
func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// memberOf finds a member by its ID. If it is not among the members, the result has only
// the ID.
func memberOf(members []membership.Member, id string) *membership.Member {
	// A Member is large, and slices.BinarySearchFunc would copy one at every step.
	i := sort.Search(len(members), func(i int) bool { return members[i].ID >= id })
	if i == len(members) || members[i].ID != id {
		return &membership.Member{}
	}
	return &members[i]
}
