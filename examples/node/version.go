package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is the version that the linker sets: -ldflags "-X main.release=v0.1.0". Empty means that the
// build information has it.
var release string

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
	if release != "" {
		version = release
	}
	_, err := fmt.Fprintf(out, "node %s%s, %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
