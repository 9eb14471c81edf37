package main

import (
	"github.com/cespare/xxhash/v2"
	"github.com/dgryski/go-rendezvous"
)

// rendezvousList scores every member for every key. It takes the hash from its
// user.
var rendezvousList = adapter{
	name: "dgryski rendezvous", module: "github.com/dgryski/go-rendezvous",
	pays: "a score a member; no lock",
	build: func(members []string, _ int) (*subject, error) {
		r := rendezvous.New(members, xxhash.Sum64String)
		return &subject{primary: &work{
			loop: func(k keys) (sum int, _ error) {
				for _, key := range k.text {
					sum += len(r.Lookup(key))
				}
				return sum, nil
			},
			owners: func(k keys) ([]string, error) { return []string{r.Lookup(k.text[0])}, nil },
		}}, nil
	},
}
