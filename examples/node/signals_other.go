//go:build !unix

package main

import "os"

// actions is empty, because this system has no such signals.
func actions() map[os.Signal]action { return nil }
