package membership

import (
	"context"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/lifecycle"
)

// stuck is a network whose transports do not shut down before release is closed.
type stuck struct {
	Network
	release chan struct{}
}

func (s stuck) Listen(addr netip.AddrPort, logger *log.Logger) (Transport, error) {
	inner, err := s.Network.Listen(addr, logger)
	return stuckTransport{inner, s.release}, err
}

type stuckTransport struct {
	Transport
	release chan struct{}
}

func (s stuckTransport) Shutdown() error {
	<-s.release
	return s.Transport.Shutdown()
}

// Start ends with its context, also when what it has started does not. Stop waits for that.
func TestStartEndsWithItsContext(t *testing.T) {
	inNet(t, func(t *testing.T, n *testNet) {
		release := make(chan struct{})
		m := n.make(1, func(o *Options) { o.Gossip.Network = stuck{n.net, release} })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, m.Start(ctx), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(began), 3*time.Second+lifecycle.Grace)

		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, m.Stop(short), context.DeadlineExceeded)
		close(release)
		require.NoError(t, m.Stop(t.Context()))
		n.free(1)
	})
}
