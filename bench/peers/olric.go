package main

import (
	"github.com/olric-data/olric"
	"github.com/olric-data/olric/config"
	"github.com/olric-data/olric/hasher"
)

// olricRoutes is the routing table that olric's clients hand out, read as its
// cluster client reads it for itself: the hash of the map's name and the key,
// modulo the partitions, then a map. The client's own method is not exported, and
// a cluster of this size takes as many olric servers; so the table is filled
// here, and what a look-up costs beyond reading it (loading the table, choosing a
// connection) is left out, to olric's advantage.
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

// newest is the primary: the last of the list, the others being on their way out.
func newest(r olric.Route) string { return r.PrimaryOwners[len(r.PrimaryOwners)-1] }

var olricTable = adapter{
	name: "olric routing table", module: "github.com/olric-data/olric", kind: isTable,
	pays: "joins map name and key, map of routes",
	build: func(members []string, _ int) (*subject, error) {
		r := newOlricRoutes(members)
		return &subject{
			primary: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						sum += len(newest(r.route(key)))
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) { return []string{newest(r.route(k.text[0]))}, nil },
			},
			three: &work{
				loop: func(k keys) (sum int, _ error) {
					for _, key := range k.text {
						route := r.route(key)
						sum += len(newest(route))
						for _, owner := range route.ReplicaOwners {
							sum += len(owner)
						}
					}
					return sum, nil
				},
				owners: func(k keys) ([]string, error) {
					route := r.route(k.text[0])
					return append([]string{newest(route)}, route.ReplicaOwners...), nil
				},
			},
		}, nil
	},
}
