package guard

import "io"

// A member that leaves says that it is dead, in its own name. memberlist forgets that after a while,
// and then believes a recorded message that the member is alive. So the guard reports leaves in
// messages that a key decrypts. It does so for encrypted gossip alone: in clear any process can say
// that another one leaves.

// The states of members in an exchange of members.
const (
	stateAlive = iota
	stateSuspect
	stateDead
	stateLeft
)

// streamLeaves reports the leaves in a message of a stream that was decrypted, and what it says about this member.
func (g *Guard) streamLeaves(b []byte, c *charge) {
	kind, r := opened(b)
	nodes := uint64(0)
	if kind != pushPullMessage || r.header(map[string]*uint64{"Nodes": &nodes}) != nil {
		return
	}
	for range nodes {
		c.pace(paceMember)
		var said news
		err := r.fields(maxFields, func(key string) (err error) {
			switch key {
			case "Name":
				said.node, err = r.bounded(maxName)
			case "State":
				said.state, err = r.uint()
			case "Incarnation":
				said.incarnation, err = r.uint()
			default:
				err = r.skip()
			}
			return err
		})
		if err != nil {
			return
		}
		if said.state == stateLeft && len(said.node) > 0 {
			g.opts.Left(string(said.node))
		}
		g.hearState(said)
	}
}

// opened reads the kind of a message of a stream, and decompresses the message. After an error the kind is one
// that no message has.
func opened(b []byte) (kind byte, r *reader) {
	r = &reader{buf: b}
	kind, err := r.byte()
	if kind == compressMessage && err == nil {
		compressed, err := r.compressed(maxSealed)
		if err != nil {
			return errMessage, r
		}
		from := inflate(compressed)
		defer func() { _ = from.Close() }()
		plain, err := io.ReadAll(io.LimitReader(from, maxSealed))
		if err != nil {
			return errMessage, r
		}
		r = &reader{buf: plain}
		kind, _ = r.byte()
	}
	return kind, r
}
