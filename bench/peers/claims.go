package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// claim is a ratio that clusterkit aims at: how many times as long a peer takes
// in some groups.
type claim struct {
	group string // what a group's name begins with
	also  string // what it has in it as well
	// peers is what the names of the peers begin with. Empty for the fastest
	// of those whose look-up can be called.
	peers string
	aim   float64
}

var claims = []claim{
	{group: "three owners, " + hotName, aim: 15},
	{group: "primary, " + hotName, also: "2 goroutines", peers: "consistent", aim: 10},
	{group: "batch of", peers: "consistent", aim: 12},
	{group: joinGroup + ",", peers: "consistent", aim: 50},
	{group: leaveGroup + ",", peers: "consistent", aim: 25},
}

// about are the results of a group that the claim is about.
func (c claim) about(group []measure.Result) []measure.Result {
	name := group[0].Case.Group
	if !strings.HasPrefix(name, c.group) || !strings.Contains(name, c.also) {
		return nil
	}
	peers := slices.DeleteFunc(slices.Clone(group), func(r measure.Result) bool {
		return r.Case.Role != measure.Plain || r.ToReference == nil || !strings.HasPrefix(r.Case.Name, c.peers) ||
			c.peers == "" && kindOf(r.Case.Name) == isTable
	})
	if c.peers != "" || len(peers) == 0 {
		return peers
	}
	return []measure.Result{slices.MinFunc(peers, func(a, b measure.Result) int {
		return cmp.Compare(a.References().Median, b.References().Median)
	})}
}

// verdict is one claim held against one peer in one group.
type verdict struct {
	group, peer string
	ratio       measure.Spread
	aim         float64
}

func (v verdict) String() string {
	holds := "holds"
	if v.ratio.Median < v.aim {
		holds = "falls short"
	}
	return fmt.Sprintf("%s: %s takes %.1f times as long (%.1f–%.1f), aimed at %.0f: %s",
		v.group, v.peer, v.ratio.Median, v.ratio.Low, v.ratio.High, v.aim, holds)
}

// verdicts hold all claims against results that have the roles of [shown].
func verdicts(results []measure.Result) []verdict {
	var all []verdict
	for _, c := range claims {
		for _, group := range measure.Groups(results) {
			for _, r := range c.about(group) {
				all = append(all, verdict{group[0].Case.Group, r.Case.Name, r.References(), c.aim})
			}
		}
	}
	return all
}

// writeClaims prints the verdicts, each line behind a mark.
func writeClaims(out io.Writer, results []measure.Result, mark string) error {
	for _, v := range verdicts(results) {
		if _, err := fmt.Fprintf(out, "%s%s\n", mark, v); err != nil {
			return err
		}
	}
	return nil
}
