package main

import (
	"errors"
	"fmt"
	"slices"
)

// errUnfit says that an adapter has nothing to measure at some size, and why.
var errUnfit = errors.New("left out")

// gateKeys is how many keys a work must place correctly before it is timed.
const gateKeys = 1024

// check asks a work about keys and returns what is wrong with the answers: not
// as many distinct members as wanted, somebody who is no member, another answer
// the second time, or a loop that does not do what was checked. A panic is an
// answer as well.
func (w *work) check(members []string, k keys, want int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if w.owners == nil { // the floor
		_, err := w.loop(k)
		return err
	}
	known := make(map[string]bool)
	for _, id := range members {
		known[id] = true
	}
	sum := 0
	for i := range k.len() {
		one := k.part(i, i+1)
		owners, err := w.owners(one)
		if err != nil {
			return fmt.Errorf("key %q: %w", one.text[0], err)
		}
		if err := distinct(owners, known, want); err != nil {
			return fmt.Errorf("key %q: %w", one.text[0], err)
		}
		for _, id := range owners {
			sum += len(id)
		}
		again, err := w.owners(one)
		if err != nil {
			return fmt.Errorf("key %q, asked again: %w", one.text[0], err)
		}
		if !slices.Equal(owners, again) {
			return fmt.Errorf("key %q: owners are %q, and %q when asked again", one.text[0], owners, again)
		}
	}
	timed, err := w.loop(k)
	if err != nil {
		return err
	}
	if timed != sum {
		return fmt.Errorf("the timed loop comes to %d, the owners to %d", timed, sum)
	}
	return nil
}

// distinct returns an error unless there are as many owners as wanted, all of
// them different and known.
func distinct(owners []string, known map[string]bool, want int) error {
	if len(owners) != want {
		return fmt.Errorf("owners are %q, want %d", owners, want)
	}
	for i, id := range owners {
		if !known[id] {
			return fmt.Errorf("owners are %q, and %q is no member", owners, id)
		}
		if slices.Contains(owners[:i], id) {
			return fmt.Errorf("owners are %q, want distinct ones", owners)
		}
	}
	return nil
}
