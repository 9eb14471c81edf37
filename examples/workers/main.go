// Command workers shows jobs that are spread over a cluster, one for each partition,
// which move with their partitions. It measures how long a partition has two workers or
// none when a member joins, leaves and is killed.
//
// It starts itself again as the members, which are real processes.
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

const usage = `Runs a worker for each of 64 partitions on the members of a cluster on 127.0.0.1,
has members join, leave and crash, and measures how long there are two workers
or none.
Usage: workers [-agreement d] [-v]
       workers member -h      one member alone
`

const verboseEnv = "WORKERS_VERBOSE"

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 && os.Args[1] == "member" {
		err := runMember(ctx, os.Args[2:], os.Stdin, os.Stdout, demo.Logger(os.Getenv(verboseEnv) != ""))
		demo.Exit(err, "workers member: ")
	}
	demo.Usage(usage)
	agreement := flag.Duration("agreement", 0, "how long workers wait at most for all members to agree before they begin")
	verbose := flag.Bool("v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 || *agreement < 0 {
		fmt.Fprintf(os.Stderr, "workers: unexpected arguments %q or -agreement %v, see -h\n", flag.Args(), *agreement)
		os.Exit(2)
	}
	if *verbose {
		_ = os.Setenv(verboseEnv, "1") // the members inherit it; a valid name causes no error
	}
	demo.Exit(run(ctx, os.Stdout, *agreement), "workers: ")
}

// run runs the scenario, step by step.
func run(ctx context.Context, out io.Writer, agreement time.Duration) error {
	s := &scenario{Screen: demo.Screen{Out: out}, measure: newMeasure(), database: newDatabase(), agreement: agreement}
	defer func() {
		for _, p := range s.members {
			p.Kill() // has no effect on a member that has stopped
		}
	}()
	s.Printf("A worker for each of %d partitions, on members that are processes on 127.0.0.1.\n", partitions)
	s.Printf("There is no lock: while views differ a partition may have two workers, or none.\n")
	return s.Run(ctx, atMost, s.start, s.join, s.leave, s.kill, s.account)
}
