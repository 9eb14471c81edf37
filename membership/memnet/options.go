package memnet

import (
	"errors"
	"fmt"
	"time"

	"github.com/clusterkit/clusterkit/ring/option"
)

// maxLatency bounds [Options.Latency] and [Options.Jitter], each.
const maxLatency = time.Hour

// Options describe a [Network]. The zero value is a perfect network: nothing
// is lost and nothing takes time.
type Options struct {
	// Seed seeds all random decisions: loss and jitter. Any value will do.
	Seed uint64
	// Latency is how long a packet, or a byte of a stream, is under way in
	// one direction; a dial takes twice as long. 0 to an hour.
	Latency time.Duration
	// Jitter is the bound of a random delay on top of Latency, uniform from
	// zero up to it and drawn anew for each packet, each write to a stream and
	// each direction of a dial. 0 to an hour.
	Jitter time.Duration
	// PacketLoss is the probability that a packet is lost, from 0 to 1.
	PacketLoss float64
	// StreamLoss is the probability that a dial goes unanswered, so that it
	// fails when its timeout has passed, from 0 to 1. A stream once
	// established loses nothing.
	StreamLoss float64
}

func (o Options) validate() error {
	return errors.Join(
		checkDelay("Latency", o.Latency),
		checkDelay("Jitter", o.Jitter),
		checkProbability("PacketLoss", o.PacketLoss),
		checkProbability("StreamLoss", o.StreamLoss),
	)
}

func checkDelay(field string, d time.Duration) error {
	if d < 0 || d > maxLatency {
		return &option.Error{Field: field, Value: d, Bound: fmt.Sprintf("between 0 and %v", maxLatency)}
	}
	return nil
}

func checkProbability(field string, p float64) error {
	if p >= 0 && p <= 1 { // false for NaN
		return nil
	}
	return &option.Error{Field: field, Value: p, Bound: "between 0 and 1"}
}

// SetLatency changes [Options.Latency] and [Options.Jitter] for whatever is
// sent from now on. It returns an [option.Error], wrapped, and changes
// nothing, when either is out of bounds. It is safe for concurrent use.
func (n *Network) SetLatency(latency, jitter time.Duration) error {
	if err := errors.Join(checkDelay("Latency", latency), checkDelay("Jitter", jitter)); err != nil {
		return fmt.Errorf("memnet: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.options.Latency, n.options.Jitter = latency, jitter
	return nil
}

// SetPacketLoss changes [Options.PacketLoss] for packets sent from now on. It
// returns an [option.Error], wrapped, and changes nothing, when the probability is
// not from 0 to 1. It is safe for concurrent use.
func (n *Network) SetPacketLoss(probability float64) error {
	if err := checkProbability("PacketLoss", probability); err != nil {
		return fmt.Errorf("memnet: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.options.PacketLoss = probability
	return nil
}

// SetStreamLoss changes [Options.StreamLoss] for dials that begin from now on.
// It returns an [option.Error], wrapped, and changes nothing, when the probability
// is not from 0 to 1. It is safe for concurrent use.
func (n *Network) SetStreamLoss(probability float64) error {
	if err := checkProbability("StreamLoss", probability); err != nil {
		return fmt.Errorf("memnet: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.options.StreamLoss = probability
	return nil
}

// chance reports whether something of that probability happens. It draws
// nothing when that is certain not to be. The caller holds n.mu.
func (n *Network) chance(probability float64) bool {
	return probability > 0 && n.random.Float64() < probability
}

// delay returns how long something sent now is under way. The caller holds
// n.mu.
func (n *Network) delay() time.Duration {
	d := n.options.Latency
	if n.options.Jitter > 0 {
		d += time.Duration(n.random.Int64N(int64(n.options.Jitter)))
	}
	return d
}
