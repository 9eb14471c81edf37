package main

import (
	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-jump"
)

// jumpList computes the number of a bucket, which is a position in the list of
// members. Only the last of the list can leave without renumbering the others.
var jumpList = adapter{
	name: "dgryski jump", module: "github.com/dgryski/go-jump",
	pays: "a division for each of log n jumps; no lock",
	build: func(members []string, _ int) (*subject, error) {
		return &subject{primary: &work{
			loop: func(k keys) (sum int, _ error) {
				for _, key := range k.text {
					sum += len(members[jump.Hash(xxhash.Sum64String(key), len(members))])
				}
				return sum, nil
			},
			owners: func(k keys) ([]string, error) {
				return []string{members[jump.Hash(xxhash.Sum64String(k.text[0]), len(members))]}, nil
			},
		}}, nil
	},
}
