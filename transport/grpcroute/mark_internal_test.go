package grpcroute

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/route"
)

// TestMarks: what String writes, parseMark reads.
func TestMarks(t *testing.T) {
	to := target("orders", "kv", "n1", membership.Start{Number: 1, Nonce: 2})
	for _, other := range []uint64{
		target("staging", "kv", "n1", membership.Start{Number: 1, Nonce: 2}), target("orders", "kw", "n1", membership.Start{Number: 1, Nonce: 2}),
		target("orders", "kv", "n2", membership.Start{Number: 1, Nonce: 2}), target("orders", "kv", "n1", membership.Start{Number: 1, Nonce: 3}),
	} {
		require.NotEqual(t, to, other)
	}
	for _, m := range []mark{
		{target: to, partition: -1}, {target: to, number: 1, partition: 0, policy: route.PrimaryFirst},
		{target: 1<<64 - 1, number: 1<<64 - 1, partition: ring.MaxPartitionCount, policy: route.PrimaryOnly, token: ring.Token(1<<64 - 1)},
	} {
		text := m.String()
		got, err := parseMark([]string{"of an earlier attempt", text})
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}

// TestMarksAreKept: as long as a mark does not change, it is not written again, and its
// metadata is that of a context to which gRPC has added it.
func TestMarksAreKept(t *testing.T) {
	var kept marks
	a, b := mark{partition: 7, number: 1}, mark{partition: 7, number: 2}
	first := kept.of(a)
	require.Same(t, first, kept.of(a))
	require.Equal(t, b.String(), kept.of(b).text)
	require.NotSame(t, first, kept.of(a))
	require.NotSame(t, kept.of(mark{partition: -1}), kept.of(a))

	md, ok := metadata.FromOutgoingContext(&call{Context: t.Context(), mark: first})
	require.True(t, ok)
	require.Equal(t, metadata.MD{markKey: {a.String()}}, md)
}

// FuzzMark: no text is read as a mark that another text writes, and none crashes the server.
func FuzzMark(f *testing.F) {
	m := mark{target: 1, partition: 7}
	f.Add(m.String())
	f.Add("")
	f.Add("|<")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMark([]string{text})
		if err != nil {
			return
		}
		require.LessOrEqual(t, m.policy, route.PrimaryFirst)
		require.Equal(t, text, m.String())
	})
}
