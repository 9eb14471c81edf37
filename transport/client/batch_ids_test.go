package client_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport/client"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// TestLookupBatchIDs has the owners of LookupBatch, in parts too.
func TestLookupBatchIDs(t *testing.T) {
	srv := httptest.NewServer(testkit.NewHandler(testkit.NewCluster(t).Moving(t)))
	t.Cleanup(srv.Close)
	keys := make([]string, 25)
	for i := range keys {
		keys[i] = fmt.Sprint("user:", i)
	}
	for _, most := range []int{0, 10} {
		c := testkit.NewClient(t, client.Options{URLs: []string{srv.URL}, MaxKeys: most})
		whole, err := c.LookupBatch(t.Context(), keys, client.Near{Region: "us"})
		require.NoError(t, err)
		ids, err := c.LookupBatchIDs(t.Context(), keys, client.Near{Region: "us"})
		require.NoError(t, err)
		require.Equal(t, whole.Groups, ids.Groups)
		require.Len(t, ids.Results, len(keys))
		for i, p := range whole.Results {
			require.Equal(t, keys[i], ids.Results[i].Key)
			require.Len(t, ids.Results[i].Owners, len(p.Owners))
			for j, o := range p.Owners {
				require.Equal(t, o.ID, ids.Results[i].Owners[j])
			}
			require.Len(t, ids.Results[i].Target, len(p.Target))
		}
	}
	_, err := testkit.NewClient(t, client.Options{URLs: []string{srv.URL}}).LookupBatchIDs(t.Context(), []string{"\xff"}, client.Near{})
	require.ErrorContains(t, err, "the key is not UTF-8")
}
