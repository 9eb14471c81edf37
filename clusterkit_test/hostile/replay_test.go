package hostile

import (
	"context"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// recorder is a network on which a stranger records all that a member sends.
type recorder struct {
	mu      sync.Mutex
	packets [][]byte
	streams []*[]byte
}

func (r *recorder) Listen(addr netip.AddrPort, logger *log.Logger) (membership.Transport, error) {
	inner, err := membership.Sockets().Listen(addr, logger)
	return recordingTransport{inner, r}, err
}

type recordingTransport struct {
	membership.Transport
	r *recorder
}

func (t recordingTransport) WriteToAddress(b []byte, a membership.Address) (time.Time, error) {
	t.r.mu.Lock()
	t.r.packets = append(t.r.packets, slices.Clone(b))
	t.r.mu.Unlock()
	return t.Transport.WriteToAddress(b, a)
}

func (t recordingTransport) DialAddressTimeout(a membership.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.Transport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	text := new([]byte)
	t.r.mu.Lock()
	t.r.streams = append(t.r.streams, text)
	t.r.mu.Unlock()
	return recordedConn{conn, text, t.r}, nil
}

type recordedConn struct {
	net.Conn
	text *[]byte
	r    *recorder
}

func (c recordedConn) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	*c.text = append(*c.text, b...)
	c.r.mu.Unlock()
	return c.Conn.Write(b)
}

// recording is what a member has sent.
type recording struct{ Packets, Streams [][]byte }

// record lets a member join and leave, and records what it sends.
func record(t *testing.T, all []*process, key string) (sent recording) {
	t.Helper()
	r := &recorder{}
	var seeds []string
	for _, p := range all {
		seeds = append(seeds, p.Gossip)
	}
	o := options("gone", "127.0.101.8", key, "", seeds)
	o.Gossip.Network = r
	c, err := cluster.New(o)
	require.NoError(t, err)
	require.NoError(t, c.Start(t.Context()))
	pause(t.Context(), time.Second) // probes
	leaving, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Stop(leaving))
	r.mu.Lock()
	defer r.mu.Unlock()
	sent.Packets = slices.Clone(r.packets)
	for _, text := range r.streams {
		sent.Streams = append(sent.Streams, slices.Clone(*text))
	}
	require.NotEmpty(t, sent.Packets)
	require.NotEmpty(t, sent.Streams)
	return sent
}

// replay sends all that was recorded to all members, again and again.
func replay(ctx context.Context, v victims) {
	parallel(ctx, v, 1, func(from net.IP, _ int) {
		for _, to := range v.Members {
			for all := v.Recorded.Packets; len(all) > 0; all = all[min(len(all), 32):] {
				to.packets(from, all[:min(len(all), 32)])
				pause(ctx, time.Millisecond)
			}
			for _, text := range v.Recorded.Streams {
				if conn := open(ctx, from, to.Gossip); conn != nil {
					_, _ = conn.Write(text)
					pause(ctx, 5*time.Millisecond)
					_ = conn.Close()
				}
			}
		}
	})
}
