package guard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGuardPassesOwnClusterOn(t *testing.T) {
	for _, label := range []string{"orders", strings.Repeat("x", 255), ""} {
		inBubble(t, Options{Label: label}, func(t *testing.T, g *Guard, p *pipeTransport) {
			sent := append(labelHead(label), pingBytes...)
			near := p.connect("10.0.0.1:1")
			go func() {
				for _, b := range sent { // a byte at a time
					_, _ = near.Write([]byte{b})
				}
				_ = near.Close()
			}()
			conn := <-g.StreamCh()
			got, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.Equal(t, sent, got, "with the label, which memberlist reads again")
			require.NoError(t, conn.Close())
			require.Error(t, conn.SetDeadline(time.Now()))
			_ = conn.Close()
			require.Zero(t, g.Counts())
		})
	}
}

// pingBytes is a message of memberlist: a ping without fields.
var pingBytes = []byte{pingMessage, 0x80}

// A message that is complete has no deadline any more: memberlist sets its own.
func TestGuardLeavesDeadlinesToMemberlist(t *testing.T) {
	inBubble(t, Options{Label: "orders", HeadTimeout: time.Second}, func(t *testing.T, g *Guard, p *pipeTransport) {
		near := p.connect("10.0.0.1:1")
		_, err := near.Write(append(labelHead("orders"), pingBytes...))
		require.NoError(t, err)
		conn := <-g.StreamCh()
		go func() { _, _ = io.Copy(io.Discard, near) }()
		time.Sleep(time.Hour)
		_, err = conn.Write([]byte{ackMessage})
		require.NoError(t, err)
		require.NoError(t, near.Close())
		require.NoError(t, conn.Close())
	})
}

func TestGuardRefusesOtherClusters(t *testing.T) {
	for name, sent := range map[string][]byte{
		"another":  append(labelHead("billing"), 6),
		"prefix":   append(labelHead("order"), 6),
		"longer":   append(labelHead("orders2"), 6),
		"no label": {6, 1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var lines bytes.Buffer
			o := Options{Label: "orders", Logger: log.New(&lines, "", 0)}
			inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
				near := p.connect("10.0.0.1:1")
				_, err := near.Write(append(sent, make([]byte, 1<<20)...))
				require.NoError(t, err, "what the other side sends is read to its end")
				answer := make([]byte, refusalSize)
				_, err = io.ReadFull(near, answer)
				require.NoError(t, err)
				require.Equal(t, refusalFrame(), answer)
				require.NoError(t, near.Close())
				synctest.Wait()
				require.Equal(t, Counts{OtherLabel: 1}, g.Counts())
				require.Zero(t, liveStreams(g))
				require.Contains(t, lines.String(), "[WARN] refused a stream of another cluster")
				require.NotContains(t, lines.String(), `"orders"`)
			})
		})
	}
}

// Streams that are refused cost a connection and an answer. So a network gets few answers in a second.
func TestGuardRefusesAtAPace(t *testing.T) {
	inBubble(t, Options{Label: "orders"}, func(t *testing.T, g *Guard, p *pipeTransport) {
		refused := func(from string, lasts time.Duration) (n int) {
			for end := time.Now().Add(lasts); time.Now().Before(end); n++ {
				near := p.connect(from)
				_, err := near.Write(labelHead("billing"))
				require.NoError(t, err)
				_, err = io.ReadFull(near, make([]byte, refusalSize))
				require.NoError(t, err)
				require.NoError(t, near.Close())
				time.Sleep(time.Millisecond)
			}
			return n
		}
		require.LessOrEqual(t, refused("10.0.0.1:1", 10*time.Second), (paceBurst+10*paceRate)/paceRefused+10)
		require.Greater(t, refused("10.0.0.2:1", 30*time.Millisecond), 25, "others do not wait")
	})
}

// When only one side encrypts, nothing but the kind of a message is kept. The sender gets the answer of memberlist,
// however much it sends.
func TestGuardKeepsNothingThatMemberlistRefuses(t *testing.T) {
	ciphertext := append(binary.BigEndian.AppendUint32([]byte{encryptMessage}, maxSealed), cipherVersion)
	for name, test := range map[string]struct {
		keys    func() [][]byte
		message []byte
	}{
		"ciphertext, and no key":        {nil, ciphertext},
		"an exchange, and keys":         {func() [][]byte { return nil }, exchangeHead(9000, 0)},
		"a message, and keys":           {func() [][]byte { return nil }, userHead(maxSealed)},
		"compressed messages, and keys": {func() [][]byte { return nil }, []byte{compressMessage, 0x80}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{Label: "orders", Keys: test.keys}, func(t *testing.T, g *Guard, p *pipeTransport) {
				near := p.connect("10.0.0.1:1")
				go func() {
					_, _ = near.Write(append(append(labelHead("orders"), test.message...), make([]byte, 8<<20)...))
				}()
				conn := <-g.StreamCh()
				got, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.Equal(t, append(labelHead("orders"), test.message[0]), got)
				go func() {
					_, _ = conn.Write([]byte{errMessage})
					_ = conn.Close()
				}()
				answer := make([]byte, 1)
				_, err = io.ReadFull(near, answer)
				require.NoError(t, err)
				require.Equal(t, []byte{errMessage}, answer)
				synctest.Wait()
				require.Less(t, g.strangers.bytes, 2*firstBuffer)
				require.NoError(t, near.Close())
			})
		})
	}
}

func TestGuardEndsRefusalsThatDrag(t *testing.T) {
	o := Options{Label: "orders", HeadTimeout: time.Second}
	inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
		silent := p.connect("10.0.0.1:1") // neither reads nor closes
		_, err := silent.Write(labelHead("billing"))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, liveStreams(g))
		requireClosed(t, silent)

		endless := p.connect("10.0.0.1:2")
		_, err = endless.Write(append(labelHead("billing"), make([]byte, 2*maxDiscarded)...))
		require.Error(t, err, "closed after maxDiscarded bytes")
		synctest.Wait()
		require.Zero(t, liveStreams(g))
	})
}

func TestGuardEndsStreamsWithoutLabel(t *testing.T) {
	inBubble(t, Options{Label: "orders", HeadTimeout: time.Second}, func(t *testing.T, g *Guard, p *pipeTransport) {
		began := time.Now()
		silent := p.connect("10.0.0.1:1")
		requireClosed(t, silent)
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, Counts{BadHead: 1}, g.Counts())

		trickle := p.connect("10.0.0.1:2")
		var err error
		sent := 0
		for _, b := range labelHead(strings.Repeat("x", 200)) {
			if _, err = trickle.Write([]byte{b}); err != nil {
				break
			}
			sent++
			time.Sleep(100 * time.Millisecond)
		}
		require.Error(t, err, "the deadline is for the whole label")
		require.LessOrEqual(t, sent, 11)

		malformed := p.connect("10.0.0.1:3")
		_, err = malformed.Write([]byte{labelMark, 0})
		require.NoError(t, err)
		requireClosed(t, malformed)

		cut := p.connect("10.0.0.1:4")
		_, err = cut.Write([]byte{labelMark, 9, 'x'})
		require.NoError(t, err)
		require.NoError(t, cut.Close())
		synctest.Wait()
		require.Equal(t, Counts{BadHead: 4}, g.Counts())

		check := p.connect("10.0.0.1:5") // a health check
		synctest.Wait()
		require.NoError(t, check.Close())
		synctest.Wait()
		require.Equal(t, Counts{BadHead: 4}, g.Counts())
		require.Zero(t, liveStreams(g))
	})
}

// A new stream takes the place of the one that has waited longest.
func TestGuardCapsStreams(t *testing.T) {
	o := Options{Label: "orders", MaxStreams: 5, MaxPerSource: 2, HeadTimeout: time.Second}
	inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
		connect := func(from string) net.Conn {
			conn := p.connect(from)
			synctest.Wait()
			return conn
		}
		first := connect("10.0.0.1:1")
		second := connect("[::ffff:10.0.0.1]:2")
		connect("10.0.0.1:3")
		requireClosed(t, first)
		require.Equal(t, Counts{OverSource: 1}, g.Counts())

		connect("[2001:db8::1]:1")
		connect("[2001:db8::2]:2") // the same /64
		connect("10.0.0.2:1")
		last := connect("10.0.0.3:1")
		requireClosed(t, second)
		require.Equal(t, Counts{OverSource: 1, OverTotal: 1}, g.Counts())
		require.Equal(t, 5, liveStreams(g))
		third := connect("[2001:db8::3]:3")
		require.Equal(t, Counts{OverSource: 2, OverTotal: 1}, g.Counts())
		require.NoError(t, third.Close())
		synctest.Wait()
		require.Equal(t, 4, liveStreams(g))

		go func() { _, _ = last.Write(append(labelHead("orders"), pingBytes...)) }()
		conn := <-g.StreamCh()
		synctest.Wait()
		require.Equal(t, 4, liveStreams(g), "a stream counts until memberlist closes it")
		require.NoError(t, conn.Close())
		require.Equal(t, 3, liveStreams(g))
		_ = conn.Close()
		require.Equal(t, 3, liveStreams(g), "and only once")

		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, liveStreams(g), "silent ones do not hold their slots")
	})
}

// Streams that memberlist answers keep their place, unless the answer takes long.
func TestGuardDoesNotCloseWhatIsBeingAnswered(t *testing.T) {
	o := Options{Label: "orders", MaxPerSource: 1}
	inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
		near := p.connect("10.0.0.1:1")
		go func() { _, _ = near.Write(append(labelHead("orders"), pingBytes...)) }()
		conn := <-g.StreamCh()
		requireClosed(t, p.connect("10.0.0.1:2"))
		require.Equal(t, Counts{OverSource: 1}, g.Counts())
		time.Sleep(2 * answerPatience)
		p.connect("10.0.0.1:3")
		requireClosed(t, near)
		_ = conn.Close()
	})
}

// Known members have slots of their own.
func TestGuardKeepsRoomForKnownMembers(t *testing.T) {
	known := netip.MustParseAddr("10.0.0.9")
	o := Options{Label: "orders", MaxStreams: 4, Known: func(a netip.Addr) bool { return a == known }}
	inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
		member := p.connect("10.0.0.9:1")
		for i := range 20 {
			p.connect(fmt.Sprintf("10.0.1.%d:1", i))
			synctest.Wait()
		}
		require.Equal(t, Counts{OverTotal: 16}, g.Counts())
		go func() { _, _ = member.Write(append(labelHead("orders"), pingBytes...)) }()
		require.NoError(t, (<-g.StreamCh()).Close())
	})
}

func TestGuardWithoutSourceAddress(t *testing.T) {
	inBubble(t, Options{MaxPerSource: 1, HeadTimeout: time.Second}, func(t *testing.T, g *Guard, p *pipeTransport) {
		for range 3 { // net.Pipe has no addresses
			near, far := net.Pipe()
			t.Cleanup(func() { _ = near.Close() })
			p.streams <- far
		}
		synctest.Wait()
		require.Equal(t, 3, liveStreams(g))
		require.Zero(t, g.Counts())
	})
}

// Strangers that do not read the answers to complete messages leave memberlist room to answer others: it serves 127
// exchanges of members at a time.
func TestGuardLeavesRoomForAnswers(t *testing.T) {
	inBubble(t, Options{Label: "orders", MaxStreams: 1000}, func(t *testing.T, g *Guard, p *pipeTransport) {
		open := func(from string) (near, taken net.Conn) {
			near = p.connect(from)
			_, err := near.Write(append(labelHead("orders"), exchangeHead(0, 0)...))
			require.NoError(t, err)
			return near, <-g.StreamCh()
		}
		var all []net.Conn
		defer func() {
			for _, conn := range all {
				_ = conn.Close()
			}
		}()
		for i := range 4 {
			for range 60 {
				near, taken := open(fmt.Sprintf("10.0.1.%d:1", i))
				all = append(all, near, taken)
			}
			if i == 2 {
				near, taken := open("10.0.2.1:1")
				all = append(all, near, taken)
				defer func() {
					go func() { _, _ = taken.Write([]byte{ackMessage}) }()
					_, err := io.ReadFull(near, make([]byte, 1))
					require.NoError(t, err, "the only stream of its network is not closed")
				}()
			}
		}
		require.Equal(t, maxAnswers, liveStreams(g))
	})
}
