package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// showVersion prints the version of this program, the revision that it was built from where the
// build knows it, and the version of Go.
func showVersion(out io.Writer) error {
	version, revision := "(unknown)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = ", revision " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(out, "node %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
