package demo

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
)

// Usage has -h print a text and the flags.
func Usage(text string) {
	flag.Usage = func() {
		_, _ = fmt.Fprint(flag.CommandLine.Output(), text)
		flag.PrintDefaults()
	}
}

// Exit ends the program: with 0 when there is no error, or help was asked for,
// otherwise with 1 and the error, behind a prefix, on standard error.
func Exit(err error, prefix string) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, prefix+err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// Logger returns a logger for what a member has to say: to standard error, or to
// nowhere.
func Logger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}
