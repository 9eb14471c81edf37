package measure

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Table has rows of text under a heading: a name and figures in each.
type Table struct {
	Title string
	// Head names the columns. Every row has the same number of cells.
	Head []string
	Rows [][]string
	// Note is a sentence below the table; empty for none.
	Note string
}

// Write prints the table as Markdown, after an empty line. Its columns are aligned, so
// that it can be read on a terminal too.
func (t Table) Write(out io.Writer) error {
	rows := append([][]string{t.Head, append([]string{"---"}, slices.Repeat([]string{"---:"}, len(t.Head)-1)...)}, t.Rows...)
	width := 0
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[0]))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n### %s\n\n", t.Title)
	columns := tabwriter.NewWriter(&b, 0, 0, 1, ' ', tabwriter.AlignRight|tabwriter.Debug)
	for _, row := range rows {
		// The padding keeps the name at the left of a column that is aligned right.
		_, _ = fmt.Fprintf(columns, "| %-*s \t%s \t\n", width, row[0], strings.Join(row[1:], " \t"))
	}
	_ = columns.Flush() // writing to a Buffer cannot fail
	if t.Note != "" {
		fmt.Fprintf(&b, "\n%s\n", t.Note)
	}
	_, err := out.Write(bytes.ReplaceAll(b.Bytes(), []byte("\n |"), []byte("\n|"))) // the padding of the first column
	return err
}

// Tables returns a table for each group.
func Tables(results []Result) []Table {
	groups := groupsOf(results, groupOf)
	tables := make([]Table, 0, len(groups))
	for _, group := range groups {
		t := Table{Title: group[0].Case.Group, Head: []string{"", "time", "quartiles"}}
		if group[0].ToFloor != nil {
			t.Head = append(t.Head, "/floor", "quartiles")
		}
		if group[0].ToReference != nil {
			t.Head = append(t.Head, "/reference")
		}
		t.Head = append(t.Head, "allocs", "bytes")
		for _, r := range group {
			t.Rows = append(t.Rows, cells(r))
		}
		tables = append(tables, t)
	}
	return tables
}

func cells(r Result) []string {
	name, time := r.Case.Name, r.Time()
	if r.Case.Role != Plain {
		name += " (" + r.Case.Role.String() + ")"
	}
	ns, _ := unit(time.Median)
	row := []string{name, Duration(time.Median), Digits(time.Low/ns) + "–" + Digits(time.High/ns)}
	if f := SpreadOf(r.ToFloor); r.ToFloor != nil {
		row = append(row, Digits(f.Median), Digits(f.Low)+"–"+Digits(f.High))
	}
	if r.ToReference != nil {
		row = append(row, Digits(SpreadOf(r.ToReference).Median))
	}
	return append(row, count(r.Allocs), count(r.Bytes))
}

// unit returns the unit in which a number of nanoseconds is shown.
func unit(ns float64) (size float64, name string) {
	switch {
	case ns < 1e3:
		return 1, "ns"
	case ns < 1e6:
		return 1e3, "µs"
	case ns < 1e9:
		return 1e6, "ms"
	}
	return 1e9, "s"
}

// Duration formats a number of nanoseconds with three digits and a unit.
func Duration(ns float64) string {
	size, name := unit(ns)
	return Digits(ns/size) + " " + name
}

// Digits formats a number with three digits, or with more if there are more before the
// point.
func Digits(v float64) string {
	decimals := 0
	switch {
	case v < 9.995:
		decimals = 2
	case v < 99.95:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// count formats a number of allocations or bytes for each operation. It shows less than
// 1/200 as zero, because the rest of the process allocates as well.
func count(v float64) string {
	decimals := 0
	switch {
	case v < 0.005:
		return "0"
	case v < 0.095:
		decimals = 2
	case v < 0.95:
		decimals = 1
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// Column is one column of a CSV file.
type Column[T any] struct {
	Name  string
	Value func(T) string
}

// WriteCSV writes the columns' names and a record for each row.
func WriteCSV[T any](out io.Writer, columns []Column[T], rows []T) error {
	w := csv.NewWriter(out)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.Name
	}
	_ = w.Write(record) // the Writer stores the error
	for _, row := range rows {
		for i, c := range columns {
			record[i] = c.Value(row)
		}
		_ = w.Write(record)
	}
	w.Flush()
	return w.Error()
}

// Decimal formats a number for CSV files.
func Decimal(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

// columns are the columns of results. Times are in nanoseconds for each operation. A
// figure that does not apply is empty.
func columns() []Column[Result] {
	all := []Column[Result]{
		{"group", func(r Result) string { return r.Case.Group }},
		{"case", func(r Result) string { return r.Case.Name }},
		{"role", func(r Result) string { return r.Case.Role.String() }},
		{"goroutines", func(r Result) string { return strconv.Itoa(r.Case.goroutines()) }},
		{"rounds", func(r Result) string { return strconv.Itoa(len(r.Times)) }},
		{"operations_a_round", func(r Result) string { return strconv.Itoa(r.N) }},
	}
	for _, f := range []struct {
		name    string
		samples func(Result) []float64
	}{
		{"ns", func(r Result) []float64 { return r.Times }},
		{"over_floor", func(r Result) []float64 { return r.ToFloor }},
		{"over_reference", func(r Result) []float64 { return r.ToReference }},
	} {
		column := func(name string, of func(Spread) float64) {
			all = append(all, Column[Result]{f.name + name, func(r Result) string {
				if f.samples(r) == nil {
					return ""
				}
				return Decimal(of(SpreadOf(f.samples(r))))
			}})
		}
		column("_median", func(s Spread) float64 { return s.Median })
		column("_low_quartile", func(s Spread) float64 { return s.Low })
		column("_high_quartile", func(s Spread) float64 { return s.High })
	}
	return append(all,
		Column[Result]{"allocs_an_operation", func(r Result) string { return Decimal(r.Allocs) }},
		Column[Result]{"bytes_an_operation", func(r Result) string { return Decimal(r.Bytes) }})
}
