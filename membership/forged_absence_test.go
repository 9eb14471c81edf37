package membership

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tell sends an exchange without members, and with records of absences, to all targets.
func (s stranger) tell(records []absenceRecord) {
	s.t.Helper()
	state := encodeAbsences(records)
	b := append(append([]byte{6, 0x82}, number32("Nodes", 0)...), number32("UserStateLen", uint32(len(state)))...)
	for _, addr := range s.to {
		conn, err := s.transport.DialAddressTimeout(Address{Addr: addr.String()}, time.Second)
		require.NoError(s.t, err)
		_, err = conn.Write(append(labelled(b), state...))
		require.NoError(s.t, err)
		_, err = io.CopyN(io.Discard, conn, 64)
		require.NoError(s.t, err, "the exchange was answered")
		require.NoError(s.t, conn.Close())
	}
}

// absent returns the record of a start that nobody has seen.
func absent(id string, number, nonce uint64) absenceRecord {
	return absenceRecord{remaining: time.Hour, member: Member{
		ID: id, Addr: netip.MustParseAddrPort("10.0.0.77:1"), Weight: maxWeight, PartitionCount: 64, State: Away, Grace: time.Hour,
		Configurations: []string{"rf3:rendezvous/1"}, Start: Start{Number: number, Nonce: nonce},
	}}
}

// A record of the absence of a start that nobody has seen neither replaces a process, nor adds a
// member, nor takes the place of a member that has failed.
func TestForgedAbsencesAreNotBelieved(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two, three, four := n.start(1), n.start(2), n.start(3), n.start(4)
		n.see(4, one, two, three, four)
		n.active(one, two, three, four)
		n.net.Crash(addrOf(4))
		n.see(3, one, two, three)
		time.Sleep(newCompany)
		s := n.stranger(one, two, three)
		later := one.Local().Start.Number + uint64(maxClockError/time.Millisecond)/2
		records := []absenceRecord{absent("n3", later, 1), absent("n4", later, 2), absent("zero", 0, 0)}
		for i := range uint64(500) {
			records = append(records, absent(fmt.Sprint("ghost-", i), later, 10+i))
		}
		for range 60 {
			s.tell(records)
			for _, m := range []*Membership{one, two, three} {
				members, _ := m.Members()
				require.Equal(t, 3, len(members)) //nolint:testifylint // Len prints all of them
				for _, got := range members {
					require.Equal(t, Active, got.State, got.ID)
				}
				require.Len(t, m.registry.failed(), 1)
			}
			time.Sleep(time.Second)
		}
		again := n.start(4, onAddr(40))
		n.see(4, one, two, three, again)
	})
}

// Records of absences that are not valid are counted, and do not fill the log.
func TestInvalidAbsencesDoNotFillTheLog(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		h := newLineLog(slog.LevelWarn)
		one := n.start(1, func(o *Options) { o.Logger = slog.New(h) })
		s := n.stranger(one)
		h.take()
		for i := range 200 {
			state := binary.BigEndian.AppendUint64([]byte{0xff}, uint64(i))
			b := append(append([]byte{6, 0x82}, number32("Nodes", 0)...), number32("UserStateLen", uint32(len(state)))...)
			conn, err := s.transport.DialAddressTimeout(Address{Addr: addrOf(1).String()}, time.Second)
			require.NoError(t, err)
			_, err = conn.Write(append(labelled(b), state...))
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
			require.NoError(t, conn.Close())
		}
		require.GreaterOrEqual(t, one.counts.refused.Load(), uint64(200))
		require.LessOrEqual(t, len(h.take()), 40)
	})
}

// In clear any process can end the grace of a member that restarts. The member counts as failed then,
// and takes its place when it is back.
func TestAForgedEndOfAnAbsence(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two, three := n.start(1), n.start(2), n.start(3, grace(time.Hour))
		n.see(3, one, two, three)
		n.active(one, two, three)
		start := three.Local().Start
		require.NoError(t, three.Stop(t.Context()))
		n.isAway("n3", one, two)
		n.stranger(one, two).tell([]absenceRecord{{member: Member{ID: "n3", Start: start}}})
		n.see(2, one, two)
		require.Len(t, one.registry.failed(), 1)
		again := n.start(3, grace(time.Hour))
		n.speaks(again, one, two, again)
		require.Empty(t, one.registry.failed())
	})
}

// In clear any process can say that a member which has failed has left. It does not count as lost then.
func TestAForgedLeaveOfALostMember(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		one, two, three := n.start(1), n.start(2), n.start(3)
		n.see(3, one, two, three)
		n.active(one, two, three)
		n.net.Crash(addrOf(3))
		n.see(2, one, two)
		require.Len(t, one.registry.failed(), 1)
		n.stranger(one, two).tell([]absenceRecord{{left: true, member: Member{ID: "n3", Start: three.Local().Start}}})
		require.Empty(t, one.registry.failed())
		again := n.start(3, onAddr(30))
		n.speaks(again, one, two, again)
	})
}
