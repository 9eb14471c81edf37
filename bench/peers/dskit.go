package main

import (
	"context"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-kit/log"
	"github.com/grafana/dskit/kv/consul"
	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	dskitKey    = "ring"
	dskitTokens = 128 // the number of tokens that its lifecycler registers by default
	// dskitHeartbeat is longer than a run, because the instances here are registered
	// once and send no heartbeats.
	dskitHeartbeat = 24 * time.Hour
)

// dskitRing is the ring of Mimir, Loki and Tempo, with its key-value store in memory.
// The caller hashes the key to 32 bits; here with the fastest available hash. The
// number of replicas belongs to the configuration of a ring, so there are two rings.
var dskitRing = adapter{
	name: "dskit ring",
	build: func(members []string, _ int) (*subject, error) {
		client, closer := consul.NewInMemoryClient(ring.GetCodec(), log.NewNopLogger(), nil)
		one, err := startDskit(client, members, 1)
		if err != nil {
			_ = closer.Close()
			return nil, err
		}
		three, err := startDskit(client, members, replicas)
		if err != nil {
			stopDskit(one)
			_ = closer.Close()
			return nil, err
		}
		return &subject{
			primary: dskitAsk(one),
			three:   dskitAsk(three),
			close: func() {
				stopDskit(one)
				stopDskit(three)
				_ = closer.Close()
			},
		}, nil
	},
}

// startDskit registers the instances unless they are registered, and starts a ring.
func startDskit(client *consul.Client, members []string, factor int) (*ring.Ring, error) {
	ctx := context.Background()
	err := client.CAS(ctx, dskitKey, func(in any) (any, bool, error) {
		if in != nil {
			return nil, false, nil
		}
		desc := ring.NewDesc()
		tokens := ring.NewRandomTokenGeneratorWithSeed(1)
		var taken ring.Tokens
		for _, id := range members {
			own := tokens.GenerateTokens(dskitTokens, taken)
			taken = append(taken, own...)
			desc.AddIngester(id, id, "", own, ring.ACTIVE, time.Now(), false, time.Time{}, nil)
		}
		return desc, true, nil
	})
	if err != nil {
		return nil, err
	}
	r, err := ring.NewWithStoreClientAndStrategy(ring.Config{HeartbeatTimeout: dskitHeartbeat, ReplicationFactor: factor},
		"peers", dskitKey, client, ring.NewDefaultReplicationStrategy(), prometheus.NewRegistry(), log.NewNopLogger())
	if err != nil {
		return nil, err
	}
	return r, services.StartAndAwaitRunning(ctx, r)
}

func stopDskit(r *ring.Ring) { _ = services.StopAndAwaitTerminated(context.Background(), r) }

func dskitAsk(r *ring.Ring) func(keys) int {
	return func(k keys) (sum int) {
		instances, hosts, zones := ring.MakeBuffersForGet()
		for _, key := range k.text {
			set, err := r.Get(uint32(xxhash.Sum64String(key)), ring.Write, instances, hosts, zones)
			if err != nil {
				panic(err)
			}
			for i := range set.Instances {
				sum += len(set.Instances[i].Addr)
			}
		}
		return sum
	}
}
