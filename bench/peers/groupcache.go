package main

import "github.com/golang/groupcache/consistenthash"

// groupcachePoints is how many points of the ring a peer has in groupcache's
// HTTP pool by default.
const groupcachePoints = 50

// groupcacheMap is the ring that groupcache's pool asks, with its default hash.
// The pool holds a mutex around it, which is left out here: to a user of the
// ring alone it is not there.
var groupcacheMap = adapter{
	name: "groupcache consistenthash", module: "github.com/golang/groupcache",
	build: func(members []string, _ int) (*subject, error) {
		m := consistenthash.New(groupcachePoints, nil)
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
