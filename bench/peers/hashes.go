package main

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-jump"
	"github.com/dgryski/go-rendezvous"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// hashAlone is the floor: a key that is not hashed cannot be placed.
var hashAlone = adapter{
	name: "xxhash", role: measure.Floor,
	build: func([]string, int) (*subject, error) {
		hash := func(k keys) (sum int) {
			for _, key := range k.text {
				sum += int(xxhash.Sum64String(key))
			}
			return sum
		}
		return &subject{primary: hash, three: hash}, nil
	},
}

// hashAndLoad adds the least work of any table: one load from an array with an entry
// for each partition.
var hashAndLoad = adapter{
	name: "xxhash, one load", role: measure.Floor,
	build: func(members []string, partitions int) (*subject, error) {
		table := make([]uint16, partitions)
		for i := range table {
			table[i] = uint16(i % len(members))
		}
		load := func(k keys) (sum int) {
			for _, key := range k.text {
				slot, _ := bits.Mul64(xxhash.Sum64String(key), uint64(len(table)))
				sum += int(table[slot])
			}
			return sum
		}
		return &subject{primary: load, three: load}, nil
	},
}

// rendezvousList computes a score of every member for every key. Its user supplies the
// hash.
var rendezvousList = adapter{
	name: "dgryski rendezvous",
	build: func(members []string, _ int) (*subject, error) {
		r := rendezvous.New(members, xxhash.Sum64String)
		return &subject{primary: func(k keys) (sum int) {
			for _, key := range k.text {
				sum += len(r.Lookup(key))
			}
			return sum
		}}, nil
	},
}

// jumpList computes the number of a bucket, which is the position of a member in a
// list. Only the last member of the list can leave without changing the positions of
// others.
var jumpList = adapter{
	name: "dgryski jump",
	build: func(members []string, _ int) (*subject, error) {
		return &subject{primary: func(k keys) (sum int) {
			for _, key := range k.text {
				sum += len(members[jump.Hash(xxhash.Sum64String(key), len(members))])
			}
			return sum
		}}, nil
	},
}
