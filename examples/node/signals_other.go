//go:build !unix

package main

import "os"

// actions are none: there are no such signals.
func actions() map[os.Signal]action { return nil }
