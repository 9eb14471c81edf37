package rebalance_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func TestWhatIf(t *testing.T) {
	base := []ring.Node{{ID: "a", Zone: "1", Weight: 1}, {ID: "b", Zone: "2", Weight: 1}, {ID: "c", Zone: "1", Weight: 2}}
	for name, tc := range map[string]struct {
		change rebalance.Change
		want   []ring.Node
	}{
		"nothing":  {rebalance.Change{}, base},
		"add":      {rebalance.Change{Add: []ring.Node{{ID: "d", Zone: "3"}}}, append(base[:3:3], ring.Node{ID: "d", Zone: "3", Weight: 1})},
		"remove":   {rebalance.Change{Remove: []string{"b"}}, []ring.Node{base[0], base[2]}},
		"drain":    {rebalance.Change{Drain: []string{"b"}}, []ring.Node{base[0], base[2]}},
		"rezone":   {rebalance.Change{Rezone: []rebalance.Rezone{{"c", "eu", "3"}}}, []ring.Node{base[0], base[1], {ID: "c", Region: "eu", Zone: "3", Weight: 2}}},
		"reweight": {rebalance.Change{Reweight: []rebalance.Reweight{{"a", 5}, {"c", 0}}}, []ring.Node{{ID: "a", Zone: "1", Weight: 5}, base[1], {ID: "c", Zone: "1", Weight: 1}}},
		"all": {rebalance.Change{
			Add: []ring.Node{{ID: "d"}}, Remove: []string{"a"}, Drain: []string{"b"},
			Rezone: []rebalance.Rezone{{ID: "c"}}, Reweight: []rebalance.Reweight{{"c", 3}},
		}, []ring.Node{{ID: "c", Weight: 3}, {ID: "d", Weight: 1}}},
		"everything goes": {rebalance.Change{Remove: []string{"a", "b", "c"}}, []ring.Node{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := build(t, rebalance.ConsistentHash{Load: 1100}, 128, 2, base)
			before := r.Fingerprint()
			to, plan, err := rebalance.WhatIf(r, tc.change)
			require.NoError(t, err)
			require.Equal(t, before, r.Fingerprint())
			require.Equal(t, build(t, rebalance.ConsistentHash{Load: 1100}, 128, 2, tc.want).Fingerprint(), to.Fingerprint())
			if len(tc.want) > 0 {
				require.Equal(t, tc.want, to.Nodes())
			}
			direct, err := rebalance.Diff(r, to)
			require.NoError(t, err)
			require.Equal(t, direct, plan)
		})
	}
}

func TestWhatIfErrors(t *testing.T) {
	node := func(id string) []ring.Node { return []ring.Node{{ID: id}} }
	for name, tc := range map[string]struct {
		change rebalance.Change
		want   string
	}{
		"add known":       {rebalance.Change{Add: node("a")}, `Add: node "a" is in the ring already`},
		"add twice":       {rebalance.Change{Add: append(node("x"), node("x")...)}, `Add: node "x" is listed in Add already`},
		"add and remove":  {rebalance.Change{Add: node("x"), Remove: []string{"x"}}, `Remove: node "x" is listed in Add already`},
		"remove unknown":  {rebalance.Change{Remove: []string{"x"}}, `Remove: node "x" is not in the ring`},
		"remove twice":    {rebalance.Change{Remove: []string{"a", "a"}}, `Remove: node "a" is listed in Remove already`},
		"drain unknown":   {rebalance.Change{Drain: []string{"x"}}, `Drain: node "x" is not in the ring`},
		"drain removed":   {rebalance.Change{Remove: []string{"a"}, Drain: []string{"a"}}, `Drain: node "a" is listed in Remove already`},
		"rezone unknown":  {rebalance.Change{Rezone: []rebalance.Rezone{{ID: "x"}}}, `Rezone: node "x" is not in the ring`},
		"rezone twice":    {rebalance.Change{Rezone: []rebalance.Rezone{{ID: "a"}, {ID: "a"}}}, `Rezone: node "a" is listed in Rezone already`},
		"rezone removed":  {rebalance.Change{Remove: []string{"a"}, Rezone: []rebalance.Rezone{{ID: "a"}}}, `Rezone: node "a" is listed in Remove already`},
		"rezone added":    {rebalance.Change{Add: node("x"), Rezone: []rebalance.Rezone{{ID: "x"}}}, `Rezone: node "x" is listed in Add already`},
		"weigh unknown":   {rebalance.Change{Reweight: []rebalance.Reweight{{"x", 1}}}, `Reweight: node "x" is not in the ring`},
		"weigh twice":     {rebalance.Change{Reweight: []rebalance.Reweight{{"a", 1}, {"a", 2}}}, `Reweight: node "a" is listed in Reweight already`},
		"several":         {rebalance.Change{Add: node("a"), Remove: []string{"x"}, Drain: []string{"y"}}, "Add: node \"a\" is in the ring already\nRemove: node \"x\" is not in the ring\nDrain: node \"y\" is not in the ring"},
		"weight":          {rebalance.Change{Reweight: []rebalance.Reweight{{"a", -1}}}, `ring: node "a": Weight is -1: must be between 1 and 1048576`},
		"empty ID":        {rebalance.Change{Add: node("")}, `ring: node "": ID is "": must be set`},
		"unknown nothing": {rebalance.Change{Remove: []string{""}}, `Remove: node "" is not in the ring`},
	} {
		t.Run(name, func(t *testing.T) {
			r := build(t, rebalance.Rendezvous{}, 8, 2, []ring.Node{{ID: "a"}, {ID: "b"}})
			to, plan, err := rebalance.WhatIf(r, tc.change)
			require.EqualError(t, err, "rebalance: what if: "+tc.want)
			require.Nil(t, to)
			require.Zero(t, plan)
		})
	}
	_, _, err := rebalance.WhatIf(nil, rebalance.Change{Add: node("x")})
	require.ErrorContains(t, err, "ring: invalid configuration: PartitionCount is 0")
}

func TestWhatIfFromNoNodes(t *testing.T) {
	to, plan, err := rebalance.WhatIf(build(t, rebalance.Rendezvous{}, 8, 2, nil), rebalance.Change{Add: uniform(1, 2)})
	require.NoError(t, err)
	require.Equal(t, 2, to.Len())
	require.Len(t, plan.Moves, 16)
}

func TestChangeAsJSON(t *testing.T) {
	var c rebalance.Change
	require.NoError(t, json.Unmarshal([]byte(`{
		"add": [{"id": "x", "region": "eu", "zone": "eu-1a", "weight": 2}], "remove": ["a"], "drain": ["b"],
		"rezone": [{"id": "c", "region": "eu", "zone": "eu-1b"}], "reweight": [{"id": "c", "weight": 3}]
	}`), &c))
	require.Equal(t, rebalance.Change{
		Add: []ring.Node{{ID: "x", Region: "eu", Zone: "eu-1a", Weight: 2}}, Remove: []string{"a"}, Drain: []string{"b"},
		Rezone: []rebalance.Rezone{{"c", "eu", "eu-1b"}}, Reweight: []rebalance.Reweight{{"c", 3}},
	}, c)
	text, err := json.Marshal(rebalance.Change{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(text))
}
