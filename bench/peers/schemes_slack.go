package main

import (
	"fmt"
	"io"
	"math"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring/option"
)

// slacks are the values of Balanced.Slack that are compared.
var slacks = []int{option.None, 10, 20, 40, 80, 160, 320}

// slackSize is a column of the table of slacks.
type slackSize struct{ members, partitions int }

var slackSizes = []slackSize{{10, 4096}, {30, 4096}, {100, 4096}, {300, 4096}, {1000, 65_536}}

// compareSlacks writes how much a join and a leave move in the mean for each slack of Balanced. The
// automatic slack is in the last rows, beside one over the root of twice the mean load.
func compareSlacks(list []int, sizes []slackSize, seeds int, out io.Writer) error {
	t := measure.Table{
		Title: fmt.Sprintf("Movement with a slack of Balanced, one zone, %d replicas, the mean of joins and leaves of %d seeds", replicas, seeds),
		Head:  []string{"slack"},
	}
	for _, s := range sizes {
		t.Head = append(t.Head, fmt.Sprintf("%d members, %d partitions", s.members, s.partitions))
	}
	row := func(name string, cell func(slackSize) string) {
		r := make([]string, 1, 1+len(sizes))
		r[0] = name
		for _, s := range sizes {
			r = append(r, cell(s))
		}
		t.Rows = append(t.Rows, r)
	}
	moves := func(slack int) func(slackSize) string {
		return func(s slackSize) string {
			f := measureScheme(strategyScheme("", rebalance.Balanced{Slack: slack}), seeds, s.members, s.partitions)
			return fmt.Sprintf("%.2f", (f.join.sum+f.leave.sum)/float64(f.join.n+f.leave.n))
		}
	}
	perMille := func(of func(mean float64) float64) func(slackSize) string {
		return func(s slackSize) string {
			return fmt.Sprintf("%.0f ‰", 1000*of(float64(s.partitions*replicas)/float64(s.members)))
		}
	}
	for _, slack := range list {
		name := fmt.Sprintf("%d ‰", slack)
		if slack == option.None {
			name = "exact"
		}
		row(name, moves(slack))
	}
	row("automatic", moves(0))
	row("that is", perMille(func(mean float64) float64 { return 0.75 / math.Sqrt(mean) }))
	row("1/√(2 × mean load)", perMille(func(mean float64) float64 { return 1 / math.Sqrt(2*mean) }))
	return t.Write(out)
}
