package measure

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows of text under a heading: names to the left, figures to the right.
type Table struct {
	Title string
	// Head names the columns; every row has as many cells.
	Head []string
	Rows [][]string
	// Note is a sentence below the table; empty for none.
	Note string
}

// Tables returns a table for each group.
func Tables(results []Result) []Table {
	groups := Groups(results)
	tables := make([]Table, len(groups))
	for i, group := range groups {
		tables[i] = Table{Title: group[0].Case.Group, Head: heading(group), Rows: cells(group), Note: Verdict(group)}
	}
	return tables
}

// WriteTable prints a table for each group, for a terminal.
func WriteTable(out io.Writer, results []Result) error {
	for _, t := range Tables(results) {
		if err := t.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown prints the same tables for a page, each under a heading of a
// level.
func WriteMarkdown(out io.Writer, results []Result, level int) error {
	for _, t := range Tables(results) {
		if err := t.WriteMarkdown(out, level); err != nil {
			return err
		}
	}
	return nil
}

// Write prints the table for a terminal, after an empty line.
func (t Table) Write(out io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(t.Title))
	rows := append([][]string{t.Head}, t.Rows...)
	widths := make([]int, len(t.Head))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			gap := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + gap)
			} else {
				b.WriteString("  " + gap + cell)
			}
		}
		b.WriteByte('\n')
	}
	if t.Note != "" {
		b.WriteString(t.Note + "\n")
	}
	_, err := out.Write(b.Bytes())
	return err
}

// WriteMarkdown prints the table for a page under a heading of a level, after an
// empty line.
func (t Table) WriteMarkdown(out io.Writer, level int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n%s %s\n\n", strings.Repeat("#", level), t.Title)
	writeRow(&b, t.Head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(t.Head)-1) + "\n")
	for _, row := range t.Rows {
		writeRow(&b, row)
	}
	if t.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", t.Note)
	}
	_, err := out.Write(b.Bytes())
	return err
}

func writeRow(b *bytes.Buffer, row []string) {
	for _, cell := range row {
		b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

// heading names the columns that a group has.
func heading(group []Result) []string {
	head := []string{"", "time", "quartiles"}
	if group[0].ToFloor != nil {
		head = append(head, "/floor", "quartiles")
	}
	if group[0].ToReference != nil {
		head = append(head, "/reference")
	}
	return append(head, "allocs", "bytes")
}

func cells(group []Result) [][]string {
	rows := make([][]string, 0, len(group))
	for _, r := range group {
		t, unit := r.Time(), unitOf(r.Time().Median)
		name := r.Case.Name
		switch r.Case.Role {
		case Floor:
			name += " (floor)"
		case Reference:
			name += " (reference)"
		}
		row := []string{name, Duration(t.Median), digits(t.Low/unit.ns) + "–" + digits(t.High/unit.ns)}
		if f := r.Floors(); r.ToFloor != nil {
			row = append(row, digits(f.Median), digits(f.Low)+"–"+digits(f.High))
		}
		if r.ToReference != nil {
			row = append(row, digits(r.References().Median))
		}
		rows = append(rows, append(row, count(r.Allocs), count(r.Bytes)))
	}
	return rows
}

// Verdict says how the fastest plain case of a group compares with the
// reference; empty when the group has not both.
func Verdict(group []Result) string {
	best, ok := Best(group)
	if !ok || best.ToReference == nil {
		return ""
	}
	reference := ""
	for _, r := range group {
		if r.Case.Role == Reference {
			reference = r.Case.Name
		}
	}
	return fmt.Sprintf("The fastest beside the reference, %s, takes %s times as long as %s.",
		best.Case.Name, digits(best.References().Median), reference)
}

type unit struct {
	ns   float64
	name string
}

func unitOf(ns float64) unit {
	switch {
	case ns < 1e3:
		return unit{1, "ns"}
	case ns < 1e6:
		return unit{1e3, "µs"}
	case ns < 1e9:
		return unit{1e6, "ms"}
	}
	return unit{1e9, "s"}
}

// Duration is a number of nanoseconds in three digits and a unit.
func Duration(ns float64) string {
	u := unitOf(ns)
	return digits(ns/u.ns) + " " + u.name
}

// digits is a number in three digits or as many as it has before the point.
func digits(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// count is a number of allocations or bytes an operation. What is far from one
// in a hundred operations is the rest of the process.
func count(v float64) string {
	switch {
	case v < 0.005:
		return "0"
	case v < 0.095:
		return fmt.Sprintf("%.2f", v)
	case v < 0.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
