package main

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) keygenCommand() *cobra.Command {
	var token bool
	command := &cobra.Command{Use: "keygen", Short: "Make a gossip key of 32 random bytes, or a token", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		var key [32]byte
		_, _ = rand.Read(key[:]) // Read of crypto/rand cannot fail
		text := hex.EncodeToString(key[:])
		if token {
			text = base64.RawURLEncoding.EncodeToString(key[:])
		}
		_, err := fmt.Fprintln(c.out, text)
		return err
	}}
	command.Flags().BoolVar(&token, "token", false, "make a bearer token for a guard")
	return command
}

// release is the tag of a release. The linker sets it; other builds know their version from
// the go command.
var release string

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Show the version of this program", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		version := cmp.Or(release, "(devel)")
		if info, ok := debug.ReadBuildInfo(); ok && release == "" && info.Main.Version != "" {
			version = info.Main.Version
		}
		document := map[string]string{"version": version, "go": runtime.Version()}
		if c.settings.output == "json" {
			return c.line(document)
		}
		_, err := fmt.Fprintf(c.out, "clusterctl %s, %s\n", version, runtime.Version())
		return err
	}}
}
