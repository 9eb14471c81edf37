package membership

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// A member asks a start whether it runs, before it believes an announcement that may be a recorded
// one. The question holds a challenge of 64 random bits, and the answer repeats it. memberlist's own
// probes have a number of 32 bits in its place, which only the guard of this start hides. Questions and answers are
// used with encryption alone: nobody without a key can make a member send to another address.

const (
	// probeVersion is the lowest version of the delegate protocol whose members answer the
	// question. Members of earlier releases answer memberlist's probes.
	probeVersion = 2
	probeTries   = 3 // the last question goes over a stream
	probeHeader  = 1 + 1 + 8 + 1
)

// probeMessage asks a start whether it runs, or answers.
type probeMessage struct {
	kind      byte
	stream    bool // the question came over a stream, and so does the answer
	challenge uint64
	name      string         // the gossip name of the start that is asked
	addr      netip.AddrPort // where the answer goes; an answer has none
}

func (p probeMessage) bytes() []byte {
	b := append(make([]byte, 0, probeHeader+len(p.name)+18), messageVersion|p.kind, 0)
	if p.stream {
		b[1] = 1
	}
	b = binary.LittleEndian.AppendUint64(b, p.challenge)
	b = append(append(b, byte(len(p.name))), p.name...)
	if p.kind == kindProbe {
		b = binary.LittleEndian.AppendUint16(append(b, p.addr.Addr().AsSlice()...), p.addr.Port())
	}
	return b
}

func parseProbe(b []byte) (any, error) {
	if len(b) < probeHeader || len(b)-probeHeader < int(b[10]) || b[1] > 1 {
		return nil, errMessage
	}
	name, rest := b[probeHeader:probeHeader+int(b[10])], b[probeHeader+int(b[10]):]
	p := probeMessage{kind: b[0] & 0x0F, stream: b[1] == 1, challenge: binary.LittleEndian.Uint64(b[2:]), name: string(name)}
	if _, _, err := splitName(p.name); err != nil {
		return nil, errMessage
	}
	if p.kind == kindProbeAnswer {
		if len(rest) > 0 {
			return nil, errMessage
		}
		return p, nil
	}
	if len(rest) < 2 {
		return nil, errMessage
	}
	at := len(rest) - 2
	addr, err := gossipAddr(net.IP(rest[:at]), binary.LittleEndian.Uint16(rest[at:]))
	if err != nil {
		return nil, errMessage
	}
	p.addr = addr
	return p, nil
}

// heardProbe answers a question, or wakes the goroutine that has asked. memberlist calls it.
func (m *Membership) heardProbe(p probeMessage) {
	if !m.newcomers.encrypted || p.kind == kindProbe && p.name != m.name {
		return
	}
	if p.kind == kindProbeAnswer {
		m.newcomers.hear(p)
		return
	}
	gossip, _, running := m.live()
	if !running {
		return
	}
	select {
	case m.reach.serving <- struct{}{}:
	default:
		return // the asker asks again
	}
	answer := probeMessage{kind: kindProbeAnswer, stream: p.stream, challenge: p.challenge, name: p.name}.bytes()
	begun := m.background(func() {
		defer func() { <-m.reach.serving }()
		if p.stream {
			if !m.reach.served.Take(1, m.settings.now()) {
				return
			}
			_ = gossip.SendReliable(&memberlist.Node{Addr: p.addr.Addr().AsSlice(), Port: p.addr.Port()}, answer)
			return
		}
		_ = gossip.SendToAddress(memberlist.Address{Addr: p.addr.String()}, answer)
	})
	if !begun {
		<-m.reach.serving
	}
}

// hear wakes the goroutine that waits for an answer.
func (n *newcomers) hear(p probeMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if asked, found := n.asked[p.challenge]; found && asked.name == p.name {
		delete(n.asked, p.challenge)
		close(asked.answered)
	}
}

// question is a question without an answer yet.
type question struct {
	name     string
	answered chan struct{}
}

// answersChallenge reports whether a start answers a question with a challenge.
func (m *Membership) answersChallenge(gossip *memberlist.Memberlist, name string, addr netip.AddrPort) bool {
	for try := range probeTries {
		one := question{name: name, answered: make(chan struct{})}
		p := probeMessage{kind: kindProbe, stream: try == probeTries-1, challenge: unguessable(), name: name, addr: m.Local().Addr}
		m.newcomers.mu.Lock()
		m.newcomers.asked[p.challenge] = one
		m.newcomers.mu.Unlock()
		if p.stream {
			_ = gossip.SendReliable(&memberlist.Node{Name: name, Addr: addr.Addr().AsSlice(), Port: addr.Port()}, p.bytes())
		} else {
			_ = gossip.SendToAddress(memberlist.Address{Addr: addr.String(), Name: name}, p.bytes())
		}
		wait := time.NewTimer(m.settings.timings.probeTimeout)
		answered := false
		select {
		case <-one.answered:
			answered = true
		case <-wait.C:
		case <-m.life.Ending().Done():
		}
		wait.Stop()
		m.newcomers.mu.Lock()
		delete(m.newcomers.asked, p.challenge)
		m.newcomers.mu.Unlock()
		if answered || m.life.Ending().Err() != nil {
			return answered
		}
	}
	return false
}
