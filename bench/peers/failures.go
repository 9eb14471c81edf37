package main

import (
	"errors"
	"fmt"
	"sync"
)

// failures are errors that came up while the clock ran, after the gate.
type failures struct {
	mu    sync.Mutex
	first map[string]error
}

// of returns a function that notes the failure of a case.
func (f *failures) of(group, name string) func(error) {
	return func(err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.first == nil {
			f.first = make(map[string]error)
		}
		if at := group + ": " + name; f.first[at] == nil {
			f.first[at] = err
		}
	}
}

// err returns them all, nil when there were none.
func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]error, 0, len(f.first))
	for at, err := range f.first {
		all = append(all, fmt.Errorf("%s: %w", at, err))
	}
	return errors.Join(all...)
}
