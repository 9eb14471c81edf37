package main

import (
	"github.com/olric-data/olric"
	"github.com/olric-data/olric/config"
	"github.com/olric-data/olric/hasher"
)

// olricRoutes is the routing table that olric's clients hand out, read as olric's
// cluster client reads it: the hash of the map's name and the key, modulo the
// partitions, then a map. The client's own method is not exported, and a cluster of 50
// needs 50 olric servers. So the table is filled here. Loading the table and choosing a
// connection are left out, which favours olric.
type olricRoutes struct {
	table olric.RoutingTable
	hash  hasher.Hasher
	dmap  string
}

func newOlricRoutes(members []string) *olricRoutes {
	r := &olricRoutes{table: make(olric.RoutingTable), hash: hasher.NewDefaultHasher(), dmap: "orders"}
	for partition := range config.DefaultPartitionCount {
		at := func(i int) string { return members[(partition+i)%len(members)] }
		r.table[uint64(partition)] = olric.Route{PrimaryOwners: []string{at(0)}, ReplicaOwners: []string{at(1), at(2)}}
	}
	return r
}

func (r *olricRoutes) route(key string) olric.Route {
	return r.table[r.hash.Sum64([]byte(r.dmap+key))%uint64(len(r.table))]
}

// newest returns the primary, the last of the list. The others are being replaced.
func newest(r olric.Route) string { return r.PrimaryOwners[len(r.PrimaryOwners)-1] }

var olricTable = adapter{
	name: "olric routing table",
	build: func(members []string, _ int) (*subject, error) {
		r := newOlricRoutes(members)
		return &subject{
			primary: func(k keys) (sum int) {
				for _, key := range k.text {
					sum += len(newest(r.route(key)))
				}
				return sum
			},
			three: func(k keys) (sum int) {
				for _, key := range k.text {
					route := r.route(key)
					sum += len(newest(route))
					for _, owner := range route.ReplicaOwners {
						sum += len(owner)
					}
				}
				return sum
			},
		}, nil
	},
}
