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

func TestSoundPackets(t *testing.T) {
	label := []byte{labelMark, 3, 'a', 'b', 'c'}
	for _, test := range []struct {
		packet []byte
		sound  bool
	}{
		{nil, false}, {[]byte{}, false}, {[]byte{1}, true}, {[]byte{1, 9, 9}, true}, {[]byte{0, 9, 9}, false}, {[]byte{2}, false}, {[]byte{255}, false},
		{label, false}, {append(bytes.Clone(label), 1, 7), true}, {append(bytes.Clone(label), 0, 7), false},
		{[]byte{labelMark}, false}, {[]byte{labelMark, 0, 1}, false}, {[]byte{labelMark, 9, 1, 1}, false},
	} {
		require.Equal(t, test.sound, soundPacket(test.packet), "%v", test.packet)
	}
}

// TestCipherCheck feeds streams in pieces of every size.
func TestCipherCheck(t *testing.T) {
	for _, test := range []struct {
		stream []byte
		skip   int
		passes bool
	}{
		{[]byte{encryptedMark, 0, 0, 0, 9, 1, 0, 0}, 0, true},
		{[]byte{encryptedMark, 0, 0, 0, 9, 0, 0, 0}, 0, false},
		{[]byte{encryptedMark, 1, 1, 1, 1, 2}, 0, false},
		{[]byte{244, 1, 'a', encryptedMark, 0, 0, 0, 9, 1}, 3, true},
		{[]byte{244, 1, 'a', encryptedMark, 0, 0, 0, 9, 0}, 3, false},
		{[]byte{6, 0, 0, 0, 0, 0, 0, 0}, 0, true}, // in clear: memberlist refuses it by itself
		{[]byte{encryptedMark, 0, 0}, 0, true},    // not there yet
	} {
		for size := 1; size <= len(test.stream); size++ {
			check, passes := cipherCheck{skip: test.skip}, true
			for rest := test.stream; len(rest) > 0; {
				n := min(size, len(rest))
				passes = passes && check.pass(rest[:n])
				rest = rest[n:]
			}
			require.Equal(t, test.passes, passes, "%v in pieces of %d", test.stream, size)
		}
	}
}

// observer is a network on whose path somebody sits who has no key: all that is
// sent is sent once more, with the one byte changed that is not authenticated.
type observer struct{ wg *sync.WaitGroup }

func (o observer) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	inner, err := Sockets{}.Listen(addr, logger)
	return &observed{inner, o.wg}, err
}

type observed struct {
	Transport
	wg *sync.WaitGroup
}

// changed is what was sent with another version, whose place is so many bytes
// after the label.
func changed(b []byte, after int) []byte {
	b = bytes.Clone(b)
	if label, missing, err := peekLabel(b); err == nil && missing == 0 {
		if at := 2 + len(label) + after; at < len(b) {
			b[at] ^= 1
		}
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
				_, _ = conn.Write(changed(sent, cipherVersionAt))
				_ = conn.Close()
			}
		})
	}
	return r.Conn.Close()
}

// TestWhoHasNoKeyCannotCrashAMember: memberlist, left alone, panics at the first
// such packet or soon after.
func TestWhoHasNoKeyCannotCrashAMember(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for many packets")
	}
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
		require.Eventually(t, func() bool { return m.guard.counts().badCipher > 20 }, 20*time.Second, 10*time.Millisecond)
		members, _ := m.Members()
		require.Len(t, members, 2)
	}
	streams := all[0].guard.counts().badCipher
	require.NoError(t, all[0].Update(t.Context(), func(a *Attributes) { a.Metadata = map[string]string{"still": "here"} }))
	require.Eventually(t, func() bool {
		members, _ := all[1].Members()
		return members[0].Metadata["still"] == "here" && all[0].guard.counts().badCipher > streams
	}, 20*time.Second, 10*time.Millisecond)
}

// FuzzCipherCheck compares what the checks let through with what they are for.
func FuzzCipherCheck(f *testing.F) {
	f.Add([]byte{encryptedMark, 0, 0, 0, 9, 1, 0}, 0, 1)
	f.Add([]byte{labelMark, 1, 'a', encryptedMark, 0, 0, 0, 9, 0}, 3, 2)
	f.Add([]byte{labelMark, 1, 'a', 0, 1}, 3, 9)
	f.Fuzz(func(t *testing.T, b []byte, skip, size int) {
		if skip < 0 || skip > 1000 || size < 1 {
			return
		}
		check, passes := cipherCheck{skip: skip}, true
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			passes = passes && check.pass(rest[:n])
			rest = rest[n:]
		}
		message := b[min(skip, len(b)):]
		wrong := len(message) > cipherVersionAt && message[0] == encryptedMark && message[cipherVersionAt] != cipherVersion
		require.Equal(t, !wrong, passes)

		if soundPacket(b) {
			label, missing, err := peekLabel(b)
			require.NoError(t, err)
			require.Zero(t, missing)
			if label != nil {
				b = b[2+len(label):]
			}
			require.Equal(t, byte(cipherVersion), b[0])
		}
	})
}
