package guard

import "io"

// A member that leaves says that it is dead, in its own name. memberlist forgets that after a while,
// and then believes a recorded message that the member is alive. So the guard reports leaves in
// messages that a key decrypts. It does so for encrypted gossip alone: in clear any process can say
// that another one leaves.

// The states of members that are alive, and that have left, in an exchange of members.
const stateAlive, stateLeft = 0, 3

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
