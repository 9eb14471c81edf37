package measure

import (
	"bytes"
	"fmt"
	"os"
)

// UpdatePage replaces what stands between two marks of a Markdown file,
// <!-- begin name --> and <!-- end name -->, each on a line of its own. A file
// that [CheckPage] refuses is left alone.
func UpdatePage(file, name string, content []byte) error {
	page, from, to, err := between(file, name)
	if err != nil {
		return err
	}
	next := append([]byte{}, page[:from]...)
	next = append(next, content...)
	return os.WriteFile(file, append(next, page[to:]...), 0o644)
}

// CheckPage returns an error when a file cannot be read, or the marks do not
// stand in it once each, in their order.
func CheckPage(file, name string) error {
	_, _, _, err := between(file, name)
	return err
}

// between finds what stands between the marks.
func between(file, name string) (page []byte, from, to int, err error) {
	if page, err = os.ReadFile(file); err != nil {
		return nil, 0, 0, err
	}
	begin, end := fmt.Appendf(nil, "<!-- begin %s -->\n", name), fmt.Appendf(nil, "<!-- end %s -->\n", name)
	from, to = bytes.Index(page, begin), bytes.Index(page, end)
	if from < 0 || to < from || bytes.Count(page, begin) != 1 || bytes.Count(page, end) != 1 {
		return nil, 0, 0, fmt.Errorf("measure: %s must have the lines %q and %q once each, in this order", file, bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	return page, from + len(begin), to, nil
}
