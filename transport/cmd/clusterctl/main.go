// Command clusterctl shows what the members of a cluster say over HTTP, and what a change
// would move, and makes members drain, resume and change keys. It finds all members from the address of one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errFound ends a command whose answer is a fault of the cluster. The command has shown it.
var errFound = errors.New("")

// run runs a command, and returns the exit status: 0 for success; 1 when the cluster has the
// fault that the command looks for, or does not answer; 2 for a mistake in the arguments.
func run(ctx context.Context, args []string, env func(string) (string, bool), out, problems io.Writer) int {
	cli := &cli{env: env, out: out}
	root := cli.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(problems)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFound):
		return 1
	}
	_, _ = fmt.Fprintln(problems, "clusterctl:", err) // the exit status says it too
	if cli.asked {
		return 1
	}
	return 2
}

// cli is one call of the program.
type cli struct {
	env      func(string) (string, bool)
	out      io.Writer
	settings settings
	asked    bool // the arguments were right, and the cluster is being asked
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "clusterctl",
		Short: "Show a cluster and what a change would move, and act on members",
		Long: `Shows what the members of a cluster say over HTTP. One address is enough: the other
members are found from it. The commands drain, resume, forget, accept-loss and keys
change something: they need a token of the scope write, or a client certificate.

Each flag can be given in the environment too, such as --token-file as
CLUSTERCTL_TOKEN_FILE, or in the file that --config names, as "token-file: path" in
YAML. A flag wins over the environment, and the environment over the file.
CLUSTERCTL_TOKEN holds a token itself.

Exit status: 0 for success; 1 when the cluster has the fault that the command looks
for, or does not answer; 2 for a mistake in the arguments.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.settings.add(root.PersistentFlags())
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		err := c.settings.complete(cmd.Flags(), c.env)
		c.asked = err == nil
		return err
	}
	root.AddCommand(c.membersCommand(), c.healthCommand(), c.lookupCommand(), c.ringCommand(), c.planCommand(),
		c.diffCommand(), c.watchCommand(), c.eventsCommand(), c.drainCommand(), c.resumeCommand(), c.forgetCommand(),
		c.acceptLossCommand(), c.keysCommand(), c.keygenCommand(), c.versionCommand())
	return root
}
