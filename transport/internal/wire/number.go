package wire

import (
	"crypto/rand"
	"encoding/binary"
)

// NewNumber returns the number of a forwarded request or call, which no other process can guess.
func NewNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return binary.LittleEndian.Uint64(b[:])
}
