package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/answer"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	// mirrorWait is how long a member may keep a request of a mirror while nothing changes.
	mirrorWait = 30 * time.Second
	// After mirrorBurst tables in a row, each within mirrorQuick, a mirror waits before it
	// asks for the next one.
	mirrorBurst, mirrorQuick = 8, time.Second
)

// Mirror is a copy of the table of a cluster, for a process that is no member. It answers
// lookups from memory, as the member does from which it has the copy. Make one with
// [Client.Mirror].
//
// A mirror has one request under way. The member answers it when the table changes, or
// after 30 s. When a request fails, the mirror asks the next of [Options].URLs at once,
// and waits between MinBackoff and MaxBackoff after each round in which all failed. After
// eight tables in quick succession it waits up to an eighth of MaxBackoff for the next one. It
// refuses the table of a cluster with another name than that of its first copy. Until
// a member answers again, it answers from the copy that it has: [Mirror.State] says how
// old that is. A member whose machine vanishes without closing its connections is noticed
// by [PoolOptions].KeepAlive.
//
// A copy may be a moment older than the table of the member, as members may be of each
// other. Members refuse what was meant for another owner: send the token of the answer
// along. All methods are safe for concurrent use.
type Mirror struct {
	client  *Client
	end     context.CancelCauseFunc
	done    chan struct{}
	current atomic.Pointer[copied]

	mu        sync.Mutex
	changed   chan struct{} // closed at the next copy
	confirmed time.Time
	err       error
}

// copied is one copy of the table. It never changes.
type copied struct {
	etag        string
	hash        [sha256.Size]byte // of the binary form
	cluster     string
	fingerprint ring.Fingerprint
	ring        *ring.Ring
	members     map[string]api.Endpoint
}

// MirrorState says how far a mirror can be trusted.
type MirrorState struct {
	// Fingerprint identifies the view of the copy. It is zero before the first one.
	Fingerprint ring.Fingerprint
	// Confirmed is when a member last said that the copy is its table, by this process's
	// clock. It is zero before the first copy. Without failures it is less than about 30
	// s ago.
	Confirmed time.Time
	// Err is why the last request failed. It is nil if the last request succeeded.
	Err error
}

// Mirror begins to keep a copy of the table, from the members that the client knows. It
// returns at once. [Mirror.Wait] waits for the first copy. The caller must close the
// mirror or the client. A mirror of a closed client has no copy, and its Err is
// [ErrClosed].
func (c *Client) Mirror() *Mirror {
	m := &Mirror{client: c, done: make(chan struct{}), changed: make(chan struct{}), end: func(error) {}}
	ctx, done, err := c.begin(context.Background())
	if err != nil {
		m.err = err
		close(m.done)
		return m
	}
	ctx, m.end = context.WithCancelCause(ctx)
	go func() {
		defer close(m.done)
		defer done()
		m.run(ctx)
		m.fail(context.Cause(ctx))
	}()
	return m
}

// Close ends the mirror and waits for its request to end. Lookups go on answering from the
// last copy. Close may be called any number of times, and returns nil.
func (m *Mirror) Close() error {
	m.end(ErrClosed)
	<-m.done
	return nil
}

// Lookup returns the owners of a key of 1 to [api.MaxKeyBytes] bytes of UTF-8. It gives
// the answer of [Client.Lookup], and its refusals: an invalid key, and no ring before the
// first copy. It does not block.
func (m *Mirror) Lookup(key string, near Near) (api.Placement, error) {
	if p := wire.CheckKey(key); p != nil {
		return api.Placement{}, fmt.Errorf("client: lookup in a mirror: %w", p)
	}
	now := m.current.Load()
	if now == nil {
		return api.Placement{}, fmt.Errorf("client: lookup in a mirror: %w",
			wire.New(api.RefusalNoRing, http.StatusServiceUnavailable, "the mirror has no copy of the table yet: wait for it, or ask a member"))
	}
	maker := answer.Maker{Ring: now.ring, Find: now.find}
	if near != (Near{}) {
		maker.Near = &answer.Near{Region: near.Region, Zone: near.Zone}
	}
	placement := maker.Placement(now.ring.Lookup(key))
	placement.Key = key
	return placement, nil
}

func (c *copied) find(id string) (httpAddr string, away bool) {
	m := c.members[id]
	return m.HTTPAddr, m.State == "away"
}

// Ring returns the ring of the copy, with its target: for lookups without allocation and
// for many keys. It is nil, which is an empty ring, before the first copy. The ring does
// not know which owners are away. Its strategy has the name of that of the cluster, and
// cannot place anything.
func (m *Mirror) Ring() *ring.Ring {
	if now := m.current.Load(); now != nil {
		return now.ring
	}
	return nil
}

// Member returns where a member is, and whether it is in the copy. Its Services must not
// be modified.
func (m *Mirror) Member(id string) (api.Endpoint, bool) {
	if now := m.current.Load(); now != nil {
		e, ok := now.members[id]
		return e, ok
	}
	return api.Endpoint{}, false
}

// State returns how far the copy can be trusted.
func (m *Mirror) State() MirrorState {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MirrorState{Confirmed: m.confirmed, Err: m.err}
	if now := m.current.Load(); now != nil {
		s.Fingerprint = now.fingerprint
	}
	return s
}

// Changed returns a channel that is closed when the next copy replaces the present one.
func (m *Mirror) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Wait returns nil once the mirror has a copy. Otherwise it returns the context's error
// with the reason why no request has succeeded, or [ErrClosed].
func (m *Mirror) Wait(ctx context.Context) error {
	for {
		changed := m.Changed()
		if m.current.Load() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-m.done:
			return fmt.Errorf("client: waiting for a mirror: %w", ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("client: waiting for a mirror: %w", errors.Join(context.Cause(ctx), m.State().Err))
		}
	}
}

// run keeps the copy current until the context ends.
func (m *Mirror) run(ctx context.Context) {
	c := m.client
	// The first request does not wait, and neither does that after a failure: its answer says at
	// once whether the copy is current.
	at, failures, quick, wait := int(c.first.Load()), 0, 0, time.Duration(0)
	for context.Cause(ctx) == nil {
		begun := time.Now()
		table, err := m.poll(ctx, c.bases[at], wait)
		switch {
		case err != nil:
			m.fail(err)
			at, failures, wait = (at+1)%len(c.bases), failures+1, 0
			if failures%len(c.bases) == 0 {
				sleep(ctx, c.backoff(failures/len(c.bases)-1))
			}
			continue
		case table || wait > 0:
			failures = 0
		}
		wait = mirrorWait
		if !table || time.Since(begun) > mirrorQuick {
			quick = 0
		} else if quick++; quick > mirrorBurst {
			sleep(ctx, min(c.backoff(quick-mirrorBurst), c.options.MaxBackoff/8))
		}
	}
}

// poll asks a member once, which may wait that long for a change. It returns no error when the
// copy is that of the member, as of the answer, and whether the answer was a table.
func (m *Mirror) poll(ctx context.Context, base *url.URL, wait time.Duration) (table bool, err error) {
	begun, before := time.Now(), m.current.Load()
	q := query{
		method: http.MethodGet, path: "/v1/table", values: url.Values{"wait": {wait.String()}},
		header: http.Header{"Accept": {wire.Table + ", " + wire.ProblemJSON}}, longer: wait,
	}
	if before != nil {
		q.header.Set("If-None-Match", before.etag)
	}
	a, err := m.client.attempt(ctx, base, q)
	switch {
	case err != nil:
		return false, fmt.Errorf("client: mirror of %s: %w", base.Host, err)
	case a.status == http.StatusNotModified && before != nil:
		m.confirm(nil)
		if time.Since(begun) < wait/2 {
			return false, fmt.Errorf("client: mirror of %s: it does not wait for changes: it is about to stop", base.Host)
		}
		return false, nil
	case a.status != http.StatusOK:
		return false, fmt.Errorf("client: mirror of %s: %w", base.Host, a.refusal())
	case a.contentType != wire.Table:
		return false, fmt.Errorf("client: mirror of %s: the answer is %s, not %s: is it a member that answers?", base.Host, wire.Brief(a.contentType), wire.Table)
	}
	hash := sha256.Sum256(a.body)
	if before != nil && before.hash == hash { // a proxy may have removed the tag
		m.confirm(nil)
		return true, nil
	}
	next, err := newCopy(a.etag, a.body)
	if err == nil && before != nil && next.cluster != before.cluster {
		err = fmt.Errorf("the table is that of the cluster %q, and the copy that of %q: close the mirror, or ask members of one cluster", next.cluster, before.cluster)
	}
	if err != nil {
		return false, fmt.Errorf("client: mirror of %s: %w", base.Host, err)
	}
	next.hash = hash
	m.confirm(next)
	return true, nil
}

// confirm notes that a member has the copy, or replaces the copy.
func (m *Mirror) confirm(next *copied) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.confirmed, m.err = time.Now(), nil
	if next != nil {
		m.current.Store(next)
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

func (m *Mirror) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}
