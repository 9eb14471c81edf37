package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
)

// asking makes a command that asks members.
func (c *cli) asking(command *cobra.Command, ask func(cmd *cobra.Command, m *members, args []string) error) *cobra.Command {
	command.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := c.connect()
		if err != nil {
			c.asked = false // an address, a file or a token is wrong
			return err
		}
		defer m.close()
		return ask(cmd, m, args)
	}
	return command
}

func (c *cli) membersCommand() *cobra.Command {
	return c.asking(&cobra.Command{Use: "members", Short: "List the members", Args: cobra.NoArgs}, func(cmd *cobra.Command, m *members, _ []string) error {
		answer, err := m.all.Members(cmd.Context())
		if err != nil {
			return err
		}
		return c.show(answer, "ID STATE ZONE WEIGHT HTTP GOSSIP VERSION STARTED", func(row func(...any)) {
			for _, m := range answer.Members {
				started := ""
				if !m.Started.IsZero() {
					started = m.Started.UTC().Format(time.RFC3339)
				}
				row(m.ID, m.State, place(m.Region, m.Zone), m.Weight, m.HTTPAddr, m.Addr, m.Version, started)
			}
			for _, m := range answer.Lost {
				row(m.ID, "lost", place(m.Region, m.Zone), "", "", m.Addr, "", "since "+m.Since.UTC().Format(time.RFC3339))
			}
		})
	})
}

func (c *cli) healthCommand() *cobra.Command {
	return c.asking(&cobra.Command{
		Use: "health", Short: "Show the health of a member; exit status 1 when it is not ready, or has a critical problem", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, m *members, _ []string) error {
		h, err := m.all.Health(cmd.Context())
		if err != nil {
			return err
		}
		bad := !h.Ready
		err = c.show(h, "", func(row func(...any)) {
			row("member", h.NodeID+" of "+h.ClusterName)
			row("version", h.Version)
			row("ready", h.Ready)
			row("healthy", h.Healthy)
			row("agreed", h.Agreed)
			row("state", h.State)
			row("members", h.Members)
			row("fingerprint", h.Fingerprint)
			row("configuration", h.Configuration)
			for _, p := range h.Problems {
				row("problem", p.Code+": "+p.Message)
			}
			for _, d := range h.Differing {
				row("differs", d.ID+": "+d.Reason)
			}
		})
		for _, p := range h.Problems {
			bad = bad || p.Critical
		}
		if err == nil && bad {
			return errFound
		}
		return err
	})
}

func (c *cli) lookupCommand() *cobra.Command {
	var near client.Near
	command := c.asking(&cobra.Command{Use: "lookup key...", Short: "Show the owners of keys", Args: cobra.MinimumNArgs(1)}, func(cmd *cobra.Command, m *members, keys []string) error {
		answer, err := m.all.LookupBatch(cmd.Context(), keys, near)
		if err != nil {
			return err
		}
		return c.show(answer, "KEY PARTITION PRIMARY OWNERS TARGET TOKEN", func(row func(...any)) {
			for _, p := range answer.Results {
				row(p.Key, p.Partition, p.Primary, names(p.Owners), names(p.Target), p.Token)
			}
		})
	})
	command.Flags().StringVar(&near.Region, "region", "", "list owners in this region first")
	command.Flags().StringVar(&near.Zone, "zone", "", "list owners in this zone of the region first")
	return command
}

func names(owners []api.Owner) string {
	ids := make([]string, 0, len(owners))
	for _, o := range owners {
		ids = append(ids, o.ID)
	}
	return strings.Join(ids, ",")
}

func (c *cli) ringCommand() *cobra.Command {
	return c.asking(&cobra.Command{Use: "ring", Short: "Show what each member owns", Args: cobra.NoArgs}, func(cmd *cobra.Command, m *members, _ []string) error {
		r, err := m.all.Ring(cmd.Context())
		if err != nil {
			return err
		}
		err = c.say(fmt.Sprintf("fingerprint %v, configuration %s, %d partitions of %d owners, moving: %t", r.Fingerprint, r.Configuration, r.PartitionCount, r.Replicas, r.Moving))
		if err != nil {
			return err
		}
		weight := 0
		for _, n := range r.Nodes {
			weight += n.Weight
		}
		return c.show(r, "ID ZONE WEIGHT PRIMARY OWNED SHARE", func(row func(...any)) {
			for _, n := range r.Nodes {
				fair := float64(r.PartitionCount*r.Replicas) * float64(n.Weight) / float64(max(weight, 1))
				row(n.ID, place(n.Region, n.Zone), n.Weight, n.Primary, n.Owned, fmt.Sprintf("%.0f%%", 100*float64(n.Owned)/fair))
			}
		})
	})
}

func (c *cli) eventsCommand() *cobra.Command {
	var follow bool
	command := c.asking(&cobra.Command{Use: "events", Short: "Show the last events of a member", Args: cobra.NoArgs}, func(cmd *cobra.Command, m *members, _ []string) error {
		if follow {
			return m.follow(cmd.Context(), func(e api.Event) error { return c.event(e) })
		}
		answer, err := m.events(cmd.Context())
		if err != nil {
			return err
		}
		return c.show(answer, "TIME KIND EVENT", func(row func(...any)) {
			for _, e := range answer.Events {
				row(e.At.Format(time.RFC3339), e.Kind, e.Text)
			}
		})
	})
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events until interrupted")
	return command
}

// event writes one event in one line.
func (c *cli) event(e api.Event) error {
	if c.settings.output == "json" {
		return c.line(e)
	}
	_, err := fmt.Fprintf(c.out, "%s  %-18s  %s\n", e.At.Format(time.RFC3339), oneLine(e.Kind), oneLine(e.Text))
	return err
}

func (c *cli) watchCommand() *cobra.Command {
	return c.asking(&cobra.Command{
		Use: "watch", Short: "Show a line for each change of the table, until interrupted", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, m *members, _ []string) error {
		ctx, mirror := cmd.Context(), m.all.Mirror()
		defer func() { _ = mirror.Close() }() // Close returns nil
		wait, cancel := context.WithTimeout(ctx, m.settings.within()*time.Duration(len(m.settings.addrs)))
		err := mirror.Wait(wait)
		cancel()
		if err != nil {
			return err
		}
		for {
			changed, state, ring := mirror.Changed(), mirror.State(), mirror.Ring()
			line := change{At: time.Now().UTC(), Fingerprint: state.Fingerprint, Members: ring.Len(), Partitions: ring.PartitionCount(), Moving: ring.Target() != ring}
			if err := c.change(line); err != nil {
				return err
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	})
}
