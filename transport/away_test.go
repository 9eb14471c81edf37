package transport_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// Owners that are away come last, and another owner is named as the primary. The token does not
// change. The list of members still has them, and says until when they are expected.
func TestOwnersThatAreAwayComeLast(t *testing.T) {
	c := testkit.NewCluster(t)
	h := testkit.NewHandler(c)
	look := func() (answer api.Placement) {
		require.NoError(t, json.Unmarshal(call(h, "GET", "/v1/partitions/1", "").Body.Bytes(), &answer))
		return answer
	}
	before := look()
	require.Len(t, before.Owners, 2)
	until := time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)
	for i := range c.Shown.Members {
		if m := &c.Shown.Members[i]; m.ID == before.Primary {
			m.State, m.Until = membership.Away, until
		}
	}
	after := look()
	require.Equal(t, before.Token, after.Token)
	require.Equal(t, before.Owners[1].ID, after.Primary)
	require.Equal(t, []api.Owner{before.Owners[1], before.Owners[0]}, after.Owners)
	var members api.Members
	require.NoError(t, json.Unmarshal(call(h, "GET", "/v1/members", "").Body.Bytes(), &members))
	for _, m := range members.Members {
		require.Equal(t, m.ID == before.Primary, m.State == "away" && m.AwayUntil.Equal(until), m.ID)
	}
	for i := range c.Shown.Members {
		c.Shown.Members[i].State = membership.Away
	}
	require.Equal(t, before.Primary, look().Primary, "the first one where all are away")
}
