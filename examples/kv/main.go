// Command kv is a replicated key-value store in memory, over HTTP, and the bed
// on which it is tested: real processes under load that are restarted, drained,
// added, killed and stopped, while no acknowledged write may be lost.
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

	"github.com/clusterkit/clusterkit/examples/internal/stage"
)

const usage = `Starts a replicated store of five members on 127.0.0.1, as processes, puts load on
it, restarts, adds, drains, kills and stops members, and in the end looks for every
write that was acknowledged. The exit status is 1 when one is lost.
Usage: kv [-short | -full] [-v]
       kv member -h       one member alone
`

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // who is asked again ends at once
	if len(os.Args) > 1 && os.Args[1] == "member" {
		s, err := memberFlags(os.Args[2:])
		if err == nil {
			err = runMember(ctx, s, os.Stdin, os.Stdout, stage.Logger(s.verbose || os.Getenv(verboseEnv) != ""))
		}
		stage.Exit(err, "kv member: ")
	}
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	short := flag.Bool("short", false, "less of everything, for tests")
	full := flag.Bool("full", false, "all of it: every member killed, one stopped for 20 seconds")
	verbose := flag.Bool("v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 || *short && *full {
		fmt.Fprintf(os.Stderr, "kv: unexpected arguments %q, or -short with -full, see -h\n", flag.Args())
		os.Exit(2)
	}
	if *verbose {
		_ = os.Setenv(verboseEnv, "1") // the members inherit it; a valid name cannot fail
	}
	story, limit := usual, 3*time.Minute
	switch {
	case *short:
		story, limit = brief, 2*time.Minute
	case *full:
		story, limit = whole, 10*time.Minute
	}
	stage.Exit(run(ctx, os.Stdout, story, limit), "kv: ")
}

const verboseEnv = "KV_VERBOSE"

// The stories that can be told. The first acts are the same in all.
var (
	brief = []act{(*bed).roll, scale(3, 5, 3), kill(1)}
	usual = []act{(*bed).roll, scale(3, 7, 4), (*bed).metadata, kill(2), pause(10 * time.Second)}
	whole = []act{(*bed).roll, scale(3, 7, 4, 5), (*bed).metadata, kill(5), pause(20 * time.Second), pause(2 * time.Second), (*bed).roll}
)

// run tells a story, act by act.
func run(ctx context.Context, out io.Writer, story []act, limit time.Duration) error {
	b := newBed(stage.Screen{Out: out})
	defer b.end()
	b.Printf("A replicated store, each member a process, on 127.0.0.1.\n")
	story = slices.Concat([]act{(*bed).start}, story, []act{(*bed).check})
	acts := make([]func(context.Context) error, 0, len(story))
	for _, act := range story {
		acts = append(acts, func(ctx context.Context) error { return act(b, ctx) })
	}
	return b.Play(ctx, limit, acts...)
}
