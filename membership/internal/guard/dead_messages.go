package guard

import "bytes"

// A process that stands still for some seconds hears nobody. Its memberlist then finds members dead that
// run. While that may be so, the guard removes its dead messages from the packets that this member sends, and
// sends the rest. Members that are dead are found by those that hear others.

// withoutDeaths returns a packet without the dead messages of this member, and without its announcements while
// these are withheld. It returns nothing when nothing else is in it.
func (g *Guard) withoutDeaths(b []byte) []byte {
	head, plain, ours := g.content(b)
	if !ours {
		return b
	}
	quiet := g.withheld() != nil
	kept, changed := rewrite(plain, maxNested, func(b []byte) ([]byte, bool) { return nil, g.isOwn(b, quiet) })
	if !changed {
		return b
	}
	return g.resealed(head, kept)
}

// content returns the head and the message of a packet of memberlist, decrypted. It returns false for the packet
// of another cluster, and when no key decrypts it.
func (g *Guard) content(b []byte) (head, plain []byte, ours bool) {
	n, ours := g.labelled(b)
	if head, plain = b[:n:n], b[n:]; ours && g.opts.Keys != nil {
		plain, ours = g.decrypt(plain, []byte(g.opts.Label))
	}
	return head, plain, ours
}

// resealed returns a packet with a head and a message, or nothing when the message is empty.
func (g *Guard) resealed(head, message []byte) []byte {
	if len(message) == 0 {
		return nil
	}
	sealed, err := g.Seal(message, []byte(g.opts.Label))
	if err != nil {
		return nil
	}
	return append(bytes.Clone(head), sealed...)
}

// A member whose packets are lost suspects members that run. Where such a suspicion is lost too, and the dead
// message that follows arrives, all would believe it before the suspected member can refute it. So this member
// takes the dead message of another one for a suspicion, unless it expects the death. It does the same as
// memberlist with a death in an exchange of members.

// doubted returns a message that arrived, decrypted, with suspicions in place of unexpected dead messages. It reports
// whether there are any.
func (g *Guard) doubted(b []byte) (message []byte, changed bool) {
	if g.opts.Expected == nil {
		return b, false
	}
	return rewrite(b, maxNested, func(b []byte) ([]byte, bool) {
		if b[0] != deadMessage {
			return nil, false
		}
		said, ok := readNews(b)
		leaves := bytes.Equal(said.node, said.from)
		if !ok || leaves || string(said.node) == g.opts.Self || g.opts.Expected(string(said.node), said.incarnation) {
			return nil, false
		}
		suspicion := bytes.Clone(b) // a suspect message has the fields of a dead message
		suspicion[0] = suspectMessage
		g.hear(suspicion)
		return suspicion, true
	})
}

// isOwn reports whether a message is a dead message of this member or, with quiet set, its announcement.
func (g *Guard) isOwn(b []byte, quiet bool) bool {
	if b[0] != deadMessage && (b[0] != aliveMessage || !quiet) {
		return false
	}
	said, ok := readNews(b)
	switch {
	case !ok:
		return false
	case b[0] == aliveMessage:
		return string(said.node) == g.opts.Self
	}
	return string(said.from) == g.opts.Self && !bytes.Equal(said.node, said.from)
}

// rewrite returns a message in which other messages took the place of some, and reports whether there are any.
// The function returns what takes the place of a message, or nothing, and whether it must.
func rewrite(b []byte, nested int, one func([]byte) ([]byte, bool)) (kept []byte, changed bool) {
	if len(b) >= 5 && b[0] == crcMessage {
		if kept, changed = rewrite(b[5:], nested, one); !changed {
			kept = b
		}
		return kept, changed
	}
	if len(b) == 0 || nested == 0 {
		return b, false
	}
	switch b[0] {
	case compressMessage:
		if plain, err := inflatePacket(&reader{buf: b, at: 1}, maxInflated); err == nil {
			if kept, changed = rewrite(plain, nested-1, one); changed {
				return kept, true
			}
		}
	case compoundMessage:
		all, err := parts(b[1:])
		if err != nil {
			return b, false
		}
		var rest [][]byte
		for _, part := range all {
			part, less := rewrite(part, nested-1, one)
			if changed = changed || less; len(part) > 0 {
				rest = append(rest, part)
			}
		}
		if changed && len(rest) == 0 {
			return nil, true
		}
		if changed {
			return putCompound(rest), true
		}
	default:
		if kept, changed = one(b); changed {
			return kept, true
		}
	}
	return b, false
}
