package guard

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// streamOf returns a message of a stream without the label, encrypted when the guard has keys.
func streamOf(t *testing.T, g *Guard, message []byte) []byte {
	t.Helper()
	if g.opts.Keys == nil {
		return message
	}
	head := binary.BigEndian.AppendUint32([]byte{encryptMessage}, uint32(len(message)+minSealed))
	sealed, err := g.Seal(message, append(slices.Clone(head), "orders"...))
	require.NoError(t, err)
	return append(head, sealed...)
}

// A member that may not refute its death yet sends no announcement of itself. Others learn nothing of it in
// exchanges of members either. Other messages pass.
func TestAMemberThatMustNotSayThatItLives(t *testing.T) {
	for _, keys := range []func() [][]byte{nil, func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		for _, returns := range []bool{true, false} {
			t.Run(fmt.Sprintf("encrypted %t, returns %t", keys != nil, returns), func(t *testing.T) {
				var wait chan struct{}
				var lives atomic.Bool
				o := Options{
					Label: "orders", Self: "self", Keys: keys, HeadTimeout: 4 * time.Second,
					Withheld: func() <-chan struct{} {
						if lives.Load() {
							return nil
						}
						return wait
					},
				}
				inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
					wait = make(chan struct{}) // of this bubble
					own, other := said(aliveMessage, "self", "self", 7), said(aliveMessage, "a", "a", 7)
					require.True(t, g.isOwn(own, true))
					require.False(t, g.isOwn(other, true))
					require.False(t, g.isOwn(own, false))

					begin := func(message []byte) net.Conn {
						near := p.connect("10.0.0.1:1")
						_, err := near.Write(append(labelHead("orders"), streamOf(t, g, message)...))
						require.NoError(t, err)
						return near
					}
					message := begin(userBytes(3))
					passed := <-g.StreamCh()
					exchange, began := begin(exchangeHead(0, 0)), time.Now()

					out, err := g.DialTimeout(dialedAddr, time.Minute)
					require.NoError(t, err)
					far := <-p.answers
					go func() { _, _ = io.Copy(io.Discard, far) }()
					_, err = out.Write(streamOf(t, g, userBytes(3)))
					require.NoError(t, err)
					_, err = out.Write(streamOf(t, g, exchangeHead(0, 0)))
					require.ErrorIs(t, err, errWithheld)

					time.Sleep(time.Second)
					if returns {
						lives.Store(true)
						close(wait)
					}
					one := <-g.StreamCh()
					if returns {
						require.Equal(t, time.Second, time.Since(began))
					} else {
						require.Equal(t, 2*time.Second, time.Since(began), "a member that hears nobody else must not wait for ever")
					}
					for _, c := range []net.Conn{passed, one, message, exchange, far} {
						_ = c.Close()
					}
				})
			})
		}
	}
}

// The other member of an exchange may be the first that says that this one is dead.
func TestExchangesTellOfSuspicions(t *testing.T) {
	for _, keys := range []func() [][]byte{nil, func() [][]byte { return [][]byte{make([]byte, 32)} }} {
		for state, want := range []int{stateAlive: 0, stateSuspect: 1, stateDead: 1, stateLeft: 0} {
			t.Run(fmt.Sprintf("encrypted %t, state %d", keys != nil, state), func(t *testing.T) {
				heard := make(chan string, 2)
				o := Options{
					Label: "orders", Self: "self", Keys: keys, Left: func(string) {},
					Heard: func(name string, suspected bool, incarnation uint64) {
						heard <- fmt.Sprint(name, " ", suspected, " ", incarnation)
					},
				}
				inBubble(t, o, func(t *testing.T, g *Guard, p *pipeTransport) {
					exchange := exchangeHead(2, 0)
					for _, name := range []string{"other", "self"} {
						exchange = append(exchange, textPair(pair(pair([]byte{0x83}, "Incarnation", 7), "State", uint64(state)), "Name", name)...)
					}
					near := p.connect("10.0.0.1:1")
					_, err := near.Write(append(labelHead("orders"), streamOf(t, g, exchange)...))
					require.NoError(t, err)
					conn := <-g.StreamCh()
					require.Len(t, heard, want)
					if want > 0 {
						require.Equal(t, "self true 7", <-heard)
					}
					require.NoError(t, near.Close())
					require.NoError(t, conn.Close())
				})
			})
		}
	}
}
