package membership

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/clusterkit/clusterkit/ring/option"
)

const (
	maxSeedFile    = 1 << 20
	maxSeedEntries = 1000
)

// File is a Discovery that reads addresses from a file, one on each line. It skips
// empty lines, and text from a # to the end of its line.
type File struct {
	// Path names a regular file of at most 1 MiB and 1000 addresses; required.
	Path string
}

// Discover reads the file. For a line that is no address it returns an error together
// with the addresses of the other lines. For a file over the limits it returns only an
// error. It waits only for the disk, and is safe for concurrent use.
func (f File) Discover(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("membership: file discovery: %w", err)
	}
	if f.Path == "" {
		return nil, errors.New("membership: file discovery: Path is empty")
	}
	text, err := readSeedFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("membership: file discovery: %w", err)
	}
	found, err := parseSeedFile(text)
	if err != nil {
		return found, fmt.Errorf("membership: file discovery: %q: %w", f.Path, err)
	}
	return found, nil
}

func (f File) check() error {
	if f.Path == "" {
		return &option.Error{Field: "Path", Value: "", Bound: "set"}
	}
	return nil
}

func readSeedFile(path string) ([]byte, error) {
	// Opening a pipe would wait for its other end.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSeedFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSeedFile {
		return nil, fmt.Errorf("%q has more than %d bytes", path, maxSeedFile)
	}
	return text, nil
}

func parseSeedFile(text []byte) ([]string, error) {
	var found []string
	var errs []error
	number := 0
	for line := range bytes.Lines(text) {
		number++
		entry, _, _ := strings.Cut(string(line), "#")
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if len(found)+len(errs) == maxSeedEntries {
			return nil, fmt.Errorf("more than %d addresses", maxSeedEntries)
		}
		if _, err := parseSeed(entry); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		found = append(found, entry)
	}
	return distinct(found), errors.Join(errs...)
}
