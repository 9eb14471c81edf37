// Command bench measures clusterkit and prints reports. Each subcommand is a
// report, and -h lists them. Without arguments it runs lookup -quick.
//
//	go run ./bench
//	go run ./bench lookup
//	go run ./bench placement -quick
//
// Counts are the same on every machine. Times depend on the machine, which the report
// describes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

const usage = `Measures clusterkit and prints a report.

Usage: bench <report> [flags]

  lookup     how long it takes to find the owners of a key, and everything around it
  placement  balance, movement and spread of every built-in strategy

bench <report> -h lists the flags of a report; bench alone is bench lookup -quick.
`

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the report that the first argument names. It writes the report to out, and
// to progress the name of each group that it measures.
func run(args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		args = []string{"lookup", "-quick"}
		_, _ = fmt.Fprintln(progress, "running: bench lookup -quick; bench -h lists what else there is")
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		_, err := io.WriteString(out, usage)
		return err
	case "lookup":
		return lookup(usualSizes).Main(context.Background(), args[1:], out, progress)
	case "placement":
		return runPlacement(args[1:], layouts, out, progress)
	}
	return fmt.Errorf("no report is called %q, bench -h lists them", args[0])
}
