package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// Where gossip is in clear, any process can send a message about handoff in the name of a member. So
// two members exchange cookies, as clients and servers of DNS do (RFC 7873): numbers that a process
// which does not see their messages cannot guess. Each message repeats the cookie that its receiver gave to
// its sender. A member gives its cookie only in messages that it sends to the address of the other member.
// A message without the right cookie is dropped, and answered with an empty message, from which the sender
// learns the cookie.

const (
	cookieVersion = 4 // the versions of messages without cookies were lower
	cookieHeader  = 1 + 8 + 8
	maxWaiting    = 8 // messages that are sent again when the cookie of the receiver is known
	// helloPause is the least time between two empty messages to one member.
	helloPause = 50 * time.Millisecond
)

// startKey names a start of a member.
type startKey struct {
	id    string
	nonce uint64
}

// cookies holds the cookies that this member has exchanged with others. It is safe for concurrent use.
type cookies struct {
	mu    sync.Mutex
	peers map[startKey]*peerCookies
}

// peerCookies is what two members have exchanged.
type peerCookies struct {
	ours    uint64 // the cookie that the other member repeats
	theirs  uint64 // the cookie that this member repeats; 0: not known
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
func (c *cookies) peer(key startKey) *peerCookies {
	p := c.peers[key]
	if p == nil {
		if c.peers == nil {
			c.peers = make(map[startKey]*peerCookies)
		}
		p = &peerCookies{ours: unguessable() | 1}
		c.peers[key] = p
	}
	return p
}

// wrap adds the cookies to a message to a start. While the cookie of the start is not known, it keeps
// the message.
func (c *cookies) wrap(to startKey, message []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peer(to)
	if !p.proven {
		p.waiting = append(p.waiting[max(0, len(p.waiting)+1-maxWaiting):], message)
	}
	return p.frame(message)
}

func (p *peerCookies) frame(message []byte) []byte {
	b := append(make([]byte, 0, cookieHeader+len(message)), cookieVersion)
	b = binary.LittleEndian.AppendUint64(b, p.ours)
	b = binary.LittleEndian.AppendUint64(b, p.theirs)
	return append(b, message...)
}

// open checks a message from a start. It returns the message, nil when it has none or the cookie is
// wrong, and the messages to send to the start now.
func (c *cookies) open(from startKey, b []byte, now time.Time) (message []byte, send [][]byte) {
	if len(b) < cookieHeader || b[0] != cookieVersion {
		return nil, nil
	}
	given, repeated := binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:])
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peer(from)
	if repeated != p.ours {
		if !p.proven {
			p.theirs = given
		}
		return nil, p.greet(now)
	}
	message = b[cookieHeader:]
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
func (p *peerCookies) greet(now time.Time) [][]byte {
	if now.Sub(p.hello) < helloPause {
		return nil
	}
	p.hello = now
	return [][]byte{p.frame(nil)}
}

// keep forgets the starts that are not in a view.
func (c *cookies) keep(members []Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.peers) == 0 {
		return
	}
	here := make(map[startKey]bool, len(members))
	for _, m := range members {
		here[keyOf(m)] = true
	}
	for key := range c.peers {
		if !here[key] {
			delete(c.peers, key)
		}
	}
}

func keyOf(m Member) startKey { return startKey{m.ID, m.Start.Nonce} }
