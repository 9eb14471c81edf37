package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
)

const actionHead = "ID ACTION STATE CHANGED DETAIL"

// showResults shows what members did.
func (c *cli) showResults(document any, results ...api.ActionResult) error {
	return c.show(document, actionHead, func(row func(...any)) {
		for _, r := range results {
			row(r.NodeID, r.Action, r.State, r.Changed, r.Detail)
		}
	})
}

func (c *cli) drainCommand() *cobra.Command {
	return c.acting("drain id", "Take a member out of service, and wait until it has handed over what it owns", (*client.Client).Drain)
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.acting("resume id", "Take a member back into service", (*client.Client).Resume)
}

// acting makes a command for an action of one member.
func (c *cli) acting(use, short string, act func(*client.Client, context.Context, string) (api.ActionResult, error)) *cobra.Command {
	return c.asking(&cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}, func(cmd *cobra.Command, m *members, args []string) error {
		one, err := m.named(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer func() { _ = one.Close() }() // Close returns nil
		result, err := act(one, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return c.showResults(result, result)
	})
}

func (c *cli) forgetCommand() *cobra.Command {
	return c.asking(&cobra.Command{
		Use: "forget id", Short: "Say that a lost member is gone for good", Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, m *members, args []string) error {
		result, err := m.all.Forget(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return c.showResults(result, result)
	})
}

func (c *cli) acceptLossCommand() *cobra.Command {
	return c.asking(&cobra.Command{
		Use: "accept-loss id partition...", Short: "Make a member go on with what is left of partitions that it lists as lost",
		Long: `Makes a member go on with the data that is left of partitions that it lists as lost.
Acknowledged writes may be given up, so only a person should decide this. Do it on each
member that lists a partition; "health" shows which.`,
		Args: cobra.MinimumNArgs(2),
	}, func(cmd *cobra.Command, m *members, args []string) error {
		partitions := make([]int, len(args)-1)
		for i, text := range args[1:] {
			var err error
			if partitions[i], err = strconv.Atoi(text); err != nil {
				c.asked = false
				return fmt.Errorf("the partition is %q: must be a whole number", text)
			}
		}
		one, err := m.named(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		defer func() { _ = one.Close() }() // Close returns nil
		results := []api.ActionResult{}
		for _, p := range partitions {
			result, err := one.AcceptLoss(cmd.Context(), args[0], p)
			if err != nil {
				return errors.Join(c.showResults(results, results...), err)
			}
			results = append(results, result)
		}
		return c.showResults(results, results...)
	})
}

func (c *cli) keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use: "keys", Short: "Replace the key of gossip, step by step",
		Long: `Replaces the key that gossip is encrypted with, in three steps: "install" the new key,
"use" it, and "remove" the old key. Each step acts on every member, and does nothing
if a member does not answer: finish a step before the next one. A step may be repeated.
A key is read from a file, "-" for the input, in the form that "keygen" prints.`,
	}
	keys.AddCommand(
		c.keyStep("install file", "Make every member able to read gossip of a key", (*client.Client).InstallKey),
		c.keyStep("use file", "Make every member encrypt gossip with an installed key", (*client.Client).UseKey),
		c.keyStep("remove file", "Make every member forget a key", (*client.Client).RemoveKey))
	return keys
}

// keyStep makes a command that changes the keys of every member.
func (c *cli) keyStep(use, short string, act func(*client.Client, context.Context, string, []byte) (api.ActionResult, error)) *cobra.Command {
	return c.asking(&cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1)}, func(cmd *cobra.Command, m *members, args []string) error {
		key, err := readKey(cmd.InOrStdin(), args[0])
		if err != nil {
			c.asked = false
			return err
		}
		all, err := m.everyone(cmd.Context())
		if err != nil {
			return fmt.Errorf("%w: nothing was changed", err)
		}
		results := []api.ActionResult{}
		for _, s := range all {
			one, err := m.client(1, s.addr)
			if err != nil {
				return err
			}
			result, err := act(one, cmd.Context(), s.id, key)
			_ = one.Close() // Close returns nil
			if err != nil {
				return errors.Join(c.showResults(results, results...), fmt.Errorf("member %s: %w", s.id, err))
			}
			results = append(results, result)
		}
		return c.showResults(results, results...)
	})
}

// readKey reads a gossip key in hexadecimal digits. No error shows the key.
func readKey(input io.Reader, path string) ([]byte, error) {
	const most = 1024
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // an error of Close does not matter after reading
		input = file
	}
	text, err := io.ReadAll(io.LimitReader(input, most))
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if n := len(key); err != nil || n != 16 && n != 24 && n != 32 {
		return nil, fmt.Errorf("file %q: must hold 32, 48 or 64 hexadecimal digits, as keygen prints them", path)
	}
	return key, nil
}

// named returns a client of one member. The caller must close it.
func (m *members) named(ctx context.Context, id string) (*client.Client, error) {
	answer, err := m.all.Members(ctx)
	if err != nil {
		return nil, err
	}
	for _, member := range answer.Members {
		switch {
		case member.ID != id:
		case member.HTTPAddr == "":
			return nil, fmt.Errorf("member %q announces no HTTP address", id)
		default:
			return m.client(1, m.settings.url(member.HTTPAddr))
		}
	}
	return nil, fmt.Errorf("no member %q is alive", id)
}

// everyone returns all members, or an error that names one that does not answer.
func (m *members) everyone(ctx context.Context) ([]seen, error) {
	all := m.survey(ctx)
	known := make(map[string]bool)
	for _, s := range all {
		if s.err != nil {
			return nil, fmt.Errorf("member %s does not answer: %w", cmp.Or(s.id, s.addr), s.err)
		}
		known[s.id] = true
	}
	for _, s := range all {
		for _, member := range s.members.Members {
			if !known[member.ID] {
				return nil, fmt.Errorf("member %q announces no HTTP address", member.ID)
			}
		}
	}
	return all, nil
}
