package guard

import "bytes"

// A process that stands still for some seconds hears nobody. Its memberlist then finds members dead that
// run. While that may be so, the guard removes such verdicts from the packets that this member sends, and
// sends the rest. Members that are dead are found by those that hear others.

// withoutVerdicts returns a packet without the verdicts of this member, and without its announcements while
// these are withheld. It returns nothing when nothing else is in it.
func (g *Guard) withoutVerdicts(b []byte) []byte {
	head, ours := g.labelled(b)
	if !ours {
		return b
	}
	plain := b[head:]
	if g.opts.Keys != nil {
		var ok bool
		if plain, ok = g.decrypt(plain, []byte(g.opts.Label)); !ok {
			return b
		}
	}
	kept, changed := g.strip(plain, g.withheld(false) != nil, maxNested)
	if !changed {
		return b
	}
	if len(kept) == 0 {
		return nil
	}
	sealed, err := g.Seal(kept, []byte(g.opts.Label))
	if err != nil {
		return nil
	}
	return append(bytes.Clone(b[:head]), sealed...)
}

// strip returns a message without the verdicts of this member in it, and with quiet set without its
// announcements. It reports whether there are any.
func (g *Guard) strip(b []byte, quiet bool, nested int) (kept []byte, changed bool) {
	if len(b) >= 5 && b[0] == crcMessage {
		if kept, changed = g.strip(b[5:], quiet, nested); !changed {
			kept = b
		}
		return kept, changed
	}
	if len(b) == 0 || nested == 0 {
		return b, false
	}
	switch b[0] {
	case deadMessage:
		said, ok := readNews(b)
		if own := ok && string(said.from) == g.opts.Self && !bytes.Equal(said.node, said.from); own {
			return nil, true
		}
	case aliveMessage:
		if said, ok := readNews(b); ok && quiet && string(said.node) == g.opts.Self {
			return nil, true
		}
	case compressMessage:
		if plain, err := inflatePacket(&reader{buf: b, at: 1}, maxInflated); err == nil {
			if kept, changed = g.strip(plain, quiet, nested-1); changed {
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
			part, less := g.strip(part, quiet, nested-1)
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
	}
	return b, false
}
