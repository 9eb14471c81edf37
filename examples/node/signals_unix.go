//go:build unix

package main

import (
	"os"
	"syscall"
)

// actions are the actions of a running member, by signal.
func actions() map[os.Signal]action {
	return map[os.Signal]action{syscall.SIGUSR1: drain, syscall.SIGUSR2: resume, syscall.SIGHUP: reweigh}
}
