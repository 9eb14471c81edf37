package guard

import (
	"io"
	"net/netip"
	"time"
)

// The guard limits the rate at which it reads from senders that are not known. There is a limit for each network,
// and one of paceShared times as much for all networks together. The members in an exchange count as bytes too: each
// takes about 10 µs of processor time, and a sender can announce 9,000 in a megabyte. Without the limits, senders could
// make a member copy and drop 1 GiB, or read 100,000 members, in a second of its processor time.

const (
	// paceBurst is what the guard reads at once from one network, and paceRate what it reads from there in each
	// further second. An exchange of 10,000 members is less than paceBurst.
	paceBurst, paceRate = 4 << 20, 1 << 20
	paceShared          = 4                      // in networks; when more send at once, each gets less
	paceMember          = 256                    // bytes that a member in an exchange counts as, besides its own
	paceRefused         = 64 << 10               // bytes for a stream whose message is refused, because it costs a connection and an answer
	paceFree            = 4096                   // bytes of a stream that are always read at once: a member that joins sends less
	maxPaces            = 1024                   // networks that are remembered; all further ones share a rate
	paceCount           = 100 * time.Millisecond // how often networks are forgotten that have not used up anything
	// paceDiscarded is how many bytes that are read after a refusal, and not kept, count as one.
	paceDiscarded = 4
)

// pace is what the guard has read from one network above its rate.
type pace struct {
	bytes float64
	at    time.Time
}

func (p *pace) settle(rate float64, now time.Time) {
	p.bytes = max(p.bytes-rate*max(now.Sub(p.at).Seconds(), 0), 0)
	p.at = now
}

// paced adds n bytes that were read from a network, and returns how long the network must wait.
func (b *budget) paced(source netip.Prefix, n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paces == nil {
		return 0
	}
	if since := now.Sub(b.counted); since < 0 || since >= paceCount {
		b.counted = now
		for other, p := range b.paces {
			if p.settle(b.share()*paceRate, now); p.bytes == 0 {
				delete(b.paces, other)
			}
		}
	}
	p := b.paces[source]
	if p == nil && len(b.paces) >= maxPaces {
		source = netip.Prefix{}
		p = b.paces[source]
	}
	if p == nil {
		p = &pace{at: now}
		b.paces[source] = p
	}
	share := b.share()
	p.settle(share*paceRate, now)
	p.bytes += float64(n)
	return min(time.Duration(max(p.bytes-share*paceBurst, 0)/(share*paceRate)*float64(time.Second)), b.maxWait)
}

// share returns which part of paceBurst and paceRate each network has. The caller holds the lock.
func (b *budget) share() float64 { return min(1, paceShared/float64(len(b.paces))) }

// pace counts n bytes that were read from a stream, and waits as long as its network must.
func (c *charge) pace(n int) {
	wait := c.budget.paced(c.source, n, time.Now())
	if c.read += n; wait == 0 || c.read <= paceFree {
		return
	}
	pause := time.NewTimer(wait)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-c.ended:
	}
}

// pacedReader reads from a stream at the pace of its network.
type pacedReader struct {
	io.Reader
	charge *charge
	part   int // one in this number of bytes counts
}

func (r pacedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.charge.pace(n / r.part)
	return n, err
}
