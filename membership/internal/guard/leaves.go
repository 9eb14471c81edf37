package guard

import (
	"bytes"
	"io"
)

// A member that leaves says that it is dead, in its own name. memberlist forgets that after a while,
// and then believes a recorded message that the member is alive. So the guard reports leaves in
// messages that a key decrypts. It does so for encrypted gossip alone: in clear any process can say
// that another one leaves.

// stateLeft is the state of a member that has left, in an exchange of members.
const stateLeft = 3

// packetLeaves reports the leaves in a packet that was decrypted.
func (g *Guard) packetLeaves(b []byte, nested int) {
	if len(b) >= 5 && b[0] == crcMessage {
		b = b[5:]
	}
	if len(b) == 0 || nested == 0 {
		return
	}
	switch b[0] {
	case deadMessage:
		var node, from []byte
		r := &reader{buf: b, at: 1}
		err := r.fields(maxFields, func(key string) (err error) {
			switch key {
			case "Node":
				node, err = r.bounded(maxName)
			case "From":
				from, err = r.bounded(maxName)
			default:
				err = r.skip()
			}
			return err
		})
		if err == nil && len(node) > 0 && bytes.Equal(node, from) {
			g.opts.Left(string(node))
		}
	case compressMessage:
		if plain, err := inflatePacket(&reader{buf: b, at: 1}); err == nil {
			g.packetLeaves(plain, nested-1)
		}
	case compoundMessage:
		all, _ := parts(b[1:]) // what is cut off is of no member
		for _, part := range all {
			g.packetLeaves(part, nested-1)
		}
	}
}

// streamLeaves reports the leaves in a message of a stream that was decrypted.
func (g *Guard) streamLeaves(b []byte) {
	r := &reader{buf: b}
	kind, err := r.byte()
	if kind == compressMessage && err == nil {
		compressed, err := r.compressed(maxSealed)
		if err != nil {
			return
		}
		from := inflate(compressed)
		defer func() { _ = from.Close() }()
		plain, err := io.ReadAll(io.LimitReader(from, maxSealed))
		if err != nil {
			return
		}
		r = &reader{buf: plain}
		kind, _ = r.byte()
	}
	nodes := uint64(0)
	if kind != pushPullMessage || r.header(map[string]*uint64{"Nodes": &nodes}) != nil {
		return
	}
	for range nodes {
		var name []byte
		var state uint64
		err := r.fields(maxFields, func(key string) (err error) {
			switch key {
			case "Name":
				name, err = r.bounded(maxName)
			case "State":
				state, err = r.uint()
			default:
				err = r.skip()
			}
			return err
		})
		if err != nil {
			return
		}
		if state == stateLeft && len(name) > 0 {
			g.opts.Left(string(name))
		}
	}
}
