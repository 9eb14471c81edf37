package transport

import (
	"net/http"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/route"
)

func (h *Handler) members(w http.ResponseWriter, r *http.Request) error {
	view := h.cluster.View()
	lease := h.lease(r)
	defer lease.end()
	lost := h.lost()
	if err := lease.resize(w, 4*pieceBytes+int64(len(lost))*lostBytes); err != nil {
		return err
	}
	answer := api.Members{
		ClusterName: view.ClusterName,
		NodeID:      view.NodeID,
		Fingerprint: view.Fingerprint,
		Members:     []api.Member{},
		Lost:        lost,
	}
	return writeList(w, r, answer, "members", func(yield func(api.Member) bool) {
		for i := range view.Members {
			if !yield(documentOf(&view.Members[i])) {
				return
			}
		}
	})
}

// lostSource is a cluster that knows which members have failed, as those of package cluster
// do.
type lostSource interface {
	// Lost returns the members that have failed and have not come back, in any order.
	Lost() []api.LostMember
}

// lostBytes is the most that one lost member takes in an answer, but for very long names.
const lostBytes = 512

// lost returns the members that have failed, in ascending order of ID.
func (h *Handler) lost() []api.LostMember {
	lost := []api.LostMember{}
	if source, ok := h.cluster.(lostSource); ok {
		lost = append(lost, source.Lost()...)
		slices.SortFunc(lost, func(a, b api.LostMember) int { return strings.Compare(a.ID, b.ID) })
	}
	return lost
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
		Version:        m.Version,
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

// memberOf returns a member of a view. If the view does not have it, no field of the result
// is set.
func memberOf(view route.View, id string) *membership.Member {
	if m := view.Member(id); m != nil {
		return m
	}
	return &membership.Member{}
}
