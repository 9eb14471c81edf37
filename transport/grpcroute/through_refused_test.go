package grpcroute_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring/option"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestCallsThatARouterRefuses: a client of gRPC learns the reason.
func TestCallsThatARouterRefuses(t *testing.T) {
	s := newSeen("n1")
	router, err := route.New(s, http.NotFoundHandler(), route.Options{
		Service: "kv", Logger: quiet(), Patience: option.None,
		Key: func(r *http.Request) (string, bool) {
			if r.URL.Path == set {
				panic("as a test asks for")
			}
			return "k", true
		},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, router.Close()) }()
	front := httptest.NewUnstartedServer(router)
	front.Config.Protocols = new(http.Protocols)
	front.Config.Protocols.SetUnencryptedHTTP2(true)
	front.Start()
	defer front.Close()
	conn, err := grpc.NewClient("passthrough:///"+front.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	refused := func(method string, code codes.Code, reason string) {
		t.Helper()
		err := conn.Invoke(t.Context(), method, wrapperspb.String("a"), new(wrapperspb.StringValue))
		require.Equal(t, code, status.Code(err))
		require.ErrorContains(t, err, "desc = "+reason)
	}
	refused(put, codes.Unavailable, "no member is known to own anything yet")
	refused(set, codes.Internal, "the member could not answer")

	f := &fleet{t: t}
	for _, id := range []string{"n1", "n2"} {
		f.members = append(f.members, membership.Member{ID: id, Weight: 1, State: membership.Active})
	}
	s.set(f.owned(2), f.members)
	refused(put, codes.Unavailable, `no owner of the key announces an address of the service "kv"`)
}
