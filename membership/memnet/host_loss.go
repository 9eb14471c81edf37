package memnet

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
)

// maxHostLoss bounds both probabilities of [Network.SetHostLoss]. To lose everything,
// cut with [Network.Block] or [Network.Isolate].
const maxHostLoss = 0.99

// Retransmissions of a lost segment: the first wait, doubled for each further one, as on
// Linux; and how often a segment is sent at most, so that the delay has a bound.
const (
	retransmitAfter    = 200 * time.Millisecond
	retransmitSynAfter = time.Second
	maxRetransmits     = 10 // 204 s for a segment; dials end at their timeout
)

// hostLoss is what one host loses, besides what the network loses.
type hostLoss struct{ in, out float64 }

// SetHostLoss makes one host lose a share of what it receives and of what it sends, for
// whatever is sent from now on, on top of [Options.PacketLoss]. Both are from 0 to
// 0.99; zero for both ends it. [Network.Heal] does not. An address outside these
// bounds is an [option.Error], wrapped, and changes nothing.
//
// Packets are lost at that rate. Streams do what TCP does: a lost segment is sent again
// after 200 ms, then after twice that time, and so on, and later bytes wait for it. A dial
// sends again after one second, then after twice that time, and fails at its timeout.
// What a host sends to itself is never lost. It is safe for concurrent use.
func (n *Network) SetHostLoss(addr netip.AddrPort, in, out float64) error {
	if err := errors.Join(checkHostLoss("in", in), checkHostLoss("out", out)); err != nil {
		return fmt.Errorf("memnet: loss of %v: %w", addr, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if in == 0 && out == 0 {
		delete(n.hostLoss, canonical(addr))
	} else {
		n.hostLoss[canonical(addr)] = hostLoss{in: in, out: out}
	}
	return nil
}

func checkHostLoss(field string, p float64) error {
	if p >= 0 && p <= maxHostLoss { // false for NaN
		return nil
	}
	return &option.Error{Field: field, Value: p, Bound: fmt.Sprintf("between 0 and %v", maxHostLoss)}
}

// hostLossOf returns the probability that the hosts lose what one sends to the other. The
// caller holds n.mu.
func (n *Network) hostLossOf(from, to netip.AddrPort) float64 {
	if len(n.hostLoss) == 0 || from == to {
		return 0
	}
	return 1 - (1-n.hostLoss[from].out)*(1-n.hostLoss[to].in)
}

// segmentDelay returns how long bytes of a stream sent now are under way, with the time
// of retransmissions. The caller holds n.mu.
func (n *Network) segmentDelay(from, to netip.AddrPort) time.Duration {
	return n.delay() + n.retransmits(n.hostLossOf(from, to), retransmitAfter)
}

// dialDelay returns how long the handshake of a dial takes. The caller holds n.mu.
func (n *Network) dialDelay(from, to netip.AddrPort) time.Duration {
	lost := 1 - (1-n.hostLossOf(from, to))*(1-n.hostLossOf(to, from))
	return n.delay() + n.delay() + n.retransmits(lost, retransmitSynAfter)
}

// retransmits returns how long something is late that is sent until it is not lost. The
// caller holds n.mu.
func (n *Network) retransmits(loss float64, after time.Duration) time.Duration {
	var late time.Duration
	for range maxRetransmits {
		if !n.chance(loss) {
			break
		}
		late += after
		after *= 2
	}
	return late
}
