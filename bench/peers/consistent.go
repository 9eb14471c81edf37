package main

import (
	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

const consistentModule = "github.com/buraksezer/consistent"

// The member and the hasher are those of the library's own examples.
type consistentMember string

func (m consistentMember) String() string { return string(m) }

type consistentHasher struct{}

func (consistentHasher) Sum64(data []byte) uint64 { return xxhash.Sum64(data) }

// newConsistent has the parameters of the library's examples, which are its
// defaults as well, but for the number of partitions.
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
		primary: &work{
			loop: func(k keys) (sum int, _ error) {
				for _, key := range k.raw {
					sum += len(c.LocateKey(key).String())
				}
				return sum, nil
			},
			owners: func(k keys) ([]string, error) { return []string{c.LocateKey(k.raw[0]).String()}, nil },
		},
		three: &work{
			loop: func(k keys) (sum int, _ error) {
				for _, key := range k.raw {
					owners, err := c.GetClosestN(key, replicas)
					if err != nil {
						return 0, err
					}
					for _, owner := range owners {
						sum += len(owner.String())
					}
				}
				return sum, nil
			},
			owners: func(k keys) ([]string, error) {
				owners, err := c.GetClosestN(k.raw[0], replicas)
				ids := make([]string, 0, len(owners))
				for _, owner := range owners {
					ids = append(ids, owner.String())
				}
				return ids, err
			},
		},
	}
}

// consistentBytes is the library at its best: the keys are bytes already.
var consistentBytes = adapter{
	name: "consistent, bytes", module: consistentModule,
	pays: "read lock, map; for three: sorts all members",
	build: func(members []string, partitions int) (*subject, error) {
		return consistentSubject(newConsistent(members, partitions)), nil
	},
}

// consistentDefault leaves the number of partitions alone as well.
var consistentDefault = adapter{
	name: "consistent, bytes, 271", module: consistentModule,
	pays: "as above, with a map that fits a small cache",
	build: func(members []string, _ int) (*subject, error) {
		return consistentSubject(newConsistent(members, consistent.DefaultPartitionCount)), nil
	},
}

// consistentString is what a user pays whose keys are strings.
var consistentString = adapter{
	name: "consistent, string", module: consistentModule,
	pays: "as above, and a copy of the key",
	build: func(members []string, partitions int) (*subject, error) {
		c := newConsistent(members, partitions)
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						sum += len(c.LocateKey([]byte(key)).String())
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return []string{c.LocateKey([]byte(k.text[0])).String()}, nil },
			},
		}, nil
	},
}
