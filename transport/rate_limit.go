package transport

import (
	"cmp"
	"container/list"
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clusterkit/clusterkit/ring/option"
)

// RateLimit is the rate of requests that are admitted: Burst at once, and PerSecond
// after that. The zero value means no limit.
type RateLimit struct {
	// PerSecond is the lasting rate, 0.01 to 1,000,000 requests a second.
	PerSecond float64
	// Burst is the number of requests that may come at once, 1 to 1,000,000. Zero means
	// the number of one second, at least 1.
	Burst int
}

func (l RateLimit) on() bool { return l != RateLimit{} }

func (l RateLimit) validate() error {
	if !l.on() {
		return nil
	}
	var errs []error
	if !(l.PerSecond >= 0.01 && l.PerSecond <= 1e6) { // also refuses NaN
		errs = append(errs, &option.Error{Field: "PerSecond", Value: l.PerSecond, Bound: "between 0.01 and 1000000, or the whole limit zero for none"})
	}
	if l.Burst < 0 || l.Burst > 1e6 {
		errs = append(errs, &option.Error{Field: "Burst", Value: l.Burst, Bound: "between 1 and 1000000, or zero for PerSecond"})
	}
	return errors.Join(errs...)
}

func (l RateLimit) limiter() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(l.PerSecond), cmp.Or(l.Burst, max(1, int(math.Ceil(l.PerSecond)))))
}

// take admits a request, or returns after how many seconds, at least 1, to try again.
func take(l *rate.Limiter, now time.Time) (wait int) {
	if l.AllowN(now, 1) {
		return 0
	}
	return max(1, int(math.Ceil((1-l.TokensAt(now))/float64(l.Limit()))))
}

// clientTable has a limiter for each client that has sent requests lately. It is
// bounded: when it is full, the client that has been silent for longest is removed. If
// that client comes back, it has a full burst again. So only the overall limit stops an
// attacker with many addresses.
type clientTable struct {
	limit RateLimit
	bound int

	mu    sync.Mutex
	byKey map[netip.Prefix]*list.Element
	order list.List // the elements are *limitedClient, the most recent first
}

type limitedClient struct {
	key     netip.Prefix
	limiter *rate.Limiter
}

func newClientTable(limit RateLimit, bound int) *clientTable {
	return &clientTable{limit: limit, bound: bound, byKey: make(map[netip.Prefix]*list.Element)}
}

func (t *clientTable) take(key netip.Prefix, now time.Time) (wait int) {
	return take(t.of(key), now)
}

func (t *clientTable) of(key netip.Prefix) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, known := t.byKey[key]; known {
		t.order.MoveToFront(e)
		return e.Value.(*limitedClient).limiter
	}
	if t.order.Len() >= t.bound {
		oldest := t.order.Back()
		delete(t.byKey, t.order.Remove(oldest).(*limitedClient).key)
	}
	c := &limitedClient{key: key, limiter: t.limit.limiter()}
	t.byKey[key] = t.order.PushFront(c)
	return c.limiter
}
