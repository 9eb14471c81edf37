package ring

import (
	"math/bits"
	"unsafe"
)

// A key's partition is the high half of the product of its hash and the number of
// partitions. This spreads keys evenly for any number of partitions, and needs no
// division. The hash is xxHash64 with seed zero. Both are part of the protocol.
//
// The algorithm is written here although the module also imports a package for it. That
// package is assembly behind a function that passes its arguments over the stack. For a
// short key this call takes as long as the rest of a lookup, and most keys are short.
// The function below calls no function and needs no stack frame. Tests compare it with the
// package.

// locate returns the partition of a key. It reads 32 bytes at a time while there are as many, and
// then 16, 8, 4 and single bytes: the lower bits of the length say which of these are left, and
// where they begin. So no read needs a check.
func (r *Ring) locate(key string) uint32 {
	if r == nil {
		return 0
	}
	rest, length := unsafe.Pointer(unsafe.StringData(key)), len(key)
	h := uint64(length)
	if length < 32 {
		h += prime5
	} else {
		a, b, c, d := seedA, seedB, seedC, seedD
		for n := length - 32; ; n -= 32 {
			a, b = stripe(a, word(rest, 0)), stripe(b, word(rest, 8))
			c, d = stripe(c, word(rest, 16)), stripe(d, word(rest, 24))
			if n == 0 {
				break // a pointer must not point behind the key
			}
			rest = unsafe.Add(rest, 32)
			if n < 32 {
				break
			}
		}
		lanes := bits.RotateLeft64(a, 1) + bits.RotateLeft64(b, 7) + bits.RotateLeft64(c, 12) + bits.RotateLeft64(d, 18)
		h += merge(merge(merge(merge(lanes, a), b), c), d)
	}
	if length&16 != 0 {
		h = absorb(absorb(h, word(rest, 0)), word(rest, 8))
	}
	if length&8 != 0 {
		h = absorb(h, word(rest, length&16))
	}
	if length&7 != 0 {
		if length&4 != 0 {
			h = absorbHalf(h, half(rest, length&24))
		}
		for at := length & 28; at < length&31; at++ {
			h = absorbByte(h, *(*byte)(unsafe.Add(rest, at)))
		}
	}
	return scale(finish(h), r.count)
}

// locateBytes is locate for a key held as bytes. The string shares the bytes, and does not
// outlive the call. It is read from the first two words of the slice, which needs none of the
// checks of unsafe.String.
func (r *Ring) locateBytes(key []byte) uint32 { return r.locate(*(*string)(unsafe.Pointer(&key))) }

// scale maps a hash to one of count partitions.
func scale(hash, count uint64) uint32 {
	hi, _ := bits.Mul64(hash, count)
	return uint32(hi)
}

// The primes of xxHash64, and the first values of its four lanes.
const (
	prime1 uint64 = 11400714785074694791
	prime2 uint64 = 14029467366897019727
	prime3 uint64 = 1609587929392839161
	prime4 uint64 = 9650029242287828579
	prime5 uint64 = 2870177450012600261

	seedA uint64 = 6983438078262162902 // prime1 + prime2
	seedB uint64 = prime2
	seedC uint64 = 0
	seedD uint64 = 7046029288634856825 // -prime1
)

// word reads eight bytes of a key at an offset, the least significant first. The compiler makes it
// a single load. The caller knows that the key has these bytes.
func word(key unsafe.Pointer, at int) uint64 {
	b := (*[8]byte)(unsafe.Add(key, at))
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// half reads four bytes in the same way.
func half(key unsafe.Pointer, at int) uint64 {
	b := (*[4]byte)(unsafe.Add(key, at))
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
}

// stripe mixes a word of a block into its lane.
func stripe(lane, word uint64) uint64 { return bits.RotateLeft64(lane+word*prime2, 31) * prime1 }

// merge mixes a lane into the hash.
func merge(h, lane uint64) uint64 { return (h^stripe(0, lane))*prime1 + prime4 }

// absorb mixes in a word after the last whole block.
func absorb(h, word uint64) uint64 {
	return bits.RotateLeft64(h^stripe(0, word), 27)*prime1 + prime4
}

// absorbHalf mixes in half a word.
func absorbHalf(h, half uint64) uint64 {
	return bits.RotateLeft64(h^half*prime1, 23)*prime2 + prime3
}

// absorbByte mixes in one of the last bytes, three at most.
func absorbByte(h uint64, b byte) uint64 {
	return bits.RotateLeft64(h^uint64(b)*prime5, 11) * prime1
}

// finish spreads the influence of the last bytes over all bits.
func finish(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
