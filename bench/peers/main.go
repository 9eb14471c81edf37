// Command peers times clusterkit against other Go libraries that find the owners of
// a key.
//
//	go run -C bench/peers . -quick
//	go run -C bench/peers . balance
//	go run -C bench/peers . schemes
//
// The second form prints how evenly each library spreads keys over members. The third one
// compares the strategies with published schemes by balance and movement, which takes some minutes.
//
// Each library is used as its documentation shows; README.md says how. A library
// that gives a wrong answer is not timed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if len(os.Args) == 2 && os.Args[1] == "balance" {
		err = balance(adapters(), os.Stdout)
	} else if len(os.Args) == 2 && os.Args[1] == "schemes" {
		err = errors.Join(compareSchemes(schemes, schemeSeeds, schemeMembers, schemePartitions, os.Stdout),
			compareSlacks(slacks, slackSizes, 3, os.Stdout))
	} else {
		err = peers(sizes, adapters(), os.Stderr).Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// size is the size of a cluster.
type size struct{ members, partitions int }

// sizes are measured one after the other. The libraries of one size are released
// before those of the next are built.
var sizes = []size{{50, 4096}, {1000, 65_536}}

// peers is the report on some libraries. It writes to tell which libraries it leaves
// out, and why.
func peers(sizes []size, list []adapter, tell io.Writer) measure.Report {
	return measure.Report{
		Name: "peers", Title: "Against other libraries", Rounds: 21, QuickRounds: 5, HoldCollector: true,
		About: "Times clusterkit against other Go libraries that find the owners of a key.",
		Notes: "bench/peers/README.md says what is compared, and how.",
		Parts: func(bool) []measure.Part {
			var parts []measure.Part
			for _, s := range sizes {
				var sc *scenario
				parts = append(parts, measure.Part{
					Name: fmt.Sprintf("%d members", s.members), Summary: fmt.Sprintf("lookups and batches, %d partitions", s.partitions),
					Cases: func() (cases []measure.Case, err error) {
						sc = newScenario(s, list, tell)
						batches, err := sc.batches()
						return append(sc.lookups(), batches...), err
					},
					End: func() { sc.end() },
				})
			}
			last := sizes[len(sizes)-1]
			return append(parts, measure.Part{
				Name: "changes", Summary: fmt.Sprintf("a member joins %d, or leaves them", last.members),
				Cases: func() ([]measure.Case, error) { return rebuilds(last) },
			})
		},
		Drawn: func(r measure.Result) bool { // only hot keys, at the first size
			return strings.Contains(r.Case.Group, fmt.Sprintf("%s, %d members,", hotName, sizes[0].members))
		},
	}
}
