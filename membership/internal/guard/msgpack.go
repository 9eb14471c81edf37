package guard

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// memberlist encodes its messages with msgpack. The guard reads the heads of messages, and skips
// the values that it does not need. It decodes nothing else.

var (
	errNotGossip = errors.New("not a message of gossip")
	errTooDeep   = errors.New("values are nested too deeply")
)

const (
	maxDepth = 4  // memberlist nests two levels: a map of arrays
	maxKey   = 32 // bytes of the name of a field; the longest one of memberlist has 12
)

// reader reads a message from the beginning of buf. When buf is too short, it calls more, if
// there is one.
type reader struct {
	buf  []byte
	at   int               // the number of bytes read
	more func(n int) error // appends at least n bytes to buf; nil: buf is the whole message
	most uint64            // the largest incarnation of a member that the message may have
}

// take returns the next n bytes. They are valid until the next call.
func (r *reader) take(n int) ([]byte, error) {
	if missing := n - (len(r.buf) - r.at); missing > 0 {
		if r.more == nil {
			return nil, io.ErrUnexpectedEOF
		}
		if err := r.more(missing); err != nil {
			return nil, err
		}
	}
	r.at += n
	return r.buf[r.at-n : r.at], nil
}

func (r *reader) byte() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// length reads an unsigned number of size bytes.
func (r *reader) length(size int) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, one := range b {
		n = n<<8 | uint64(one)
	}
	return n, nil
}

// uint reads a number that is not negative.
func (r *reader) uint() (uint64, error) {
	head, err := r.byte()
	switch {
	case err != nil:
		return 0, err
	case head <= 0x7f:
		return uint64(head), nil
	case head >= 0xcc && head <= 0xcf:
		return r.length(1 << (head - 0xcc))
	case head >= 0xd0 && head <= 0xd3:
		size := 1 << (head - 0xd0)
		n, err := r.length(size)
		if err == nil && n>>(8*size-1) != 0 {
			err = errNotGossip
		}
		return n, err
	}
	return 0, errNotGossip
}

// text reads the head of a text or of bytes and returns its length. Nil is an empty text.
func (r *reader) text() (int, error) {
	head, err := r.byte()
	if err != nil {
		return 0, err
	}
	var n uint64
	switch {
	case head == 0xc0:
	case head >= 0xa0 && head <= 0xbf:
		n = uint64(head & 0x1f)
	case head >= 0xc4 && head <= 0xc6:
		n, err = r.length(1 << (head - 0xc4))
	case head >= 0xd9 && head <= 0xdb:
		n, err = r.length(1 << (head - 0xd9))
	default:
		return 0, errNotGossip
	}
	return int(n), err
}

// bounded reads a text of at most limit bytes.
func (r *reader) bounded(limit int) ([]byte, error) {
	n, err := r.text()
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errNotGossip
	}
	return r.take(n)
}

// fields reads a map whose keys are texts that differ. It calls each for every key; each reads the
// value.
func (r *reader) fields(limit int, each func(key string) error) error {
	head, err := r.byte()
	if err != nil {
		return err
	}
	n := uint64(head & 0x0f)
	switch {
	case head == 0xde:
		n, err = r.length(2)
	case head&0xf0 != 0x80:
		err = errNotGossip
	}
	if err != nil {
		return err
	}
	if n > uint64(max(limit, 0)) {
		return errNotGossip
	}
	seen := make([]string, 0, 8)
	for range n {
		b, err := r.bounded(maxKey)
		if err != nil {
			return err
		}
		key := string(b)
		if slices.Contains(seen, key) {
			return errNotGossip
		}
		seen = append(seen, key)
		if err := each(key); err != nil {
			return err
		}
	}
	return nil
}

// skip reads one value of at most maxField bytes.
func (r *reader) skip() error {
	end := r.at + maxField
	if err := r.skipValue(maxDepth); err != nil {
		return err
	}
	if r.at > end {
		return errNotGossip
	}
	return nil
}

func (r *reader) skipValue(depth int) error {
	if depth == 0 {
		return errTooDeep
	}
	head, err := r.byte()
	if err != nil {
		return err
	}
	var size, elements uint64
	switch {
	case head <= 0x7f, head >= 0xe0, head == 0xc0, head == 0xc2, head == 0xc3:
	case head <= 0x8f:
		elements = 2 * uint64(head&0x0f)
	case head <= 0x9f:
		elements = uint64(head & 0x0f)
	case head <= 0xbf:
		size = uint64(head & 0x1f)
	case head >= 0xc4 && head <= 0xc6:
		size, err = r.length(1 << (head - 0xc4))
	case head == 0xca:
		size = 4
	case head == 0xcb:
		size = 8
	case head >= 0xcc && head <= 0xcf:
		size = 1 << (head - 0xcc)
	case head >= 0xd0 && head <= 0xd3:
		size = 1 << (head - 0xd0)
	case head >= 0xd9 && head <= 0xdb:
		size, err = r.length(1 << (head - 0xd9))
	case head == 0xdc:
		elements, err = r.length(2)
	case head == 0xde:
		elements, err = r.length(2)
		elements *= 2
	default: // extensions, and containers of more than 65,535 elements
		return errNotGossip
	}
	if err != nil {
		return err
	}
	if size > maxField || elements > maxField {
		return errNotGossip
	}
	if _, err := r.take(int(size)); err != nil {
		return err
	}
	for range elements {
		if err := r.skipValue(depth - 1); err != nil {
			return err
		}
	}
	return nil
}

// putCompound writes the parts as one message of memberlist, which holds up to 255.
func putCompound(parts [][]byte) []byte {
	b := []byte{compoundMessage, byte(len(parts))}
	for _, part := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
	}
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}
