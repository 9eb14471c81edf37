package main

import (
	"github.com/grafana/ckit/peer"
	"github.com/grafana/ckit/shard"
)

// ckitTokens is the smaller of the two numbers that ckit recommends.
const ckitTokens = 256

var (
	ckitRing       = ckit("ckit ring", "two read locks, search, map and slices", func() shard.Sharder { return shard.Ring(ckitTokens) })
	ckitRendezvous = ckit("ckit rendezvous", "two read locks, a score a member, slices", shard.Rendezvous)
	ckitMultiprobe = ckit("ckit multiprobe", "two read locks, 21 searches, map and slices", shard.Multiprobe)
)

// ckit is one of its sharders. One call serves for any number of owners.
func ckit(name, pays string, sharder func() shard.Sharder) adapter {
	return adapter{
		name: name, module: "github.com/grafana/ckit", pays: pays,
		build: func(members []string, _ int) (*subject, error) {
			list := make([]peer.Peer, len(members))
			for i, id := range members {
				list[i] = peer.Peer{Name: id, Addr: id, State: peer.StateParticipant}
			}
			s := sharder()
			s.SetPeers(list)
			return &subject{primary: ckitWork(s, 1), three: ckitWork(s, replicas)}, nil
		},
	}
}

func ckitWork(s shard.Sharder, owners int) *work {
	return &work{
		loop: func(k keys) (sum int, _ error) {
			for _, key := range k.text {
				peers, err := s.Lookup(shard.StringKey(key), owners, shard.OpReadWrite)
				if err != nil {
					return 0, err
				}
				for i := range peers {
					sum += len(peers[i].Name)
				}
			}
			return sum, nil
		},
		owners: func(k keys) ([]string, error) {
			peers, err := s.Lookup(shard.StringKey(k.text[0]), owners, shard.OpReadWrite)
			ids := make([]string, 0, len(peers))
			for _, p := range peers {
				ids = append(ids, p.Name)
			}
			return ids, err
		},
	}
}
