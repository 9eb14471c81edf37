package membership

import (
	cryptorand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
)

// unguessable returns 64 random bits that nobody else can predict, for names and challenges.
func unguessable() uint64 {
	var b [8]byte
	_, _ = cryptorand.Read(b[:]) // crypto/rand never returns an error
	return binary.LittleEndian.Uint64(b[:])
}

// pick returns up to most elements of a list, at random and in random order. It reorders the list.
func pick[T any](list []T, most int) []T {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) //nolint:gosec // an order
	return list[:min(len(list), most)]
}
