package grpcroute

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/metadata"
)

// marks keeps the marks that a client has written last, by partition. The mark of a partition
// changes with its owners and after a refusal, and to write it takes longer than to look it up.
// With calls of 4,096 partitions and more they take about 1 MiB.
type marks [4096]atomic.Pointer[written]

// written is a mark with its text.
type written struct {
	mark     mark
	text     string
	metadata any // the value that a context with only this mark has for outgoingKey; nil: not known
}

// of returns a mark with its text.
func (s *marks) of(m mark) *written {
	slot := &s[m.partition&(len(s)-1)]
	if w := slot.Load(); w != nil && w.mark == m {
		return w
	}
	w := &written{mark: m, text: m.String()}
	if outgoingKey != nil {
		w.metadata = metadata.AppendToOutgoingContext(context.Background(), markKey, w.text).Value(outgoingKey)
	}
	slot.Store(w)
	return w
}

// outgoingKey is the key of the outgoing metadata in a context. gRPC does not export it, and
// asks this context for it.
var outgoingKey = func() any {
	c := keyOfMetadata{Context: context.Background()}
	_, _ = metadata.FromOutgoingContext(&c)
	return c.key
}()

type keyOfMetadata struct {
	context.Context
	key any
}

func (c *keyOfMetadata) Value(key any) any {
	c.key = key
	return nil
}
