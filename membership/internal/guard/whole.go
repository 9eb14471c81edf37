package guard

import (
	"bytes"
	"encoding/binary"
	"io"
)

// firstBuffer is the size of the first buffer of a message. Later buffers are at most twice as large
// as the bytes that have arrived, whatever the message announces.
const firstBuffer = 512

// collect returns a function that reads the next n bytes of a stream into the buffer of a reader. It
// charges what it allocates.
func collect(r *reader, from io.Reader, c *charge, count func(n int)) func(n int) error {
	return func(n int) error {
		for n > 0 {
			if len(r.buf) == cap(r.buf) {
				size := max(min(max(len(r.buf)+n, cap(r.buf)*5/4), 2*cap(r.buf)), firstBuffer)
				if err := c.grow(size - cap(r.buf)); err != nil {
					return err
				}
				grown := make([]byte, len(r.buf), size)
				copy(grown, r.buf)
				r.buf = grown
			}
			read, err := from.Read(r.buf[len(r.buf):cap(r.buf)])
			r.buf = r.buf[:len(r.buf)+read]
			count(read)
			if n -= read; n > 0 && err != nil {
				return err
			}
		}
		return nil
	}
}

// whole reads the message of a stream and returns the bytes for memberlist, with the label in
// front: r has read the label. The bytes are those that arrived, with these exceptions:
//
//   - A compressed message in clear is returned decompressed.
//   - In place of a message that no key decrypts, the result has a short one that no key decrypts.
//     memberlist answers with the reason.
//   - When only one side encrypts, the result has the kind of the message alone. memberlist answers with the reason.
func (g *Guard) whole(r *reader, c *charge, label string) ([]byte, error) {
	head := r.at
	r.most = mostIncarnation(c.budget == &g.known)
	kind, err := r.byte()
	switch {
	case err != nil:
		return nil, err
	case g.mismatched(kind):
		return r.buf[:r.at], nil
	case kind == encryptMessage:
		return g.sealed(r, c, label)
	case kind == compressMessage:
		return g.decompressed(r, c, head)
	}
	r.at = head
	err = g.message(r, c.member)
	return r.buf[:r.at], unexpected(err)
}

// mismatched reports whether memberlist refuses a message of a stream because only one side encrypts.
func (g *Guard) mismatched(kind byte) bool { return (kind == encryptMessage) != (g.opts.Keys != nil) }

// member charges what memberlist needs for a member in an exchange: memory, and time.
func (c *charge) member() error {
	c.pace(paceMember)
	return c.grow(stateCost)
}

// unexpected turns the end of a stream within a message into an error that says so.
func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // a reader returns it as it is
		return io.ErrUnexpectedEOF
	}
	return err
}

// sealed reads an encrypted message. r has read its kind.
func (g *Guard) sealed(r *reader, c *charge, label string) ([]byte, error) {
	begin := r.at - 1
	n, err := r.length(sealedHead - 1)
	if err != nil {
		return nil, unexpected(err)
	}
	if n > maxSealed || n < minSealed {
		return nil, errTooLong
	}
	version, err := r.byte()
	if err != nil {
		return nil, unexpected(err)
	}
	if version != cipherVersion {
		return nil, errCipherVersion
	}
	if _, err := r.take(int(n) - 1); err != nil {
		return nil, unexpected(err)
	}
	message := r.buf[begin:r.at]
	plain, ok := g.decrypt(message[sealedHead:], append(bytes.Clone(message[:sealedHead]), label...))
	if !ok {
		junk := append(bytes.Clone(r.buf[:begin]), encryptMessage)
		junk = binary.BigEndian.AppendUint32(junk, minSealed)
		return append(append(junk, cipherVersion), make([]byte, minSealed-1)...), nil
	}
	if g.opts.Left != nil {
		g.streamLeaves(plain, c)
	}
	return r.buf[:r.at], nil
}

// decompressed reads a compressed message. r has read its kind.
func (g *Guard) decompressed(r *reader, c *charge, head int) ([]byte, error) {
	if !g.opts.Compression && c.budget != &g.known {
		return nil, errCompressed
	}
	compressed, err := r.compressed(maxSealed)
	if err != nil {
		return nil, unexpected(err)
	}
	from := inflate(compressed)
	defer func() { _ = from.Close() }()
	plain := &reader{buf: bytes.Clone(r.buf[:head]), at: head, most: r.most}
	plain.more = collect(plain, from, c, func(int) {})
	if err := g.message(plain, c.member); err != nil {
		return nil, unexpected(err)
	}
	return plain.buf[:plain.at], nil
}
