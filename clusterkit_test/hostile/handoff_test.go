package hostile

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/clusterkit/clusterkit/cluster"
)

// withHandoff is the mode of members that hand partitions over to each other.
const withHandoff = "handoff"

// mover moves nothing. Once it is stuck, it merges no further partition.
type mover struct {
	stuck    atomic.Bool
	released atomic.Int64
}

func (m *mover) Receive(ctx context.Context, _ int, _ []cluster.Member, _ int) error {
	if m.stuck.Load() {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (m *mover) Release(context.Context, int) error {
	m.released.Add(1)
	return nil
}

// forgedReports says in the name of the other members that they have merged all partitions of a member
// that drains, with guessed fences and cookies.
func forgedReports(ctx context.Context, v victims) {
	from, to := v.Members[0], v.Members[2]
	fence := uint64(0)
	for ctx.Err() == nil {
		cookies := random(17)
		cookies[0] = 4
		for _, cookies := range [][]byte{nil, cookies} {
			for partition := 0; partition < partitions; partition += 512 {
				message := labelled(direct(from, to, slices.Concat(cookies, merged(to.Nonce, partition, fence))))
				if conn := open(ctx, v.From[int(fence)%len(v.From)], to.Gossip); conn != nil {
					_, _ = conn.Write(message)
					_, _ = conn.Read(make([]byte, 1)) // until it is closed
					_ = conn.Close()
				}
			}
		}
		fence++
	}
}

// merged is a report about 512 partitions.
func merged(nonce uint64, first int, fence uint64) []byte {
	b := binary.AppendUvarint([]byte{3, 2, 0}, nonce)
	b = binary.AppendUvarint(b, 512)
	for p := range 512 {
		b = append(binary.AppendUvarint(b, uint64(first+p)), 1|2|16) // owner, ready, sees
		b = append(binary.AppendUvarint(binary.AppendUvarint(b, 1), fence), 0, 0)
	}
	return append(b, 0)
}

// direct is a message from one member to another.
func direct(from, to victim, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{0x15}, from.Nonce)
	b = binary.LittleEndian.AppendUint64(b, to.Nonce)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(from.ID)))
	b = append(append(b, from.ID...), payload...)
	return append(userMessage(uint32(len(b))), b...)
}
