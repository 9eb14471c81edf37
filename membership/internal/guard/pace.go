package guard

import (
	"io"
	"net/netip"
	"time"
)

const (
	// paceBurst is what the guard reads at once from one network of senders that are not known, and
	// paceRate what it reads from there in each further second. A joining member of a cluster of 10,000
	// sends less than paceBurst. Without a rate, a sender makes a member copy and drop 1 GiB in a second of
	// its processor time.
	paceBurst, paceRate = 4 << 20, 1 << 20
	maxPaces            = 1024 // networks that are remembered; all further ones share a rate
	// paceDiscarded is how many bytes that are read after a refusal, and not kept, count as one.
	paceDiscarded = maxDiscarded / paceBurst
)

// pace is what the guard has read from one network of senders above paceRate.
type pace struct {
	bytes float64
	at    time.Time
}

// read adds n bytes, and returns how long the network must wait until more is read.
func (p *pace) read(n int, now time.Time) (wait time.Duration) {
	p.settle(now)
	p.bytes += float64(n)
	return time.Duration(max(p.bytes-paceBurst, 0) / paceRate * float64(time.Second))
}

func (p *pace) settle(now time.Time) {
	p.bytes = max(p.bytes-paceRate*max(now.Sub(p.at).Seconds(), 0), 0)
	p.at = now
}

// paced adds n bytes that were read from a network, and returns how long the network must wait.
func (b *budget) paced(source netip.Prefix, n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paces == nil {
		return 0
	}
	if _, known := b.paces[source]; !known && len(b.paces) >= maxPaces {
		for other, p := range b.paces {
			if p.settle(now); p.bytes == 0 {
				delete(b.paces, other)
			}
		}
		if len(b.paces) >= maxPaces {
			source = netip.Prefix{}
		}
	}
	p := b.paces[source]
	if p == nil {
		p = &pace{at: now}
		b.paces[source] = p
	}
	return min(p.read(n, now), b.maxWait)
}

// pacedReader reads from a stream at the pace of its network.
type pacedReader struct {
	io.Reader
	charge *charge
	part   int // one of this number of bytes counts
}

func (r pacedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if wait := r.charge.budget.paced(r.charge.source, n/r.part, time.Now()); wait > 0 {
		pause := time.NewTimer(wait)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.charge.ended:
		}
	}
	return n, err
}
