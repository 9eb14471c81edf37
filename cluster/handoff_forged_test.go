package cluster_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// stranger sends messages about handoff to a member in the name of another member, from an address of
// its own. It knows all that gossip in clear says.
type stranger struct {
	t         *testing.T
	transport membership.Transport
	name      string // of the cluster
	from, to  membership.Member
}

// merged says that the sender has merged all partitions as of a fence of the receiver. cookies is what
// comes before the message.
func (s *stranger) merged(partitions int, fence uint64, cookies []byte) {
	b := slices.Concat(cookies, []byte{3, 2, 0})
	b = binary.AppendUvarint(b, s.to.Start.Nonce)
	b = binary.AppendUvarint(b, uint64(partitions))
	for p := range partitions {
		b = binary.AppendUvarint(b, uint64(p))
		b = append(b, 1|2|16) // owner, ready, sees
		b = binary.AppendUvarint(binary.AppendUvarint(b, 1), fence)
		b = append(b, 0, 0)
	}
	s.send(append(b, 0))
}

func (s *stranger) send(payload []byte) {
	s.t.Helper()
	direct := binary.LittleEndian.AppendUint64([]byte{0x15}, s.from.Start.Nonce)
	direct = binary.LittleEndian.AppendUint64(direct, s.to.Start.Nonce)
	direct = binary.LittleEndian.AppendUint16(direct, uint16(len(s.from.ID)))
	direct = append(append(direct, s.from.ID...), payload...)
	b := append([]byte{0xf4, byte(len(s.name))}, s.name...)
	b = append(b, "\x08\x81\xaaUserMsgLen\xcd"...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(direct))), direct...)
	conn, err := s.transport.DialAddressTimeout(membership.Address{Addr: s.to.Addr.String()}, time.Second)
	require.NoError(s.t, err)
	_, err = conn.Write(b)
	require.NoError(s.t, err)
	time.Sleep(5 * time.Millisecond)
	require.NoError(s.t, conn.Close())
}

// A process that is no member cannot make a member release data that no other member has merged.
func TestForgedReportsReleaseNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *testNet) {
		stays, goes, kept, drained := b.leaves(t, newShelf(), 10*patience)
		transport, err := b.net.Listen(netip.MustParseAddrPort("10.9.9.9:1"), nil)
		require.NoError(t, err)
		defer func() { _ = transport.Shutdown() }()
		s := stranger{t: t, transport: transport, name: "orders", from: stays.Local(), to: goes.Local()}
		number := func(n uint64) []byte {
			return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{4}, n), n)
		}
		for fence := range uint64(400) {
			s.merged(64, fence, nil)
			s.merged(64, fence, number(fence%3))
		}
		time.Sleep(time.Second)
		require.Equal(t, 1, kept.copy(3)["k"])
		require.Empty(t, kept.released)
		require.Equal(t, 64, goes.Handoff().State().Releasing)
		require.Error(t, goes.Stop(within(t, time.Second)), "it still waits to hand over")
		require.Error(t, <-drained)
	})
}

// leaves starts two members and lets the second drain, while the first one never completes a merge.
// Drain has the time limit, and its result arrives in drained.
func (b *testNet) leaves(t *testing.T, sh *shelf, limit time.Duration, edits ...edit) (stays, goes *cluster.Cluster, kept *store, drained chan error) {
	t.Helper()
	stays, merges := b.startStore(sh, 1, edits...)
	goes, kept = b.startStore(sh, 2, edits...)
	b.still(stays, goes)
	kept.merge(3, map[string]int{"k": 1})
	merges.never()
	drained = make(chan error, 1)
	go func() { drained <- goes.Drain(within(t, limit)) }()
	b.await("it waits for the other to merge", func() bool { return goes.Handoff().State().Releasing == 64 })
	return stays, goes, kept, drained
}

// never makes merges fail at the end of their context.
func (s *store) never() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
}
