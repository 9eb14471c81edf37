package transport_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestBatchesOfIDs: with owners=ids a batch has the same answers, owners in the same order,
// and is much shorter.
func TestBatchesOfIDs(t *testing.T) {
	for name, c := range map[string]*testkit.Cluster{"at rest": testkit.NewCluster(t), "moving": testkit.NewCluster(t).Moving(t)} {
		h := testkit.NewHandler(c)
		for _, near := range []string{"", "&region=us"} {
			var whole api.Batch
			var short api.BatchIDs
			long := call(h, "POST", "/v1/lookup?owners=members"+near, manyKeys(200))
			require.Equal(t, long.Body.String(), call(h, "POST", "/v1/lookup?"+near, manyKeys(200)).Body.String(), "the default")
			require.NoError(t, json.Unmarshal(long.Body.Bytes(), &whole))
			w := call(h, "POST", "/v1/lookup?owners=ids"+near, manyKeys(200))
			require.Equal(t, 200, w.Code)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &short))
			require.Less(t, 5*w.Body.Len(), 3*long.Body.Len(), name)
			require.Equal(t, whole.Fingerprint, short.Fingerprint)
			require.Equal(t, whole.Groups, short.Groups)
			require.Len(t, short.Results, 200)
			for i, want := range whole.Results {
				got := short.Results[i]
				require.Equal(t, []any{want.Key, want.Partition, want.Token, want.Primary}, []any{got.Key, got.Partition, got.Token, got.Primary})
				require.Equal(t, idsOf(want.Owners), got.Owners)
				require.Equal(t, idsOf(want.Target), got.Target)
			}
		}
	}
	h := testkit.NewHandler(testkit.NewCluster(t))
	for _, value := range []string{"owners=", "owners=id", "owners=ids&owners=ids"} {
		w := call(h, "POST", "/v1/lookup?"+value, manyKeys(2))
		require.Equal(t, 400, w.Code, value)
		require.Contains(t, w.Body.String(), `"parameter":"owners"`)
	}
}

func idsOf(owners []api.Owner) (ids []string) {
	for _, o := range owners {
		ids = append(ids, o.ID)
	}
	return ids
}
