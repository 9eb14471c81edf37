package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/ring"
)

// clusterCases are the calls of package cluster, in a cluster that gossips.
func clusterCases(f *fixture) []measure.Case {
	group := fmt.Sprintf("Calls to a cluster of %d members, hot keys of 16 bytes", f.members)
	keys := keysOf(hotKeys, 16)
	// through makes a loop once the cluster is there.
	through := func(loop func(c *cluster.Cluster) maker) maker {
		return func() (func(int), error) {
			c, err := f.member()
			if err != nil {
				return nil, err
			}
			return loop(c)()
		}
	}
	simple := func(name string, loop func(c *cluster.Cluster, keys []string, from, to int)) measure.Case {
		return measure.Case{Group: group, Name: name, Make: through(func(c *cluster.Cluster) maker {
			return over(keys, func(keys []string, from, to int) { loop(c, keys, from, to) })
		})}
	}
	return []measure.Case{
		floor(group, keys),
		{Group: group, Name: "hash and one array load", Make: hashAndLoad(keys, usualPartitions)},
		simple("partition of a key", func(c *cluster.Cluster, keys []string, from, to int) {
			var last int
			for i := from; i < to; i++ {
				last = c.Ring().Partition(keys[i&(len(keys)-1)])
			}
			runtime.KeepAlive(last)
		}),
		simple("primary", func(c *cluster.Cluster, keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				last, _ = c.Lookup(keys[i&(len(keys)-1)]).Primary()
			}
			runtime.KeepAlive(last)
		}),
		simple("primary, its ID read", func(c *cluster.Cluster, keys []string, from, to int) {
			last := ""
			for i := from; i < to; i++ {
				owner, _ := c.Lookup(keys[i&(len(keys)-1)]).Primary()
				last = owner.ID()
			}
			runtime.KeepAlive(last)
		}),
		{Group: group, Name: "primary, partition kept by the caller", Make: through(func(c *cluster.Cluster) maker {
			return over(partitionsOf(c, keys), func(kept []int, from, to int) {
				var last ring.Owner
				for i := from; i < to; i++ {
					last, _ = c.Ring().Placement(kept[i&(len(kept)-1)]).Primary()
				}
				runtime.KeepAlive(last)
			})
		})},
		simple("three replicas, All", func(c *cluster.Cluster, keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				for _, o := range c.Lookup(keys[i&(len(keys)-1)]).All() {
					last = o
				}
			}
			runtime.KeepAlive(last)
		}),
		simple("three replicas, At", func(c *cluster.Cluster, keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				p := c.Lookup(keys[i&(len(keys)-1)])
				for at := range p.Len() {
					last = p.At(at)
				}
			}
			runtime.KeepAlive(last)
		}),
		simple("nearest replica, Prefer", func(c *cluster.Cluster, keys []string, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				last = c.Lookup(keys[i&(len(keys)-1)]).Prefer("eu-1", "eu-1b").At(0)
			}
			runtime.KeepAlive(last)
		}),
		simple("does this member own it, Owns", func(c *cluster.Cluster, keys []string, from, to int) {
			last := false
			for i := from; i < to; i++ {
				last = c.Lookup(keys[i&(len(keys)-1)]).Owns("orders-0")
			}
			runtime.KeepAlive(last)
		}),
		simple("token", func(c *cluster.Cluster, keys []string, from, to int) {
			var last ring.Token
			for i := from; i < to; i++ {
				last = c.Lookup(keys[i&(len(keys)-1)]).Token()
			}
			runtime.KeepAlive(last)
		}),
		{Group: group, Name: "batch of 1024 by owner, a key", Step: hotKeys, Make: through(func(c *cluster.Cluster) maker {
			var batch ring.Batch
			return over(keys, func(keys []string, from, to int) {
				last := 0
				for ; from < to; from += hotKeys {
					c.Ring().Group(keys, &batch)
					for _, positions := range batch.All() {
						last = len(positions)
					}
				}
				runtime.KeepAlive(last)
			})
		})},
		simple("members with addresses, NodesForKey", func(c *cluster.Cluster, keys []string, from, to int) {
			var last []cluster.Member
			for i := from; i < to; i++ {
				last, _ = c.NodesForKey(context.Background(), keys[i&(len(keys)-1)])
			}
			runtime.KeepAlive(last)
		}),
	}
}

// partitionsOf are the partitions of keys, for a caller who keeps them.
func partitionsOf(c *cluster.Cluster, keys *source[string]) *source[int] {
	return &source[int]{all: func() []int {
		kept := make([]int, len(keys.all()))
		for i, k := range keys.all() {
			kept[i] = c.Ring().Partition(k)
		}
		return kept
	}}
}

// httpBatch is how many keys a batch over HTTP has.
const httpBatch = 1000

// httpCases ask one member over HTTP, on a connection that stays open.
func httpCases(f *fixture) []measure.Case {
	const group = "Lookups over HTTP, on loopback"
	keys := keysOf(hotKeys, 16)
	// asking makes a run that sends requests; each answers so many keys.
	asking := func(answers int, request func(base, key string) (*http.Request, error)) maker {
		return func() (func(int), error) {
			c, err := f.member()
			if err != nil {
				return nil, err
			}
			client := &http.Client{Transport: new(http.Transport)}
			base := "http://" + c.HTTPAddr()
			ask := func(key string) error {
				r, err := request(base, key)
				if err != nil {
					return err
				}
				return send(client, r)
			}
			if err := ask(keys.all()[0]); err != nil { // later ones are taken to do as well
				return nil, err
			}
			at := 0
			return func(n int) {
				for range n / answers {
					if err := ask(keys.all()[at%hotKeys]); err != nil {
						panic(fmt.Sprintf("bench: a member that answered before does not any more: %v", err))
					}
					at++
				}
			}, nil
		}
	}
	body, err := json.Marshal(map[string][]string{"keys": keys.all()[:httpBatch]})
	if err != nil {
		return []measure.Case{{Group: group, Name: "batch", Make: failing(err)}}
	}
	get := func(path func(key string) string) func(base, key string) (*http.Request, error) {
		return func(base, key string) (*http.Request, error) {
			return http.NewRequestWithContext(context.Background(), http.MethodGet, base+path(key), nil)
		}
	}
	return []measure.Case{
		{Group: group, Name: "GET /livez, which does nothing", Role: measure.Floor, Make: asking(1, get(func(string) string { return "/livez" }))},
		{Group: group, Name: "GET /v1/lookup", Make: asking(1, get(func(key string) string { return "/v1/lookup?key=" + url.QueryEscape(key) }))},
		{Group: group, Name: fmt.Sprintf("POST /v1/lookup, %d keys, a key", httpBatch), Step: httpBatch,
			Make: asking(httpBatch, func(base, _ string) (*http.Request, error) {
				r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, base+"/v1/lookup", bytes.NewReader(body))
				if err == nil {
					r.Header.Set("Content-Type", "application/json")
				}
				return r, err
			})},
	}
}

// send sends a request and reads the answer to its end.
func send(client *http.Client, r *http.Request) error {
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
		return errors.New(answer.Status + ": " + strings.TrimSpace(string(why)))
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
