package main

import (
	"github.com/grafana/ckit/peer"
	"github.com/grafana/ckit/shard"
)

// ckitTokens is the smaller of the two numbers that ckit recommends.
const ckitTokens = 256

var (
	ckitRing       = ckit("ckit ring", func() shard.Sharder { return shard.Ring(ckitTokens) })
	ckitRendezvous = ckit("ckit rendezvous", shard.Rendezvous)
	ckitMultiprobe = ckit("ckit multiprobe", shard.Multiprobe)
)

// ckit is a sharder of ckit. One call returns any number of owners.
func ckit(name string, sharder func() shard.Sharder) adapter {
	return adapter{name: name, build: func(members []string, _ int) (*subject, error) {
		list := make([]peer.Peer, len(members))
		for i, id := range members {
			list[i] = peer.Peer{Name: id, Addr: id, State: peer.StateParticipant}
		}
		s := sharder()
		s.SetPeers(list)
		ask := func(owners int) func(keys) int {
			return func(k keys) (sum int) {
				for _, key := range k.text {
					peers, err := s.Lookup(shard.StringKey(key), owners, shard.OpReadWrite)
					if err != nil {
						panic(err)
					}
					for i := range peers {
						sum += len(peers[i].Name)
					}
				}
				return sum
			}
		}
		return &subject{primary: ask(1), three: ask(replicas)}, nil
	}}
}
