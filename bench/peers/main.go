// Command peers times clusterkit against the other libraries of Go that say who
// owns a key.
//
//	go run -C bench/peers . -quick
//
// Everything asked is answered by each library in the way that its documentation
// shows; README.md says which. Who gives a wrong answer is not timed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are what the command line asks for.
type options struct {
	quick              bool
	csv, svg, markdown string
	benchstat          string
	only               string
	rounds             int
	sample             time.Duration
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.BoolVar(&o.quick, "quick", false, "a look in less than a minute: few rounds of short samples")
	flags.IntVar(&o.rounds, "rounds", 0, "how many `samples` each case has (default 21, with -quick 5)")
	flags.DurationVar(&o.sample, "sample", 0, "how `long` a sample is (default 20ms, with -quick 2ms)")
	flags.StringVar(&o.only, "only", "", "only the tables with this `text` in their titles, such as \"2 goroutines\" or join")
	flags.StringVar(&o.csv, "csv", "", "also write every figure to this `file`")
	flags.StringVar(&o.svg, "svg", "", "also draw hot keys, as ratios to the floor, into this `file`")
	flags.StringVar(&o.markdown, "markdown", "", "also put the tables between the lines <!-- begin peers --> and <!-- end peers --> of this `file`")
	flags.StringVar(&o.benchstat, "benchstat", "", "also write every sample to this `file`, as benchstat reads it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q, see -h", flags.Arg(0))
	}
	if o.rounds < 0 || o.sample < 0 {
		return o, fmt.Errorf("-rounds is %d and -sample %v, neither may be negative", o.rounds, o.sample)
	}
	if o.rounds == 0 {
		if o.rounds = 21; o.quick {
			o.rounds = 5
		}
	}
	if o.sample == 0 {
		if o.sample = measure.DefaultSample; o.quick {
			o.sample = 2 * time.Millisecond
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if err := o.createFiles(); err != nil {
		return err
	}
	report, err := o.measure(ctx, sizes, adapters(), progress)
	if err != nil {
		return err
	}
	if err := report.print(out); err != nil {
		return err
	}
	return o.writeFiles(report)
}
