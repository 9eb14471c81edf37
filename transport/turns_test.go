package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/internal/testkit"
)

// Callers that do not read their answers, short or long, keep no other one from a batch.
func TestUnreadBatchesKeepNoTurn(t *testing.T) {
	h := testkit.MakeHandler(large(t, 100, 256), transport.HandlerOptions{Logger: testkit.Quiet()})
	for _, keys := range []int{1, 5000} {
		ctx, cancel := context.WithCancel(t.Context())
		var requests []*http.Request
		for i := range 2*runtime.GOMAXPROCS(0) + 2 {
			requests = append(requests, requestFrom(ctx, fmt.Sprint("192.0.2.", i), "POST", "/v1/lookup", strings.NewReader(manyKeys(keys))))
		}
		_, end := stall(t, h, requests, cancel)
		require.Equal(t, 200, call(h, "POST", "/v1/lookup", manyKeys(5000)).Code)
		end()
	}
}
