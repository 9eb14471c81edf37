// Package usercode calls code that the user of the library provides, such as a strategy, a
// Discovery or a Mover. A panic of that code, or a [runtime.Goexit], must end neither the process
// nor a goroutine of the library. Both become an [Error].
//
//   - [Call] calls a function on the goroutine of its caller, which the function may still end.
//   - [Run] does so as the last call of a goroutine, and reports that the function has ended it.
//   - [Await] calls a function on a goroutine of its own, and waits.
//
// It is for the packages of this module, and may change in any release.
package usercode

import (
	"fmt"
	"runtime/debug"
)

// Error says that a function did not return.
type Error struct {
	// Panic is the value of the panic. It is nil when the function ended its goroutine.
	Panic any
	// Stack is the stack of the panic.
	Stack string
}

// Error says whether the function panicked or ended its goroutine.
func (e *Error) Error() string {
	if e.Panic == nil {
		return "the call ended its goroutine with runtime.Goexit: it must return"
	}
	return fmt.Sprintf("panic: %v", e.Panic)
}

// Call calls a function, and returns its error. A panic is an [Error].
func Call(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Error{Panic: v, Stack: string(debug.Stack())}
		}
	}()
	return call()
}

// Run calls a function, and passes its error to ended. A panic is an [Error], and so is a call that
// ends the goroutine. A goroutine must call nothing after Run, because it may have ended.
func Run(call func() error, ended func(error)) {
	var err error = &Error{}
	defer func() { ended(err) }()
	err = Call(call)
}

// Await calls a function on a goroutine of its own, and returns its error when that goroutine has
// ended. The errors are those of [Run].
func Await(call func() error) error {
	ended := make(chan error, 1)
	go Run(call, func(err error) { ended <- err })
	return <-ended
}
