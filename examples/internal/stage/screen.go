// Package stage is what the demonstrations among the examples have in common: a
// screen to tell a story on, act by act, and members that are processes of their
// own. It is nothing to copy; what is to be copied stands beside it, in the examples.
package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Screen prints for a terminal of 80 columns. It is not safe for concurrent use.
type Screen struct {
	Out  io.Writer
	act  time.Time // when the present act began
	acts int
}

// Printf prints as fmt.Printf does.
func (s *Screen) Printf(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format, args...) }

// Play plays acts one after the other, up to the first that fails, all of them
// within a limit, and says in the end how long they took. They get a context that ends
// at the limit, or with ctx; when it was ctx, the error says no more than that the
// story was interrupted.
func (s *Screen) Play(ctx context.Context, limit time.Duration, acts ...func(context.Context) error) error {
	began := time.Now()
	playing, cancel := context.WithTimeoutCause(ctx, limit, errors.New("it took too long"))
	defer cancel()
	for _, act := range acts {
		if err := act(playing); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return err
		}
	}
	s.Printf("\nAll of it held, in %.1f seconds.\n", time.Since(began).Seconds())
	return nil
}

// Title begins an act.
func (s *Screen) Title(text string) {
	s.act = time.Now()
	s.acts++
	s.Printf("\n%d. %s\n\n", s.acts, text)
}

// News is something that happened at some time of the act.
func (s *Screen) News(at time.Time, format string, args ...any) {
	s.Printf("   %+.1fs  %s\n", at.Sub(s.act).Seconds(), fmt.Sprintf(format, args...))
}

// Fact is a line of a summary.
func (s *Screen) Fact(name, format string, args ...any) {
	s.Printf("   %-13s %s\n", name, fmt.Sprintf(format, args...))
}
