package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/clusterkit/clusterkit/bench/internal/measure"
)

// report is everything that came of a run.
type report struct {
	machine  measure.Machine
	options  options
	members  int // of the scenario that the profiles are of
	profiles []profile
	results  []measure.Result
}

// heading says what was run, and where.
func (r report) heading() string {
	return fmt.Sprintf("%s\n%d rounds of samples of %v; medians with their quartiles",
		r.machine, r.options.rounds, r.options.sample)
}

const legend = `
time        of one look-up, or of one key of a batch: how long a sample took over the look-ups of all goroutines
/floor      the same over the time of the hash alone in the same round
/reference  over clusterkit in the same round: how many times as long it takes
allocs      allocations a look-up; the collector runs between rounds and is charged to nobody
`

// print writes the report for a terminal.
func (r report) print(out io.Writer) error {
	if _, err := fmt.Fprintln(out, r.heading()); err != nil {
		return err
	}
	if err := writeProfiles(out, r.profiles, r.members); err != nil {
		return err
	}
	if err := measure.WriteTable(out, shown(r.results)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\nWHAT CLUSTERKIT AIMS AT\n", legend); err != nil {
		return err
	}
	return writeClaims(out, shown(r.results), "")
}

// mark writes the report for a page.
func (r report) mark(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "\n%s.\n\n", r.heading()); err != nil {
		return err
	}
	if err := writeClaims(out, shown(r.results), "- "); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	if err := markProfiles(out, r.profiles, r.members); err != nil {
		return err
	}
	if err := measure.WriteMarkdown(out, shown(r.results), 3); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

// shown are the results with the roles that a reader should see them in. While
// they are measured only one case of a group can be the floor and one the
// reference; but all that is clusterkit's, or does no look-up, is no peer.
func shown(results []measure.Result) []measure.Result {
	results = slices.Clone(results)
	for i := range results {
		switch kindOf(results[i].Case.Name) {
		case isFloor:
			results[i].Case.Role = measure.Floor
		case isOurs:
			results[i].Case.Role = measure.Reference
		}
	}
	return results
}

// drawn are the results that fit a picture: hot keys at the first size.
func (r report) drawn() []measure.Result {
	return slices.DeleteFunc(shown(r.results), func(result measure.Result) bool {
		return !strings.Contains(result.Case.Group, hotName) || !strings.Contains(result.Case.Group, plural(r.members, "member")+",")
	})
}

// kindOf is the kind of a case, by its name.
func kindOf(name string) kind {
	if name == groupName || name == singleName || name == rebuildName {
		return isOurs
	}
	for _, a := range adapters() {
		if a.name == name {
			return a.kind
		}
	}
	return isPeer
}

// files are the files that are asked for, and what belongs into each.
func (o options) files() map[string]func(io.Writer, report) error {
	all := map[string]func(io.Writer, report) error{
		o.csv: func(out io.Writer, r report) error { return measure.WriteCSV(out, shown(r.results)) },
		o.svg: func(out io.Writer, r report) error {
			return measure.WriteSVG(out, "Who owns this key?", r.machine.String(), r.drawn())
		},
		o.benchstat: func(out io.Writer, r report) error {
			return measure.WriteBenchstat(out, r.machine, "github.com/clusterkit/clusterkit/bench/peers", r.results)
		},
	}
	delete(all, "")
	return all
}

// pageMark is the name of the part of a page that -markdown replaces.
const pageMark = "peers"

// createFiles makes them, so that a name that cannot be written to is known
// before the wait.
func (o options) createFiles() error {
	if o.markdown != "" {
		if err := measure.CheckPage(o.markdown, pageMark); err != nil {
			return err
		}
	}
	return measure.Touch(slices.Collect(maps.Keys(o.files()))...)
}

func (o options) writeFiles(r report) error {
	for name, write := range o.files() {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		err = write(f, r)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	if o.markdown == "" {
		return nil
	}
	var part bytes.Buffer
	if err := r.mark(&part); err != nil {
		return err
	}
	return measure.UpdatePage(o.markdown, pageMark, part.Bytes())
}
