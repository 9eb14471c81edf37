package membership

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// observer is a network with an attacker that has no key: everything that is sent is
// sent once more, with the one byte changed that is not authenticated.
type observer struct{ wg *sync.WaitGroup }

func (o observer) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	inner, err := Sockets().Listen(addr, logger)
	return &observed{inner, o.wg}, err
}

type observed struct {
	Transport
	wg *sync.WaitGroup
}

// changed returns a message with another version byte, which is a number of bytes after
// the label of the cluster "orders".
func changed(b []byte, after int) []byte {
	b = bytes.Clone(b)
	if at := 2 + len("orders") + after; at < len(b) {
		b[at] ^= 1
	}
	return b
}

func (o *observed) WriteToAddress(b []byte, a Address) (time.Time, error) {
	if conn, err := net.Dial("udp", a.Addr); err == nil {
		_, _ = conn.Write(changed(b, 0))
		_ = conn.Close()
	}
	return o.Transport.WriteToAddress(b, a)
}

func (o *observed) DialAddressTimeout(a Address, timeout time.Duration) (net.Conn, error) {
	conn, err := o.Transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return &recorded{Conn: conn, addr: a.Addr, o: o}, nil
}

type recorded struct {
	net.Conn
	addr string
	o    *observed
	mu   sync.Mutex
	sent []byte
}

func (r *recorded) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

func (r *recorded) Close() error {
	r.mu.Lock()
	sent := r.sent
	r.sent = nil
	r.mu.Unlock()
	if len(sent) > 0 {
		r.o.wg.Go(func() {
			if conn, err := net.Dial("tcp", r.addr); err == nil {
				_, _ = conn.Write(changed(sent, 5))
				_ = conn.Close()
			}
		})
	}
	return r.Conn.Close()
}

// TestWhoHasNoKeyCannotCrashAMember sends packets that make memberlist panic, at the first packet
// or soon after, unless the guard drops them.
func TestWhoHasNoKeyCannotCrashAMember(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for many packets")
	}
	t.Parallel() // it waits most of the time
	var wg sync.WaitGroup
	defer wg.Wait()
	var all []*Membership
	var seeds []string
	for i := range 2 {
		m, err := New(Options{
			ClusterName: "orders", NodeID: fmt.Sprintf("n%d", i), GossipAddr: "127.0.0.1:0",
			PartitionCount: 16, Configurations: []string{"x"}, Discovery: Static(seeds...),
			Gossip: GossipOptions{Profile: Local, Keys: Keys{[]byte("0123456789abcdef")}, Network: observer{&wg}},
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		require.NoError(t, m.Start(t.Context()))
		defer func() { _ = m.Stop(context.Background()) }()
		all = append(all, m)
		seeds = append(seeds, m.Local().Addr.String())
	}
	for _, m := range all {
		require.Eventually(t, func() bool { return m.instance.guard.Counts().BadCipher > 20 }, 20*time.Second, 10*time.Millisecond)
		members, _ := m.Members()
		require.Len(t, members, 2)
	}
	streams := all[0].instance.guard.Counts().BadCipher
	require.NoError(t, all[0].Update(t.Context(), func(a *Attributes) { a.Metadata = map[string]string{"still": "here"} }))
	require.Eventually(t, func() bool {
		members, _ := all[1].Members()
		return members[0].Metadata["still"] == "here" && all[0].instance.guard.Counts().BadCipher > streams
	}, 20*time.Second, 10*time.Millisecond)
}
