package main

import (
	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// The member and the hasher are those of the library's examples.
type consistentMember string

func (m consistentMember) String() string { return string(m) }

type consistentHasher struct{}

func (consistentHasher) Sum64(data []byte) uint64 { return xxhash.Sum64(data) }

// newConsistent uses the parameters of the library's examples. They are also its
// defaults, except for the number of partitions.
func newConsistent(members []string, partitions int) *consistent.Consistent {
	list := make([]consistent.Member, len(members))
	for i, id := range members {
		list[i] = consistentMember(id)
	}
	return consistent.New(list, consistent.Config{
		Hasher: consistentHasher{}, PartitionCount: partitions,
		ReplicationFactor: consistent.DefaultReplicationFactor, Load: consistent.DefaultLoad,
	})
}

func consistentSubject(c *consistent.Consistent) *subject {
	return &subject{
		primary: func(k keys) (sum int) {
			for _, key := range k.raw {
				sum += len(c.LocateKey(key).String())
			}
			return sum
		},
		three: func(k keys) (sum int) {
			for _, key := range k.raw {
				owners, err := c.GetClosestN(key, replicas)
				if err != nil {
					panic(err)
				}
				for _, owner := range owners {
					sum += len(owner.String())
				}
			}
			return sum
		},
	}
}

// consistentBytes is the fastest use of the library: the keys are bytes already.
var consistentBytes = adapter{
	name: "consistent, bytes",
	build: func(members []string, partitions int) (*subject, error) {
		return consistentSubject(newConsistent(members, partitions)), nil
	},
}

// consistentDefault has the library's default number of partitions too.
var consistentDefault = adapter{
	name: "consistent, bytes, 271",
	build: func(members []string, _ int) (*subject, error) {
		return consistentSubject(newConsistent(members, consistent.DefaultPartitionCount)), nil
	},
}

// consistentString is the use with keys that are strings: each is copied.
var consistentString = adapter{
	name: "consistent, string",
	build: func(members []string, partitions int) (*subject, error) {
		c := newConsistent(members, partitions)
		return &subject{primary: func(k keys) (sum int) {
			for _, key := range k.text {
				sum += len(c.LocateKey([]byte(key)).String())
			}
			return sum
		}}, nil
	},
}
