package main

import (
	"github.com/golang/groupcache/consistenthash"
	"github.com/serialx/hashring"
	"stathat.com/c/consistent"
)

// groupcacheMap is the ring of groupcache's HTTP pool, with its default hash and its 50
// points for each peer. The pool's mutex is left out, because the ring itself has none.
var groupcacheMap = adapter{
	name: "groupcache consistenthash",
	build: func(members []string, _ int) (*subject, error) {
		m := consistenthash.New(50, nil)
		m.Add(members...)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					sum += len(m.Get(key))
				}
				return sum
			},
		}, nil
	},
}

// stathatRing has the default number of 20 points for each member.
var stathatRing = adapter{
	name: "stathat consistent",
	build: func(members []string, _ int) (*subject, error) {
		c := consistent.New()
		c.Set(members)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					owner, err := c.Get(key)
					if err != nil {
						panic(err)
					}
					sum += len(owner)
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					owners, err := c.GetN(key, replicas)
					if err != nil {
						panic(err)
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

// serialxRing is a ring with the library's default hash, and its default weight of one
// point for each member.
var serialxRing = adapter{
	name: "serialx hashring",
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
