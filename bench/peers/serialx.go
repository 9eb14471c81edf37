package main

import (
	"github.com/serialx/hashring"
)

// serialxRing is a ring of the library's default hash, and of its default weight,
// which is one point a member.
var serialxRing = adapter{
	name: "serialx hashring", module: "github.com/serialx/hashring",
	build: func(members []string, _ int) (*subject, error) {
		r := hashring.New(members)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, ok := r.GetNode(key)
					if !ok {
						panic("no owner of " + key)
					}
					sum += len(owner)
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					owners, ok := r.GetNodes(key, replicas)
					if !ok {
						panic("no owners of " + key)
					}
					for _, owner := range owners {
						sum += len(owner)
					}
				}
				return sum
			},
		}, nil
	},
}
