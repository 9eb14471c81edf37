package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

func (c *cli) planCommand() *cobra.Command {
	plan := &cobra.Command{Use: "plan", Short: "Show what a change would move; nothing is changed"}
	node := ring.Node{Weight: 1}
	add := c.planning("add id", "Add a member", cobra.ExactArgs(1), func(_ *cobra.Command, _ *members, args []string) (rebalance.Change, error) {
		node.ID = args[0]
		return rebalance.Change{Add: []ring.Node{node}}, nil
	})
	add.Flags().StringVar(&node.Region, "region", "", "region of the member")
	add.Flags().StringVar(&node.Zone, "zone", "", "zone of the member")
	add.Flags().IntVar(&node.Weight, "weight", 1, "weight of the member")
	plan.AddCommand(add,
		c.planning("remove id...", "Remove members, as if they were lost", cobra.MinimumNArgs(1), func(_ *cobra.Command, _ *members, ids []string) (rebalance.Change, error) {
			return rebalance.Change{Remove: ids}, nil
		}),
		c.planning("drain id...", "Drain members", cobra.MinimumNArgs(1), func(_ *cobra.Command, _ *members, ids []string) (rebalance.Change, error) {
			return rebalance.Change{Drain: ids}, nil
		}),
		c.planning("reweigh id weight", "Give a member another weight", cobra.ExactArgs(2), func(_ *cobra.Command, _ *members, args []string) (rebalance.Change, error) {
			weight, err := strconv.Atoi(args[1])
			if err != nil {
				c.asked = false
				return rebalance.Change{}, fmt.Errorf("the weight is %q: must be a whole number", args[1])
			}
			return rebalance.Change{Reweight: []rebalance.Reweight{{ID: args[0], Weight: weight}}}, nil
		}),
		c.planning("lose-zone zone", "Lose all members of a zone, given as zone or region/zone", cobra.ExactArgs(1), func(cmd *cobra.Command, m *members, args []string) (change rebalance.Change, err error) {
			r, err := m.all.Ring(cmd.Context())
			if err != nil {
				return change, err
			}
			nodes := r.Nodes
			if r.Target != nil {
				nodes = r.Target.Nodes
			}
			regions := make(map[string]bool)
			for _, n := range nodes {
				if n.Zone == args[0] || place(n.Region, n.Zone) == args[0] {
					change.Remove = append(change.Remove, n.ID)
					regions[n.Region] = true
				}
			}
			if len(regions) > 1 {
				return change, fmt.Errorf("zone %q is in several regions: give it as region/zone", args[0])
			}
			if len(change.Remove) == 0 {
				return change, fmt.Errorf("no member of zone %q owns anything", args[0])
			}
			return change, nil
		}))
	return plan
}

// planning makes a command that shows what a change would move.
func (c *cli) planning(use, short string, args cobra.PositionalArgs, change func(*cobra.Command, *members, []string) (rebalance.Change, error)) *cobra.Command {
	return c.asking(&cobra.Command{Use: use, Short: short, Args: args}, func(cmd *cobra.Command, m *members, args []string) error {
		asked, err := change(cmd, m, args)
		if err != nil {
			return err
		}
		p, err := m.all.PlanSummary(cmd.Context(), asked)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("%d of %d replicas would move (%.1f%%), %d primaries would change", p.MoveCount, p.Slots, 100*float64(p.MoveCount)/float64(max(p.Slots, 1)), p.PrimaryChanges)
		if n := p.Spread.UnderReplicated; n > 0 {
			text += "\n" + c.mark(false, fmt.Sprintf("%d partitions would have too few owners", n))
		}
		if n := p.Spread.ZoneViolations; n > 0 {
			text += "\n" + c.mark(false, fmt.Sprintf("%d partitions would span too few zones", n))
		}
		if err := c.say(text); err != nil {
			return err
		}
		return c.show(p, "ID GAINS LOSES", func(row func(...any)) {
			for _, n := range p.Members {
				row(n.ID, n.Gained, n.Lost)
			}
		})
	})
}
