package demo

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
)

// Usage makes -h print a text and the flags.
func Usage(text string) {
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), text)
		flag.PrintDefaults()
	}
}

// Exit ends the program: with 0 when there is no error or help was printed. Otherwise
// it prints the error after a prefix on standard error, and ends with 1.
func Exit(err error, prefix string) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, prefix+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// Logger returns a logger for a member: to standard error, or one that discards.
func Logger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}
