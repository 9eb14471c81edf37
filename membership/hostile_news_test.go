package membership

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The messages about members in this file are sent by a process that is no member, where gossip is
// in clear.

// news is a message about a member, or the state of a member in an exchange.
type news struct {
	name        string
	incarnation uint32
	addr        net.IP
	port        uint16
	meta        []byte
	versions    []byte
}

// usual are the versions that members use.
var usual = []byte{1, 5, 2, 0, 1, 0}

// fields returns the fields of the message in msgpack. The name has another key in an exchange.
func (n news) fields(key string) []byte {
	bytes := func(name string, value []byte) []byte {
		b := append([]byte{0xa0 | byte(len(name))}, name...)
		return append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(value))), value...)
	}
	b := append(bytes(key, []byte(n.name)), number32("Incarnation", n.incarnation)...)
	b = append(append(b, bytes("Addr", n.addr)...), number32("Port", uint32(n.port))...)
	return append(append(b, bytes("Meta", n.meta)...), bytes("Vsn", n.versions)...)
}

// alive returns the packet that says that a member is alive.
func (n news) alive() []byte { return labelled(append([]byte{4, 0x86}, n.fields("Node")...)) }

// dead returns the packet that says that a member has failed.
func (n news) dead() []byte {
	b := append(append([]byte{5, 0x83}, number32("Incarnation", n.incarnation)...), "\xa4From\xa1x\xa4Node\xda"...)
	return labelled(append(binary.BigEndian.AppendUint16(b, uint16(len(n.name))), n.name...))
}

// exchange returns a stream that tells of members.
func exchange(all []news) []byte {
	b := append(append([]byte{6, 0x82}, number32("Nodes", uint32(len(all)))...), number32("UserStateLen", 0)...)
	for _, n := range all {
		b = append(append(b, 0x86), n.fields("Name")...)
	}
	return b
}

// ghost returns news of a member that does not exist.
func ghost(t *testing.T, i int, edit func(*Member)) news {
	t.Helper()
	m := Member{
		ID: fmt.Sprintf("ghost-%d", i), Weight: 1, PartitionCount: 16, Configurations: []string{"x"}, State: Active,
		Start: Start{Number: uint64(time.Now().UnixMilli()), Nonce: uint64(i)},
	}
	if edit != nil {
		edit(&m)
	}
	meta := []byte{metaVersion}
	for _, f := range append(userFields(m), libraryFields(m)...) { // encodeMeta would refuse some
		meta = f.append(meta)
	}
	return news{
		name: gossipName(m.ID, m.Start.Nonce), incarnation: 1, addr: net.IPv4(127, 0, 0, 3).To4(), port: uint16(1 + i%60000),
		meta: meta, versions: usual,
	}
}

func TestForgedNewsIsNotBelieved(t *testing.T) {
	t.Parallel() // it waits most of the time
	all, addrs, unharmed := attacked(t)
	packets := func(packet []byte) {
		for _, addr := range addrs {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "udp", addr)
			require.NoError(t, err)
			_, err = conn.Write(packet)
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}
	}
	for name, edit := range map[string]func(*Member){
		"a line break in the zone":      func(m *Member) { m.Zone = "a\r\nb" },
		"a line break in the region":    func(m *Member) { m.Region = "a\nb" },
		"an HTTP address with a header": func(m *Member) { m.HTTPAddr = "10.0.0.1:80\r\nHost: x" },
		"an HTTP address with a path":   func(m *Member) { m.HTTPAddr = "10.0.0.1:80/x" },
		"a service with a line break":   func(m *Member) { m.Services = map[string]string{"a\nb": "10.0.0.1:80"} },
		"a start at the end of numbers": func(m *Member) { m.Start.Number = math.MaxUint64 },
		"a weight over the bound":       func(m *Member) { m.Weight = maxWeight + 1 },
	} {
		t.Run(name, func(*testing.T) { packets(ghost(t, 1, edit).alive()) })
	}
	for _, versions := range [][]byte{{5, 5, 5, 0, 1, 0}, {1, 1, 1, 0, 0, 0}, {1, 5, 2, 1, 1, 1}, {1, 5, 5, 0, 1, 0}, {1, 5, 2}, nil} {
		n := ghost(t, 2, nil)
		n.versions = versions
		packets(n.alive())
		send(t, "127.0.0.9", addrs[0], exchange([]news{n}))
	}
	requireJoin(t, addrs)
	for _, m := range all {
		self := m.announcer.get()
		forged := ghost(t, 3, nil)
		forged.name, forged.incarnation = gossipName(self.ID, self.Start.Nonce), math.MaxUint32
		forged.addr, forged.port = self.Addr.Addr().AsSlice(), self.Addr.Port()
		packets(forged.dead())
		packets(forged.alive())
		send(t, "127.0.0.9", addrs[0], exchange([]news{forged}))
	}
	unharmed()
}

// What any process can announce in clear is bounded, and does not keep a member out.
func TestFakeMembersAreBounded(t *testing.T) {
	t.Parallel() // it waits most of the time
	all, addrs, _ := attacked(t)
	starts, members := make([]news, 2000), make([]news, 2000)
	for i := range starts {
		starts[i] = ghost(t, i, func(m *Member) { m.ID = "ghost" })
		members[i] = ghost(t, i, nil)
	}
	for _, forged := range [][]news{starts, members} {
		for _, addr := range addrs {
			send(t, "127.0.0.9", addr, exchange(forged))
		}
	}
	for _, m := range all {
		require.LessOrEqual(t, len(m.registry.rivals("ghost")), maxStarts)
		seconds := int(time.Since(m.instance.opened).Seconds()) + 1
		require.LessOrEqual(t, m.registry.countOthers(), newMembersBurst+newMembers*seconds)
	}
	third, err := New(Options{
		ClusterName: "orders", NodeID: "n3", GossipAddr: "127.0.0.1:0", Gossip: GossipOptions{Profile: Local},
		PartitionCount: 16, Configurations: []string{"x"}, Discovery: Static(addrs...), BootstrapTimeout: 30 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, third.Start(t.Context()))
	for _, id := range []string{"n0", "n1"} {
		_, found := third.registry.member(id)
		require.True(t, found, id)
	}
	for _, m := range all {
		require.Eventually(t, func() bool { _, found := m.registry.member("n3"); return found }, time.Minute, 10*time.Millisecond)
	}
	require.NoError(t, third.Stop(t.Context()))
}
