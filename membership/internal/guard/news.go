package guard

import "bytes"

// packetNews reports what a packet that was decrypted says about members.
func (g *Guard) packetNews(b []byte, nested int) {
	if len(b) >= 5 && b[0] == crcMessage {
		b = b[5:]
	}
	if len(b) == 0 || nested == 0 {
		return
	}
	switch b[0] {
	case suspectMessage, aliveMessage:
		g.hear(b)
	case deadMessage:
		if said, ok := readNews(b); ok && g.opts.Left != nil && bytes.Equal(said.node, said.from) {
			g.opts.Left(string(said.node))
		}
		g.hear(b)
	case compressMessage:
		if plain, err := inflatePacket(&reader{buf: b, at: 1}, maxInflated); err == nil {
			g.packetNews(plain, nested-1)
		}
	case compoundMessage:
		all, _ := parts(b[1:]) // what is cut off is of no member
		for _, part := range all {
			g.packetNews(part, nested-1)
		}
	}
}

// hear reports a message that says that a member is suspected or alive, or that this member is dead. It ignores
// others.
func (g *Guard) hear(b []byte) {
	if g.opts.Heard == nil || b[0] != suspectMessage && b[0] != aliveMessage && b[0] != deadMessage {
		return
	}
	if said, ok := readNews(b); ok && (b[0] != deadMessage || string(said.node) == g.opts.Self) {
		g.opts.Heard(string(said.node), b[0] != aliveMessage, said.incarnation)
	}
}

// hearState reports that another member lists this one as suspected or dead in an exchange.
func (g *Guard) hearState(said news) {
	if g.opts.Heard != nil && (said.state == stateSuspect || said.state == stateDead) && string(said.node) == g.opts.Self {
		g.opts.Heard(g.opts.Self, true, said.incarnation)
	}
}

// news is what a message says about a member.
type news struct {
	node, from  []byte // the member, and the sender of the news
	incarnation uint64
	state       uint64 // in an exchange
}

// readNews reads a message about a member, and reports whether it names one.
func readNews(b []byte) (said news, ok bool) {
	r := &reader{buf: b, at: 1}
	err := r.fields(maxFields, func(key string) (err error) {
		switch key {
		case "Node":
			said.node, err = r.bounded(maxName)
		case "From":
			said.from, err = r.bounded(maxName)
		case "Incarnation":
			said.incarnation, err = r.uint()
		default:
			err = r.skip()
		}
		return err
	})
	return said, err == nil && len(said.node) > 0
}
