package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// Where gossip is in clear, any process can send a message about handoff in the name of a member. So
// two members exchange numbers that a process on the side cannot guess. Each message repeats the number
// that its receiver gave to its sender. A member gives its number only in messages that it sends to the
// address of the other member. A message without the right number is dropped, and answered with an empty
// message, from which the sender learns the number.

const (
	evidenceVersion = 4 // the versions of messages without evidence were lower
	evidenceHeader  = 1 + 8 + 8
	maxWaiting      = 8 // messages that are sent again when the number of the receiver is known
	// helloPause is the least time between two empty messages to one member.
	helloPause = 50 * time.Millisecond
)

// startKey names a start of a member.
type startKey struct {
	id    string
	nonce uint64
}

// evidence holds the numbers that this member has exchanged with others. It is safe for concurrent use.
type evidence struct {
	mu    sync.Mutex
	peers map[startKey]*peerEvidence
}

// peerEvidence is what two members have exchanged.
type peerEvidence struct {
	ours    uint64 // the number that the other member repeats
	theirs  uint64 // the number that this member repeats; 0: not known
	proven  bool   // theirs came in a message that repeated ours
	waiting [][]byte
	hello   time.Time // when the last empty message was sent
}

// unguessable returns 64 random bits that nobody else can predict.
func unguessable() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return binary.LittleEndian.Uint64(b[:])
}

// peer returns what was exchanged with a start. The lock is held.
func (e *evidence) peer(key startKey) *peerEvidence {
	p := e.peers[key]
	if p == nil {
		if e.peers == nil {
			e.peers = make(map[startKey]*peerEvidence)
		}
		p = &peerEvidence{ours: unguessable() | 1}
		e.peers[key] = p
	}
	return p
}

// wrap adds the evidence to a message to a start. While the number of the start is not known, it keeps
// the message.
func (e *evidence) wrap(to startKey, message []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peer(to)
	if !p.proven {
		p.waiting = append(p.waiting[max(0, len(p.waiting)+1-maxWaiting):], message)
	}
	return p.frame(message)
}

func (p *peerEvidence) frame(message []byte) []byte {
	b := append(make([]byte, 0, evidenceHeader+len(message)), evidenceVersion)
	b = binary.LittleEndian.AppendUint64(b, p.ours)
	b = binary.LittleEndian.AppendUint64(b, p.theirs)
	return append(b, message...)
}

// open checks a message from a start. It returns the message, nil when it has none or the evidence is
// missing, and the messages to send to the start now.
func (e *evidence) open(from startKey, b []byte, now time.Time) (message []byte, send [][]byte) {
	if len(b) < evidenceHeader || b[0] != evidenceVersion {
		return nil, nil
	}
	given, repeated := binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:])
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peer(from)
	if repeated != p.ours {
		if !p.proven {
			p.theirs = given
		}
		return nil, p.greet(now)
	}
	message = b[evidenceHeader:]
	if p.proven && p.theirs == given {
		return message, nil
	}
	p.theirs, p.proven = given, true
	for _, one := range p.waiting {
		send = append(send, p.frame(one))
	}
	if p.waiting = nil; len(send) == 0 && len(message) == 0 {
		send = p.greet(now)
	}
	return message, send
}

// greet returns an empty message, unless one was sent a moment ago.
func (p *peerEvidence) greet(now time.Time) [][]byte {
	if now.Sub(p.hello) < helloPause {
		return nil
	}
	p.hello = now
	return [][]byte{p.frame(nil)}
}

// keep forgets the starts that are not in a view.
func (e *evidence) keep(members []Member) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.peers) == 0 {
		return
	}
	here := make(map[startKey]bool, len(members))
	for _, m := range members {
		here[keyOf(m)] = true
	}
	for key := range e.peers {
		if !here[key] {
			delete(e.peers, key)
		}
	}
}

func keyOf(m Member) startKey { return startKey{m.ID, m.Start.Nonce} }
