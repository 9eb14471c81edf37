// Package demo has the common parts of the scenarios of the examples: a screen that
// shows their steps, and members in processes of their own. It is not meant to be
// copied: the code to copy is in the examples.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Screen prints for a terminal of 80 columns. It is not safe for concurrent use.
type Screen struct {
	Out   io.Writer
	began time.Time // when the present step began
	steps int       // the number of steps so far
}

// Printf prints as fmt.Printf does.
func (s *Screen) Printf(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format, args...) }

// Run runs the steps of a scenario one after the other, up to the first that fails, and
// prints at the end how long they took. The steps get a context that ends with ctx, or
// after the limit for all steps together. An error names the step that failed. When ctx
// has ended, the error says only that the scenario was interrupted.
func (s *Screen) Run(ctx context.Context, limit time.Duration, steps ...func(context.Context) error) error {
	began := time.Now()
	running, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the scenario took longer than %v", limit))
	defer cancel()
	for _, step := range steps {
		if err := step(running); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return fmt.Errorf("step %d: %w", s.steps, err)
		}
	}
	s.Printf("\nAll of it held, in %.1f seconds.\n", time.Since(began).Seconds())
	return nil
}

// Step begins a step.
func (s *Screen) Step(title string) {
	s.began = time.Now()
	s.steps++
	s.Printf("\n%d. %s\n\n", s.steps, title)
}

// News prints an event with its time within the step.
func (s *Screen) News(at time.Time, format string, args ...any) {
	s.Printf("   %+.1fs  %s\n", at.Sub(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// Fact prints a line of a summary.
func (s *Screen) Fact(name, format string, args ...any) {
	s.Printf("   %-13s %s\n", name, fmt.Sprintf(format, args...))
}
