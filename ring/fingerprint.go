package ring

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// Fingerprint identifies a whole ring: its configuration, its nodes and its table.
// Rings with equal fingerprints are equal except for [Node.Start]. The fingerprint is a
// 64-bit hash: by chance two different rings hardly ever share one, but an attacker
// could construct such rings.
type Fingerprint uint64

// Token identifies the preference list of one partition, as [Placement.Token]
// describes. It is a 64-bit hash with the limits of [Fingerprint].
type Token uint64

// String returns sixteen hexadecimal digits.
func (f Fingerprint) String() string { return fmt.Sprintf("%016x", uint64(f)) }

// MarshalText returns the same as String.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what MarshalText wrote. After an error nothing has changed.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	v, err := parseHex(text)
	if err != nil {
		return err
	}
	*f = Fingerprint(v)
	return nil
}

// String returns sixteen hexadecimal digits.
func (t Token) String() string { return fmt.Sprintf("%016x", uint64(t)) }

// MarshalText returns the same as String.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote. After an error nothing has changed.
func (t *Token) UnmarshalText(text []byte) error {
	v, err := parseHex(text)
	if err != nil {
		return err
	}
	*t = Token(v)
	return nil
}

func parseHex(text []byte) (uint64, error) {
	if len(text) != 16 {
		return 0, fmt.Errorf("ring: %q: want sixteen hexadecimal digits", text)
	}
	v, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("ring: %q: want sixteen hexadecimal digits", text)
	}
	return v, nil
}

// Fingerprint returns the fingerprint of the ring. It covers the target when there is
// one. The fingerprint of an empty ring is zero.
func (r *Ring) Fingerprint() Fingerprint {
	if r == nil || r.target == nil {
		return r.table()
	}
	return Fingerprint(mix(mix(uint64(r.print)) ^ uint64(r.target.print)))
}

// fingerprint hashes the configuration, the nodes and the table of a ring. Fields are
// written with their length or in fixed width, so that no two rings write the same
// bytes.
func (r *Ring) fingerprint() Fingerprint {
	var d xxhash.Digest
	d.Reset()
	buf := make([]byte, 0, 1024)
	flush := func() {
		_, _ = d.Write(buf) // Write of a Digest cannot fail
		buf = buf[:0]
	}
	text := func(s string) {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	text(r.strategy)
	quorums := r.config.ReplicationFactor | r.config.WriteQuorum<<16
	for _, v := range []int{int(r.count), quorums, r.replicas, len(r.nodes)} {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(v))
	}
	for _, n := range r.nodes {
		text(n.ID)
		text(n.Region)
		text(n.Zone)
		buf = binary.LittleEndian.AppendUint32(buf, uint32(n.Weight))
		if len(buf) >= cap(buf)/2 {
			flush()
		}
	}
	flush()
	writeNumbers(&d, r.owners, binary.NativeEndian.Uint16([]byte{1, 0}) == 1)
	return Fingerprint(d.Sum64())
}

// writeNumbers writes numbers to a hash, two bytes each, the least significant first. Where
// memory has this order the hash reads the numbers in place.
func writeNumbers(d *xxhash.Digest, numbers []uint16, inPlace bool) {
	if inPlace {
		_, _ = d.Write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(numbers))), 2*len(numbers)))
		return
	}
	var block [1024]byte
	for len(numbers) > 0 {
		n := min(len(numbers), len(block)/2)
		for i, number := range numbers[:n] {
			binary.LittleEndian.PutUint16(block[2*i:], number)
		}
		_, _ = d.Write(block[:2*n])
		numbers = numbers[n:]
	}
}

// mix spreads every bit of x over all of them. The finalizer of SplitMix64
// (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
