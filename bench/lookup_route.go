package main

import (
	"runtime"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/ring"
)

// routeCases measure the questions that every routed request and every accepted write
// asks.
func routeCases() ([]measure.Case, error) {
	const group = "Routing: hot keys of 16 bytes, 50 members in three zones"
	p, err := publishRing(usualMembers, usualPartitions, usualReplicas)
	if err != nil {
		return nil, err
	}
	keys := keysOf(hotKeys, 16)
	self := nodes(usualMembers)[0]
	cases := []measure.Case{
		floor(group, keys),
		{Group: group, Name: "primary", Make: primary(p, keys)},
		{Group: group, Name: "nearest replica, zone of this member", Make: nearest(p, keys, self.Region, self.Zone)},
		{Group: group, Name: "nearest replica, another zone", Make: nearest(p, keys, self.Region, "eu-1b")},
		{Group: group, Name: "nearest replica, a third zone", Make: nearest(p, keys, self.Region, "eu-1c")},
		{Group: group, Name: "nearest replica, a zone without members", Make: nearest(p, keys, self.Region, "eu-1d")},
		{Group: group, Name: "does this member own it", Make: owned(p, keys, self.ID)},
		{Group: group, Name: "token", Make: tokens(p, keys)},
	}
	return cases, nil
}

// nearest looks up the owner that is nearest to a zone.
//
//go:noinline
func nearest(p *published, keys *source[string], region, zone string) maker {
	return over(keys, func(keys []string, from, to int) {
		var last ring.Owner
		for i := from; i < to; i++ {
			last = p.Lookup(keys[i&(len(keys)-1)]).Prefer(region, zone).At(0)
		}
		runtime.KeepAlive(last)
	})
}

// owned asks whether a member owns the keys.
//
//go:noinline
func owned(p *published, keys *source[string], id string) maker {
	return over(keys, func(keys []string, from, to int) {
		last := false
		for i := from; i < to; i++ {
			last = p.Lookup(keys[i&(len(keys)-1)]).Owns(id)
		}
		runtime.KeepAlive(last)
	})
}

// tokens makes the tokens of the keys.
//
//go:noinline
func tokens(p *published, keys *source[string]) maker {
	return over(keys, func(keys []string, from, to int) {
		var last ring.Token
		for i := from; i < to; i++ {
			last = p.Lookup(keys[i&(len(keys)-1)]).Token()
		}
		runtime.KeepAlive(last)
	})
}
