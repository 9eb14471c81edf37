// Command cache shows a cache that is spread over a cluster: the nearest replica
// answers reads, and the values that a crashed member held are filled in from the other
// owners.
//
// It starts itself again as six members, which are real processes in three zones. It
// puts load on them, kills one, and starts it again.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

// atMost is how long the whole scenario may take, also on a busy machine.
const atMost = 6 * time.Minute

const usage = `Starts a cache of six members on 127.0.0.1, puts load on it, kills one and brings
it back, and shows what becomes of the hit rate.
Usage: cache [-reads n] [-v]
       cache member -h       one member alone
`

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 && os.Args[1] == "member" {
		err := runMember(ctx, os.Args[2:], os.Stdin, os.Stdout, demo.Logger(os.Getenv(verboseEnv) != ""))
		demo.Exit(err, "cache member: ")
	}
	demo.Usage(usage)
	reads := flag.Int("reads", 3000, "how many reads each line of the tables is measured over, 100 or more")
	verbose := flag.Bool("v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 || *reads < 100 {
		fmt.Fprintf(os.Stderr, "cache: unexpected arguments %q or -reads %d, see -h\n", flag.Args(), *reads)
		os.Exit(2)
	}
	if *verbose {
		_ = os.Setenv(verboseEnv, "1") // the members inherit it; a valid name causes no error
	}
	demo.Exit(run(ctx, os.Stdout, *reads), "cache: ")
}

const verboseEnv = "CACHE_VERBOSE"

// run runs the scenario, step by step.
func run(ctx context.Context, out io.Writer, reads int) error {
	s := &scenario{Screen: demo.Screen{Out: out}, reads: reads, load: newLoad()}
	defer func() {
		for _, p := range s.members {
			p.Kill() // has no effect on a member that has stopped
		}
	}()
	s.Printf("A cache of six members in three zones, each a process, on 127.0.0.1.\n")
	return s.Run(ctx, atMost, s.start, s.zones, s.kill, s.restart, s.stop)
}
