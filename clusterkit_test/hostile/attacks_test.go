package hostile

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"time"
)

// attack is what a stranger does for as long as the context lives. It runs in a process of its own.
type attack struct {
	name  string
	short bool // part of the short form
	run   func(ctx context.Context, v victims)

	mode    string // of the members
	records bool   // it needs what a member that has left has sent
	ghosts  bool   // it announces members that do not exist, of which some are believed in clear
}

// victims are the members, and the addresses from which they are attacked.
type victims struct {
	From     []net.IP
	Members  []victim
	Recorded recording
}

// victim is what a stranger knows of a member.
type victim struct {
	ID           string
	Nonce        uint64
	HTTP, Gossip string
}

// attacks are the rows of the table.
var attacks = []attack{
	{name: "packets of random bytes", short: false, run: packets(func(i int) [][]byte { return [][]byte{random(64 + i%1300), labelled(random(64 + i%1300))} })},
	{name: "streams of 20 MiB of ciphertext", short: true, run: streams(64, always(func() []byte {
		return append(labelled(sealed(20<<20)), random(20<<20)...)
	}))},
	{name: "streams that announce 20 MiB, and stall", short: false, run: streams(64, func(i int) []byte {
		return labelled([][]byte{sealed(20 << 20), members(1<<20, 20<<20), userMessage(20 << 20)}[i%3])
	})},
	{name: "streams of 60 KiB, one byte at a time", short: false, run: drip},
	{name: "compressed messages of 20 MiB", short: false, run: streams(8, always(func() []byte { return labelled(compressed(20 << 20)) }))},
	{name: "other protocol versions", short: false, run: packets(func(i int) [][]byte {
		g := ghost("ghost", uint64(i))
		g.versions = []byte{5, 5, 5, 0, 1, 0}
		return [][]byte{labelled(g.alive())}
	})},
	{name: "later starts of a member", short: false, run: aboutMembers(func(p victim, i int) [][]byte {
		g := ghost(p.ID, uint64(i)+1)
		g.start += uint64(i)
		return [][]byte{labelled(g.alive())}
	})},
	{name: "deaths, leaves and other addresses", short: false, run: aboutMembers(func(p victim, i int) [][]byte {
		g := ghost(p.ID, p.Nonce)
		g.incarnation = uint32(1000 + i)
		moved := g
		moved.incarnation++
		last := g
		last.incarnation = math.MaxUint32
		return [][]byte{labelled(last.dead([]byte("x"))), labelled(last.alive()), labelled(g.suspect([]byte("x"))), labelled(moved.alive())}
	})},
	{name: "answers to batches, not read", short: true, run: requests(128, func(i int) string {
		body := `{"keys":["` + strings.Repeat(`x","`, 9000) + `x"]}`
		return fmt.Sprintf("POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})},
	{name: "plans", short: false, run: requests(32, func(i int) string {
		body := `{"add":[{"id":"x","weight":1}]}`
		return fmt.Sprintf("POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})},
	{name: "lookups over HTTP2, not read", short: true, run: unreadLookups},
	{name: "headers of HTTP, one byte at a time", short: false, run: requests(128, func(int) string { return "GET /v1/ring HTTP/1.1\r\nHost: x\r\nX-A: " })},
	// What these announce in clear takes a minute to be forgotten.
	{name: "20,000 starts of one NodeID", short: false, run: exchanges(func(i int) news { return ghost("ghost", uint64(i)) })},
	{name: "70,000 members", short: true, ghosts: true, run: exchanges(func(i int) news { return ghost(fmt.Sprint("ghost-", i%70000), 1) })},
	{name: "replay of all messages of a member that has left", short: false, records: true, run: replay},
	{name: "reports about handoff", short: false, mode: withHandoff, run: forgedReports},
}

// always returns a function that returns the same message each time. The message is made when the first
// one is asked for.
func always(message func() []byte) func(int) []byte {
	once := sync.OnceValue(message)
	return func(int) []byte { return once() }
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// parallel runs a function in n goroutines for each source address, until the context ends.
func parallel(ctx context.Context, v victims, n int, what func(from net.IP, i int)) {
	var all sync.WaitGroup
	for _, from := range v.From {
		for i := range n {
			all.Go(func() {
				for ctx.Err() == nil {
					what(from, i)
				}
			})
		}
	}
	all.Wait()
}

// pause waits for a moment, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// packets sends packets to all members, about 4,000 a second from each address.
func packets(next func(i int) [][]byte) func(context.Context, victims) {
	return func(ctx context.Context, v victims) {
		count := 0
		var mu sync.Mutex
		parallel(ctx, v, 1, func(from net.IP, _ int) {
			mu.Lock()
			count++
			all := next(count)
			mu.Unlock()
			for _, to := range v.Members {
				to.packets(from, all)
			}
			if count%4 == 0 {
				pause(ctx, time.Millisecond)
			}
		})
	}
}

func (v victim) packets(from net.IP, all [][]byte) {
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: from}, must(net.ResolveUDPAddr("udp", v.Gossip)))
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	for _, b := range all {
		_, _ = conn.Write(b) // the member may refuse it
	}
}

// aboutMembers sends packets about each member to all members, ten times a second.
func aboutMembers(next func(p victim, i int) [][]byte) func(context.Context, victims) {
	return func(ctx context.Context, v victims) {
		for i := 0; ctx.Err() == nil; i++ {
			for _, about := range v.Members {
				for _, b := range next(about, i) {
					for _, to := range v.Members {
						to.packets(v.From[i%len(v.From)], [][]byte{b})
					}
					pause(ctx, 10*time.Millisecond) // a leave must be believed before the address
				}
			}
			pause(ctx, 100*time.Millisecond)
		}
	}
}

// open opens a stream, which the context closes. The kernel keeps little of what is sent: the memory of an attacker
// is not that of the machine of a member.
func open(ctx context.Context, from net.IP, to string) net.Conn {
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).DialContext(ctx, "tcp", to)
	if err != nil {
		pause(ctx, 50*time.Millisecond)
		return nil
	}
	_ = conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn
}

// streams opens n streams from each address, sends a message on each, and keeps it open.
func streams(n int, message func(i int) []byte) func(context.Context, victims) {
	return func(ctx context.Context, v victims) {
		parallel(ctx, v, n, func(from net.IP, i int) {
			conn := open(ctx, from, v.Members[i%len(v.Members)].Gossip)
			if conn == nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Write(message(i))
			_, _ = io.Copy(io.Discard, conn) // until one side closes it
			pause(ctx, 200*time.Millisecond)
		})
	}
}

// drip sends messages a byte at a time.
func drip(ctx context.Context, v victims) {
	parallel(ctx, v, 64, func(from net.IP, i int) {
		conn := open(ctx, from, v.Members[i%len(v.Members)].Gossip)
		if conn == nil {
			return
		}
		defer conn.Close()
		_, err := conn.Write(labelled(append([]byte{10, 0, 0, 0xf0, 0}, 1)))
		for err == nil && ctx.Err() == nil {
			pause(ctx, 50*time.Millisecond)
			_, err = conn.Write([]byte{0})
		}
	})
}

// exchanges sends exchanges of 9,000 members.
func exchanges(one func(i int) news) func(context.Context, victims) {
	return func(ctx context.Context, v victims) {
		count := 0
		var mu sync.Mutex
		parallel(ctx, v, 1, func(from net.IP, _ int) {
			mu.Lock()
			all := make([]news, 9000)
			for i := range all {
				all[i] = one(count)
				count++
			}
			mu.Unlock()
			message := labelled(exchange(all))
			for _, to := range v.Members {
				if conn := open(ctx, from, to.Gossip); conn != nil {
					_, _ = conn.Write(message)
					_, _ = io.CopyN(io.Discard, conn, 1<<10)
					_ = conn.Close()
				}
			}
			pause(ctx, 100*time.Millisecond)
		})
	}
}

// requests sends n requests from each address, and does not read the answers.
func requests(n int, text func(i int) string) func(context.Context, victims) {
	return func(ctx context.Context, v victims) {
		parallel(ctx, v, n, func(from net.IP, i int) {
			conn := open(ctx, from, v.Members[i%len(v.Members)].HTTP)
			if conn == nil {
				return
			}
			defer conn.Close()
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			_, err := conn.Write([]byte(text(i)))
			for n := 0; err == nil && ctx.Err() == nil && n < 50; n++ { // 5 s
				pause(ctx, 100*time.Millisecond)
				_, err = conn.Write([]byte("a"))
			}
			pause(ctx, time.Second)
		})
	}
}

// unreadLookups opens streams of HTTP/2 whose windows are zero, so that no answer can be sent, and
// asks for the owners of a long key on each.
func unreadLookups(ctx context.Context, v victims) {
	path := "/v1/lookup?key=" + strings.Repeat("k", 4000)
	headers := []byte{0x82, 0x86, 0x04, 0x7f} // GET, http, and a path of a length over 127
	headers = append(binary.AppendUvarint(headers, uint64(len(path)-127)), path...)
	headers = append(headers, 0x01, 1, 'x') // the host
	frame := func(kind, flags byte, stream uint32, payload []byte) []byte {
		b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return append(binary.BigEndian.AppendUint32(b, stream), payload...)
	}
	hello := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0, []byte{0, 4, 0, 0, 0, 0})...)
	hello = append(hello, frame(4, 1, 0, nil)...)
	parallel(ctx, v, 32, func(from net.IP, i int) {
		conn := open(ctx, from, v.Members[i%len(v.Members)].HTTP)
		if conn == nil {
			return
		}
		defer conn.Close()
		_, err := conn.Write(hello)
		for stream := uint32(1); err == nil && ctx.Err() == nil && stream < 200; stream += 2 {
			_, err = conn.Write(frame(1, 5, stream, headers)) // the end of the request
			pause(ctx, 20*time.Millisecond)
		}
		_, _ = io.Copy(io.Discard, conn)
		pause(ctx, time.Second)
	})
}
