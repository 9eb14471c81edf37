//go:build !unix

package main

import "syscall"

// No signal stops a process here: the step that needs them fails, and says so.
const (
	stopSignal     = syscall.Signal(19)
	continueSignal = syscall.Signal(18)
)
