package guard

import (
	"errors"
	"fmt"
	"time"
)

// The kinds of memberlist's messages. The kind is the first byte of a message.
const (
	pingMessage byte = iota
	indirectPingMessage
	ackMessage
	suspectMessage
	aliveMessage
	deadMessage
	pushPullMessage
	compoundMessage
	userMessage
	compressMessage
	encryptMessage
	nackMessage
	crcMessage
	errMessage
)

const (
	maxField    = 4096     // bytes of a value that the guard does not read
	maxName     = 255      // bytes of the name of a member
	maxMeta     = 512      // bytes of its metadata, as in memberlist
	maxAddr     = 16       // bytes of its address
	maxFields   = 16       // fields of one message; memberlist's largest one has 7
	maxStates   = 1 << 20  // members in one exchange, as in memberlist
	maxSealed   = 20 << 20 // bytes of one encrypted message, as in memberlist
	sealedHead  = 1 + 4    // the kind of an encrypted message, and its length
	minSealed   = 1 + 12 + 16
	stateCost   = 256 // bytes that memberlist allocates for a member in an exchange, besides its values
	lzwLitWidth = 8   // the width with which memberlist compresses
	// leastLimit is the limit of incarnations in 1970. It grows by one each second.
	leastLimit = 1 << 30
	// knownLimit is what news of known members may have above the limit of other senders.
	knownLimit = 1 << 20
)

var (
	errCompressed  = errors.New("compressed, and this member does not use compression")
	errIncarnation = errors.New("incarnation is beyond all that a member can reach")
	errTooLong     = errors.New("announces more than a member sends")
)

// message reads one message in clear from a stream: its kind, and then all that belongs to it.
// charge is called for each member in it.
func (g *Guard) message(r *reader, charge func() error) error {
	kind, err := r.byte()
	if err != nil {
		return err
	}
	switch kind {
	case pingMessage, ackMessage, errMessage:
		return r.skip()
	case userMessage:
		n := uint64(0)
		if err := r.header(map[string]*uint64{"UserMsgLen": &n}); err != nil {
			return err
		}
		return r.payload(n, g.opts.MaxMessage)
	case pushPullMessage:
		return g.exchange(r, charge)
	}
	return fmt.Errorf("%w: kind %d", errNotGossip, kind)
}

// exchange reads the members of an exchange and the state of the delegate.
func (g *Guard) exchange(r *reader, charge func() error) error {
	nodes, state := uint64(0), uint64(0)
	if err := r.header(map[string]*uint64{"Nodes": &nodes, "UserStateLen": &state}); err != nil {
		return err
	}
	if nodes > maxStates {
		return fmt.Errorf("%w: %d members", errTooLong, nodes)
	}
	for range nodes {
		if err := charge(); err != nil {
			return err
		}
		said, err := r.about("Name")
		if err != nil {
			return err
		}
		if said.state == stateAlive && g.opts.Listed != nil {
			g.opts.Listed(string(said.node), said.incarnation)
		}
		g.hearState(said)
	}
	return r.payload(state, g.opts.MaxState)
}

// header reads a map, and stores the numbers that have a place in it.
func (r *reader) header(places map[string]*uint64) error {
	return r.fields(maxFields, func(key string) (err error) {
		place := places[key]
		if place == nil {
			return r.skip()
		}
		*place, err = r.uint()
		return err
	})
}

// payload reads n bytes, which the message has announced.
func (r *reader) payload(n uint64, limit int) error {
	if n > uint64(max(limit, 0)) {
		return fmt.Errorf("%w: %d bytes, the limit is %d", errTooLong, n, limit)
	}
	_, err := r.take(int(min(n, maxSealed)))
	return err
}

// mostIncarnation returns the largest incarnation in news of a sender.
func mostIncarnation(known bool) uint64 {
	most := uint64(leastLimit + max(time.Now().Unix(), 0))
	if known {
		most += knownLimit
	}
	return most
}

// about reads what a message says about one member. The name of the member has one key in packets, and another one
// in exchanges. A message with the other key is of no member: the guard must not read another name than memberlist.
//
// An incarnation grows by one when a member changes what it announces, or refutes a false report.
// It is therefore far below 2^30. The limit is above that, and grows each second. Without a limit,
// the number after the largest one would be 0, and a member could never refute that.
//
// News from the addresses of known members may have more. So a member can refute a number at the limit
// of other senders at once, and all members get the forged news and what refutes it, when their clocks
// differ by days.
func (r *reader) about(nameKey string) (said news, err error) {
	err = r.fields(maxFields, func(key string) (err error) {
		switch key {
		case "Incarnation":
			said.incarnation, err = r.uint()
			if err == nil && said.incarnation > r.most {
				err = fmt.Errorf("%w: %d", errIncarnation, said.incarnation)
			}
			return err
		case "State":
			said.state, err = r.uint()
			return err
		case "Node", "Name":
			if key != nameKey {
				return errNotGossip
			}
			name, err := r.bounded(maxName)
			said.node = append(make([]byte, 0, len(name)), name...) // later fields may move the buffer
			return err
		case "Addr":
			_, err := r.bounded(maxAddr)
			return err
		case "Meta":
			_, err := r.bounded(maxMeta)
			return err
		}
		return r.skip()
	})
	if err == nil && said.node == nil {
		err = errNotGossip
	}
	return said, err
}

// compressed reads the head of a compressed message and returns the compressed bytes, which follow.
func (r *reader) compressed(limit int) ([]byte, error) {
	var found []byte
	err := r.fields(2, func(key string) (err error) {
		switch key {
		case "Buf":
			found, err = r.bounded(limit)
		case "Algo":
			var algo uint64
			if algo, err = r.uint(); err == nil && algo != 0 {
				err = fmt.Errorf("%w: compressed in an unknown way", errNotGossip)
			}
		default:
			err = errNotGossip
		}
		return err
	})
	return found, err
}
