// Command zonerouter shows requests finding the owners of their keys: six members
// in three zones, each a process of its own with a router in front of its service.
// It prints what preferring the own zone does to latency and to traffic between
// zones, and then kills a whole zone under load.
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

	"github.com/clusterkit/clusterkit/examples/internal/stage"
)

// patience is how long the whole show may take on a slow machine.
const patience = 90 * time.Second

const usage = `Starts six members in three zones on 127.0.0.1, as processes, sends them requests,
and kills a zone.
Usage: zonerouter [-short] [-link 2ms] [-v]
`

// settings are what the flags say.
type settings struct {
	link    time.Duration // what a hop from zone to zone takes
	turn    time.Duration // how long each load lasts
	verbose bool
	member  memberSettings
}

func main() {
	var s settings
	var short bool
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.BoolVar(&short, "short", false, "shorter loads, for tests")
	flag.DurationVar(&s.link, "link", 2*time.Millisecond, "what a request to another zone is made to wait; loopback has no distances")
	flag.BoolVar(&s.verbose, "v", false, "show what the library logs, on standard error")
	flag.StringVar(&s.member.id, "member", "", "be this member (used by the command itself, as are the next two)")
	flag.StringVar(&s.member.zone, "zone", "", "its zone")
	flag.StringVar(&s.member.join, "join", "", "where it finds the others")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "zonerouter: unexpected argument %q, see -h\n", flag.Arg(0))
		os.Exit(2)
	}
	s.turn = 3 * time.Second
	if short {
		s.turn = time.Second
	}

	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if s.member.id != "" {
		stage.Exit(runMember(ctx, s, os.Stdin, os.Stdout), "zonerouter: ")
	}
	stage.Exit(run(ctx, s, os.Stdout), "zonerouter: ")
}

// run tells the story, act by act.
func run(ctx context.Context, s settings, out io.Writer) error {
	sh := &show{Screen: stage.Screen{Out: out}, settings: s}
	defer sh.end()
	sh.Printf("clusterkit: six members, three zones, a process and a router each, on 127.0.0.1\n")
	return sh.Play(ctx, patience, sh.start, sh.compare, sh.loseZone, sh.carryOn)
}
