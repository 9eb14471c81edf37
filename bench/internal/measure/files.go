package measure

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// csvColumns are those of the CSV file. Times are in nanoseconds an operation;
// a figure that does not apply is empty.
var csvColumns = []struct {
	name  string
	value func(Result) string
}{
	{"group", func(r Result) string { return r.Case.Group }},
	{"case", func(r Result) string { return r.Case.Name }},
	{"role", func(r Result) string { return [...]string{"", "floor", "reference"}[r.Case.Role] }},
	{"goroutines", func(r Result) string { return strconv.Itoa(r.Case.goroutines()) }},
	{"rounds", func(r Result) string { return strconv.Itoa(len(r.Times)) }},
	{"operations_a_round", func(r Result) string { return strconv.Itoa(r.N) }},
	{"ns_median", func(r Result) string { return decimal(r.Time().Median) }},
	{"ns_low_quartile", func(r Result) string { return decimal(r.Time().Low) }},
	{"ns_high_quartile", func(r Result) string { return decimal(r.Time().High) }},
	{"over_floor_median", func(r Result) string { return ratio(r.ToFloor, r.Floors().Median) }},
	{"over_floor_low_quartile", func(r Result) string { return ratio(r.ToFloor, r.Floors().Low) }},
	{"over_floor_high_quartile", func(r Result) string { return ratio(r.ToFloor, r.Floors().High) }},
	{"over_reference_median", func(r Result) string { return ratio(r.ToReference, r.References().Median) }},
	{"over_reference_low_quartile", func(r Result) string { return ratio(r.ToReference, r.References().Low) }},
	{"over_reference_high_quartile", func(r Result) string { return ratio(r.ToReference, r.References().High) }},
	{"allocs_an_operation", func(r Result) string { return decimal(r.Allocs) }},
	{"bytes_an_operation", func(r Result) string { return decimal(r.Bytes) }},
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

func ratio(samples []float64, v float64) string {
	if samples == nil {
		return ""
	}
	return decimal(v)
}

// Touch creates files, those that have a name, so that a name that cannot be
// written to is known before a run.
func Touch(names ...string) error {
	for _, name := range names {
		if name == "" {
			continue
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// WriteCSV writes the columns' names and a record for each result.
func WriteCSV(out io.Writer, results []Result) error {
	w := csv.NewWriter(out)
	record := make([]string, len(csvColumns))
	for i, c := range csvColumns {
		record[i] = c.name
	}
	if err := w.Write(record); err != nil {
		return err
	}
	for _, r := range results {
		for i, c := range csvColumns {
			record[i] = c.value(r)
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// benchstatLines is how many lines a case has at most for benchstat, to which
// more of them mean little.
const benchstatLines = 15

// WriteBenchstat writes the samples in the Go benchmark format, as benchstat
// reads it, after a head that describes the machine. Of many rounds each line
// is the median of as many that followed each other.
func WriteBenchstat(out io.Writer, m Machine, pkg string, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: %s\n", m.OS, m.Arch, pkg)
	if m.CPU != "" {
		fmt.Fprintf(&b, "cpu: %s\n", m.CPU)
	}
	fmt.Fprintf(&b, "toolchain: %s\n", m.Go)
	for _, r := range results {
		name := benchmarkName(r.Case.Group) + "/" + benchmarkName(r.Case.Name)
		if m.Procs != 1 {
			name += fmt.Sprintf("-%d", m.Procs)
		}
		for some := range slices.Chunk(r.Times, (len(r.Times)+benchstatLines-1)/benchstatLines) {
			t := SpreadOf(some).Median
			fmt.Fprintf(&b, "Benchmark%s %d %s ns/op %.0f B/op %.0f allocs/op\n", name, r.N, strconv.FormatFloat(t, 'g', 6, 64), r.Bytes, r.Allocs)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// benchmarkName is a name without what would end it. Its first letter is large,
// which the format asks of the first part.
func benchmarkName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '/' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
