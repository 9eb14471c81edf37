package measure

import (
	"fmt"
	"io"
	"os"
	"time"
)

// Teller says how far a run is: on a terminal in one line that it rewrites,
// elsewhere in a line for each new task and for each patience that passes.
type Teller struct {
	out         io.Writer
	rewrites    bool
	done, total int
	task        string
	began, told time.Time
}

// patience is how long a task that is not on a terminal may be silent, give or
// take a step.
const patience = 10 * time.Second

// NewTeller returns a teller of a run of so many steps.
func NewTeller(out io.Writer, total int) *Teller {
	t := &Teller{out: out, total: total, began: time.Now()}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		t.rewrites = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return t
}

// Now begins a task.
func (t *Teller) Now(task string) {
	t.task = task
	t.tell()
}

// Step ends one of the steps that a task is made of.
func (t *Teller) Step() { t.reach(t.done + 1) }

// Progress is for [Options.Progress].
func (t *Teller) Progress(group string, done, total int) {
	t.total = total
	if group != t.task {
		t.done = done
		t.Now(group)
		return
	}
	t.reach(done)
}

func (t *Teller) reach(done int) {
	t.done = done
	if t.rewrites || time.Since(t.told) > patience {
		t.tell()
	}
}

func (t *Teller) tell() {
	t.told = time.Now()
	begin, end := "", "\n"
	if t.rewrites {
		begin, end = "\r\x1b[K", ""
	}
	elapsed := time.Since(t.began).Round(time.Second)
	_, _ = fmt.Fprintf(t.out, "%s%3d%% %4s  %s%s", begin, 100*t.done/max(t.total, 1), elapsed, t.task, end)
}

// Clear empties the line, so that something else can be printed.
func (t *Teller) Clear() {
	if t.rewrites {
		_, _ = io.WriteString(t.out, "\r\x1b[K")
	}
}

// End leaves the line empty, or says how long it took.
func (t *Teller) End() {
	if t.rewrites {
		t.Clear()
		return
	}
	_, _ = fmt.Fprintf(t.out, "%3d%% %4s  done\n", 100*t.done/max(t.total, 1), time.Since(t.began).Round(time.Second))
}
