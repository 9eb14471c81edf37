// Command kv is a replicated key-value store in memory, over HTTP, and the scenario
// that tests it: real processes under load that are restarted, drained, added,
// killed and stopped, while no acknowledged write may be lost.
//
// kv member is one member, for several terminals or machines.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

const usage = `Starts a replicated store of five members on 127.0.0.1, as processes, puts load on
it, restarts, adds, drains, kills and stops members, and in the end looks for every
write that was acknowledged. The exit status is 1 when one is lost.
Usage: kv [-short | -full] [-v]
       kv member -h       one member alone
`

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // a second signal ends the program at once
	if len(os.Args) > 1 && os.Args[1] == "member" {
		s, err := memberFlags(os.Args[2:])
		if err == nil {
			err = runMember(ctx, s, os.Stdin, os.Stdout, demo.Logger(s.verbose || os.Getenv(verboseEnv) != ""))
		}
		demo.Exit(err, "kv member: ")
	}
	demo.Usage(usage)
	short := flag.Bool("short", false, "less of everything, for tests")
	full := flag.Bool("full", false, "all of it: every member killed, one stopped for 20 seconds")
	verbose := flag.Bool("v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 || *short && *full {
		fmt.Fprintf(os.Stderr, "kv: unexpected arguments %q, or -short with -full, see -h\n", flag.Args())
		os.Exit(2)
	}
	if *verbose {
		_ = os.Setenv(verboseEnv, "1") // the members inherit it; a valid name causes no error
	}
	f := usual
	switch {
	case *short:
		f = brief
	case *full:
		f = whole
	}
	demo.Exit(run(ctx, os.Stdout, f), "kv: ")
}

const verboseEnv = "KV_VERBOSE"

// form is the length of the scenario. The first and the last step are the same in all
// forms.
type form struct {
	between []step
	limit   time.Duration // the limit for all steps together, also on a busy machine
	gap     time.Duration // how long a key may be unreadable
	pace    int           // how many times longer the pauses of the load are
}

// The short form is for tests, which run on busy machines. There a crash is noticed
// later, and a key is unreadable for longer.
var (
	brief = form{[]step{(*scenario).roll, scale(3, 5, 3), kill(1)}, 7 * time.Minute, 2 * time.Minute, briefPace}
	usual = form{[]step{(*scenario).roll, scale(3, 7, 4), (*scenario).metadata, kill(2), pause(10 * time.Second)}, 10 * time.Minute, gapBound, 1}
	whole = form{[]step{
		(*scenario).roll, scale(3, 7, 4, 5), (*scenario).metadata, kill(5),
		pause(20 * time.Second), pause(2 * time.Second), (*scenario).roll,
	}, 20 * time.Minute, gapBound, 1}
)

// run runs the scenario, step by step.
func run(ctx context.Context, out io.Writer, f form) error {
	sc := newScenario(demo.Screen{Out: out}, f)
	defer sc.end()
	sc.Printf("A replicated store, each member a process, on 127.0.0.1.\n")
	all := slices.Concat([]step{(*scenario).start}, f.between, []step{(*scenario).check})
	steps := make([]func(context.Context) error, 0, len(all))
	for _, step := range all {
		steps = append(steps, func(ctx context.Context) error { return step(sc, ctx) })
	}
	return sc.Run(ctx, f.limit, steps...)
}
