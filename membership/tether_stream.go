package membership

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
	"github.com/clusterkit/clusterkit/membership/internal/tether"
)

// dialTether opens a tether and reads from it until it ends.
func (m *Membership) dialTether(ctx context.Context, a tether.Dial) {
	end, outcome, by := m.openTether(a.Name)
	if outcome == tether.Alive && !m.background(func() { m.readHeld(ctx, a.Name, end) }) {
		_ = end.conn.Close()
		return
	}
	m.tethers.push(tether.Dialed{Name: a.Name, Use: a.Use, Outcome: outcome, By: by})
}

// openTether dials a start and begins a tether. An open tether to the same start is closed.
func (m *Membership) openTether(name string) (end *tetherEnd, outcome tether.Outcome, by string) {
	_, g, running := m.live()
	peer, known := m.registry.named(name)
	if !running || !known {
		return nil, tether.Unclear, ""
	}
	session, conn, err := m.beginTether(g, name, peer.Addr)
	other, replaced := errors.AsType[*tether.OtherError](err)
	switch {
	case err == nil:
		end = &tetherEnd{session: session, conn: conn, claims: guard.Bucket{Rate: claimRate, Burst: claimBurst}}
		m.tethers.mu.Lock()
		old := m.tethers.held[name]
		m.tethers.held[name] = end
		m.tethers.mu.Unlock()
		if old != nil {
			_ = old.conn.Close()
		}
		return end, tether.Alive, ""
	case replaced:
		return nil, tether.Replaced, other.Name
	case conn != nil:
		return nil, tether.Unclear, ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, tether.Refused, ""
	}
	if wait, is := errors.AsType[net.Error](err); is && wait.Timeout() || errors.Is(err, syscall.EHOSTUNREACH) {
		return nil, tether.TimedOut, ""
	}
	return nil, tether.Unclear, ""
}

// beginTether returns no connection when none was made. After another error the connection that it
// returns is closed.
func (m *Membership) beginTether(g *guard.Guard, name string, addr netip.AddrPort) (*tether.Session, net.Conn, error) {
	limit := m.tethers.times.dial
	conn, err := g.DialTether(memberlist.Address{Addr: addr.String(), Name: name}, limit)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(limit)) // the handshake fails too
	session, err := tether.Hold(conn, g, m.name, name)
	if err != nil {
		_ = conn.Close()
		return nil, conn, err
	}
	_ = conn.SetDeadline(time.Time{})
	return session, conn, nil
}

// readHeld reads from a tether that this member holds until it ends.
func (m *Membership) readHeld(ctx context.Context, name string, end *tetherEnd) {
	var parted bool
	for {
		msg, err := end.session.Read()
		if parted = err == nil && msg.Parting; err != nil || parted {
			break
		}
		if msg.Finding != 0 {
			m.heardClaim(name, end, msg)
		} else {
			m.tethers.push(tether.Beat{Name: name})
		}
	}
	_ = end.conn.Close()
	m.tethers.mu.Lock()
	current := m.tethers.held[name] == end
	if current {
		delete(m.tethers.held, name)
	}
	m.tethers.mu.Unlock()
	if current && ctx.Err() == nil {
		m.tethers.push(tether.Ended{Name: name, Parted: parted})
	}
}

func (m *Membership) heardClaim(from string, end *tetherEnd, msg tether.Message) {
	if end.claims.Take(1, m.settings.now()) {
		m.tethers.push(tether.Claimed{From: from, About: msg.About, Finding: msg.Finding})
	}
}

// serveTether answers a holder, and reads from the tether until it ends. The guard calls it.
func (m *Membership) serveTether(conn *guard.Tether, admit func()) {
	_, g, running := m.live()
	if !running {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(m.tethers.times.dial)) // the handshake fails too
	session, name, err := tether.Serve(conn, g, m.name)
	if err != nil {
		return
	}
	end := &tetherEnd{session: session, conn: conn, claims: guard.Bucket{Rate: claimRate, Burst: claimBurst}}
	if _, known := m.registry.named(name); !known || !m.admitServed(name, end) {
		return
	}
	admit()
	_ = conn.SetDeadline(time.Time{})
	m.tethers.push(tether.Served{Name: name})
	for {
		msg, err := session.Read()
		if err != nil || msg.Parting {
			break
		}
		if msg.Finding != 0 {
			m.heardClaim(name, end, msg)
		}
	}
	m.tethers.mu.Lock()
	if m.tethers.served[name] == end {
		delete(m.tethers.served, name)
	}
	m.tethers.mu.Unlock()
}

// admitServed records a tether that this member serves. It takes the place of an earlier one of the
// same holder.
func (m *Membership) admitServed(name string, end *tetherEnd) bool {
	t := &m.tethers
	t.mu.Lock()
	old := t.served[name]
	admitted := old != nil || len(t.served) < maxTethers
	if admitted {
		t.served[name] = end
	}
	t.mu.Unlock()
	if old != nil {
		_ = old.conn.Close()
	}
	return admitted
}

// endServed closes the tether of a holder that is gone.
func (m *Membership) endServed(name string) {
	m.tethers.mu.Lock()
	end := m.tethers.served[name]
	delete(m.tethers.served, name)
	m.tethers.mu.Unlock()
	if end != nil {
		_ = end.conn.Close()
	}
}

// ends returns the tethers that this member serves, and with all set also those that it holds.
func (t *tethers) ends(all bool) (ends []*tetherEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, end := range t.served {
		ends = append(ends, end)
	}
	if all {
		for _, end := range t.held {
			ends = append(ends, end)
		}
	}
	return ends
}

// beat writes a beat on each tether that this member serves. A tether that takes none is closed.
func (m *Membership) beat() {
	for _, end := range m.tethers.ends(false) {
		if end.session.Beat(m.tethers.times.beat/50) != nil {
			_ = end.conn.Close()
		}
	}
}

// partTethers ends all tethers on purpose.
func (m *Membership) partTethers() {
	for _, end := range m.tethers.ends(true) {
		_ = end.session.Part(m.tethers.times.beat / 50)
		_ = end.conn.Close()
	}
}
