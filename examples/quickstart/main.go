// Command quickstart shows clusterkit in a quarter of a minute: six members in three
// zones find each other and agree on the owners of every key. One member crashes and
// comes back, and then a whole zone is lost.
//
// All members run in one process, so that one command is enough. They gossip over real
// sockets, as they would on six machines.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/examples/internal/demo"
)

// patience is how long the whole scenario may take, also on a busy machine.
const patience = 5 * time.Minute

const usage = `Starts a cluster of six members on 127.0.0.1, breaks it, and shows what moves.
Usage: quickstart [-serve] [-v]
`

func main() {
	demo.Usage(usage)
	serve := flag.Bool("serve", false, "keep the survivors up until Ctrl-C, and print what to ask them")
	verbose := flag.Bool("v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "quickstart: unexpected argument %q, see -h\n", flag.Arg(0))
		os.Exit(2)
	}

	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	demo.Exit(run(ctx, os.Stdout, demo.Logger(*verbose), *serve), "quickstart: ")
}

// run runs the scenario, step by step.
func run(ctx context.Context, out io.Writer, logger *slog.Logger, serve bool) error {
	s := &scenario{
		Screen: demo.Screen{Out: out},
		logger: logger,
		keys:   []string{"user:42", "user:43", "cart:6", "order:7", "invoice:88"},
	}
	defer func() { stop(s.members) }()
	s.Printf("clusterkit: six members, three zones, one process, real gossip on 127.0.0.1\n")
	err := s.Run(ctx, patience,
		s.start,
		func(ctx context.Context) error {
			return s.crash(ctx, "n2 crashes: it stops answering, without notice.", "n2")
		},
		func(ctx context.Context) error { return s.restart(ctx, "n2", "a") },
		func(ctx context.Context) error {
			return s.crash(ctx, "Zone b goes dark: n3 and n4 crash together.", "n3", "n4")
		},
		s.compare,
	)
	if err == nil && serve {
		s.invite()
		<-ctx.Done()
	}
	return err
}
