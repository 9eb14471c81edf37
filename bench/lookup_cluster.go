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

// clusterCases measure calls of package cluster, in a cluster that gossips.
func clusterCases(c *cluster.Cluster, members int) []measure.Case {
	group := fmt.Sprintf("Calls to a cluster of %d members, hot keys of 16 bytes", members)
	keys := keysOf(hotKeys, 16)
	simple := func(name string, loop func(c *cluster.Cluster, keys []string, from, to int)) measure.Case {
		return measure.Case{Group: group, Name: name, Make: over(keys, func(keys []string, from, to int) { loop(c, keys, from, to) })}
	}
	var batch ring.Batch
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
		{Group: group, Name: "primary, partition kept by the caller", Make: over(partitionsOf(c, keys), func(kept []int, from, to int) {
			var last ring.Owner
			for i := from; i < to; i++ {
				last, _ = c.Ring().Placement(kept[i&(len(kept)-1)]).Primary()
			}
			runtime.KeepAlive(last)
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
		{Group: group, Name: "batch of 1024 by owner, a key", Step: hotKeys, Make: over(keys, func(keys []string, from, to int) {
			last := 0
			for ; from < to; from += hotKeys {
				c.Ring().Group(keys, &batch)
				for _, positions := range batch.All() {
					last = len(positions)
				}
			}
			runtime.KeepAlive(last)
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

// partitionsOf returns the partitions of keys, for a caller that stores them.
func partitionsOf(c *cluster.Cluster, keys *source[string]) *source[int] {
	return &source[int]{all: func() []int {
		kept := make([]int, len(keys.all()))
		for i, k := range keys.all() {
			kept[i] = c.Ring().Partition(k)
		}
		return kept
	}}
}

// httpBatch is the number of keys of a batch over HTTP.
const httpBatch = 1000

// httpCases send requests to one member over HTTP, on a connection that stays open.
func httpCases(c *cluster.Cluster) []measure.Case {
	const group = "Lookups over HTTP, on loopback"
	keys := keySet[string](hotKeys, 16)
	client, base := &http.Client{Transport: new(http.Transport)}, "http://"+c.HTTPAddr()
	// asking makes a run that sends requests, each for a number of keys.
	asking := func(keysEach int, method string, path func(key string) string, body []byte) maker {
		return func() (func(int), error) {
			at := 0
			ask := func() error {
				at++
				r, err := http.NewRequestWithContext(context.Background(), method, base+path(keys[at%hotKeys]), bytes.NewReader(body))
				if err != nil {
					return err
				}
				r.Header.Set("Content-Type", "application/json")
				return send(client, r)
			}
			run, err := repeat(ask)()
			return func(n int) { run(n / keysEach) }, err
		}
	}
	body, _ := json.Marshal(map[string][]string{"keys": keys[:httpBatch]}) // reading a string cannot fail
	return []measure.Case{
		{Group: group, Name: "GET /livez, which does nothing", Role: measure.Floor, Make: asking(1, http.MethodGet, func(string) string { return "/livez" }, nil)},
		{Group: group, Name: "GET /v1/lookup", Make: asking(1, http.MethodGet, func(key string) string { return "/v1/lookup?key=" + url.QueryEscape(key) }, nil)},
		{Group: group, Name: fmt.Sprintf("POST /v1/lookup, %d keys, a key", httpBatch), Step: httpBatch,
			Make: asking(httpBatch, http.MethodPost, func(string) string { return "/v1/lookup" }, body)},
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
