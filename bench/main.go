// Command bench measures clusterkit and prints reports. Each subcommand is a
// report, and -h lists them; without arguments it runs lookup -quick.
//
//	go run ./bench
//	go run ./bench lookup
//	go run ./bench placement -quick
//
// What it counts is the same on every machine; what it times is not, and says
// so.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// subcommand is one report. Its run parses the arguments after its name, writes
// the report to out, and tells the reader on progress how far it is.
type subcommand struct {
	name    string
	summary string
	run     func(args []string, out, progress io.Writer) error
}

// subcommands are all reports, in the order of the usage.
var subcommands = []subcommand{
	{"lookup", "who owns a key: how long that takes, and everything around it", runLookup},
	{"placement", "balance, movement and spread of every built-in strategy", runPlacement},
}

// usageError is a mistake on the command line; the message is all there is to
// say about it.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	var mistake *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &mistake):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// byDefault is what runs without arguments: what a reader in a hurry came for.
var byDefault = []string{"lookup", "-quick"}

// run finds the subcommand that the first argument names and runs it.
func run(args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		_, _ = fmt.Fprintf(progress, "running: bench %s; bench -h lists what else there is\n", strings.Join(byDefault, " "))
		args = byDefault
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		return usage(out)
	}
	for _, c := range subcommands {
		if c.name == args[0] {
			return c.run(args[1:], out, progress)
		}
	}
	return &usageError{fmt.Sprintf("no report is called %q, bench -h lists those there are", args[0])}
}

// usage lists the subcommands.
func usage(out io.Writer) error {
	var text strings.Builder
	text.WriteString("Measures clusterkit and prints a report.\n\nUsage: bench <report> [flags]\n\n")
	for _, c := range subcommands {
		fmt.Fprintf(&text, "  %-12s %s\n", c.name, c.summary)
	}
	fmt.Fprintf(&text, "\nbench <report> -h lists the flags of one; bench alone is bench %s.\n", strings.Join(byDefault, " "))
	_, err := io.WriteString(out, text.String())
	return err
}
