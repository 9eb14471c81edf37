package main

import (
	"fmt"

	"github.com/serialx/hashring"
)

// serialxRing is a ring of the library's default hash, and of its default weight,
// which is one point a member.
var serialxRing = adapter{
	name: "serialx hashring", module: "github.com/serialx/hashring",
	pays: "MD5, search, map; map and slice",
	build: func(members []string, _ int) (*subject, error) {
		r := hashring.New(members)
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owner, ok := r.GetNode(key)
						if !ok {
							return 0, fmt.Errorf("no owner of %q", key)
						}
						sum += len(owner)
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) {
					owner, _ := r.GetNode(k.text[0])
					return []string{owner}, nil
				},
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						owners, ok := r.GetNodes(key, replicas)
						if !ok {
							return 0, fmt.Errorf("no owners of %q", key)
						}
						for _, owner := range owners {
							sum += len(owner)
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) {
					owners, _ := r.GetNodes(k.text[0], replicas)
					return owners, nil
				},
			},
		}, nil
	},
}
