// Command zonerouter shows how requests reach the owners of their keys: six members in
// three zones, each a process of its own with a router in front of its service. It
// compares the latency and the traffic between zones with and without a preference for
// the own zone, and then kills a whole zone under load.
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

// patience is how long the whole scenario may take, also on a busy machine.
const patience = 5 * time.Minute

const usage = `Starts six members in three zones on 127.0.0.1, as processes, sends them requests,
and kills a zone.
Usage: zonerouter [-short] [-link 2ms] [-v]
       zonerouter member -h    one member alone
`

// settings are the values of the flags.
type settings struct {
	link    time.Duration // the time of a hop from zone to zone
	turn    time.Duration // how long each load lasts
	verbose bool
}

// memberArgs returns the arguments that pass the settings to a member.
func (s settings) memberArgs() []string {
	args := []string{"-link", s.link.String()}
	if s.verbose {
		args = append(args, "-v")
	}
	return args
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if len(os.Args) > 1 && os.Args[1] == "member" {
		demo.Exit(runMember(ctx, os.Args[2:], os.Stdin, os.Stdout), "zonerouter member: ")
	}
	var s settings
	var short bool
	demo.Usage(usage)
	flag.BoolVar(&short, "short", false, "shorter loads, for tests")
	flag.DurationVar(&s.link, "link", 2*time.Millisecond, "what a request to another zone is made to wait; loopback has no distances")
	flag.BoolVar(&s.verbose, "v", false, "show what the library logs, on standard error")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "zonerouter: unexpected argument %q, see -h\n", flag.Arg(0))
		os.Exit(2)
	}
	s.turn = 3 * time.Second
	if short {
		s.turn = time.Second
	}
	demo.Exit(run(ctx, s, os.Stdout), "zonerouter: ")
}

// run runs the scenario, step by step.
func run(ctx context.Context, s settings, out io.Writer) error {
	sc := &scenario{Screen: demo.Screen{Out: out}, settings: s}
	defer sc.end()
	sc.Printf("clusterkit: six members, three zones, a process and a router each, on 127.0.0.1\n")
	return sc.Run(ctx, patience, sc.start, sc.compare, sc.loseZone, sc.carryOn)
}
