package main

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// hashAlone is what every ratio is told against: a key that is not hashed
// cannot be placed.
var hashAlone = adapter{
	name: "xxhash", kind: isFloor, pays: "the hash alone",
	build: func([]string, int) (*subject, error) {
		w := &work{loop: func(k keys) (int, error) {
			sum := 0
			for _, key := range k.text {
				sum += int(xxhash.Sum64String(key))
			}
			return sum, nil
		}}
		return &subject{primary: w, three: w}, nil
	},
}

// hashAndLoad adds the least that a table could cost: one load from an array
// with an entry a partition.
var hashAndLoad = adapter{
	name: "xxhash, one load", kind: isFloor, pays: "the hash and an array",
	build: func(members []string, partitions int) (*subject, error) {
		table := make([]uint16, partitions)
		for i := range table {
			table[i] = uint16(i % len(members))
		}
		w := &work{loop: func(k keys) (int, error) {
			sum := 0
			for _, key := range k.text {
				slot, _ := bits.Mul64(xxhash.Sum64String(key), uint64(len(table)))
				sum += int(table[slot])
			}
			return sum, nil
		}}
		return &subject{primary: w, three: w}, nil
	},
}
