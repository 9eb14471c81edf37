//go:build unix

package main

import (
	"os"
	"syscall"
)

// actions are what signals ask of a member that goes on running.
func actions() map[os.Signal]action {
	return map[os.Signal]action{syscall.SIGUSR1: drain, syscall.SIGUSR2: resume, syscall.SIGHUP: reweigh}
}
