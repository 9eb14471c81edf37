// Package reload keeps values that are made of files, and makes them anew when the
// files change. It watches nothing by itself: it looks when a value is asked for.
package reload

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// every is how often files are looked at, at most, and how old a value can be
	// when it is used.
	every = time.Second
	// maxFileBytes is the longest file read, in bytes.
	maxFileBytes = 1 << 20
)

// Value is a value made of files, and made anew when they change. It has no
// goroutine: the caller of Get looks at the files, at most once a second, and one
// caller at a time; the others get the current value. It compares contents, not
// times, because a time may stand still while a file changes.
//
// Files that cannot be read, or of which no value can be made, leave the value as
// it is: a certificate is often replaced a moment before its key. That is logged,
// once for each new reason. All methods are safe for concurrent use.
type Value[T any] struct {
	paths  []string
	parse  func(contents [][]byte) (T, error)
	logger *slog.Logger

	current atomic.Pointer[T]
	due     atomic.Int64 // when to look again, in ns since start
	start   time.Time

	mu       sync.Mutex // held while looking at the files
	stamp    [sha256.Size]byte
	complain string // the last complaint that was logged
}

// Watch makes the value for the first time, of the contents of the files at the
// paths; an empty path stands for a file without content.
func Watch[T any](paths []string, logger *slog.Logger, parse func(contents [][]byte) (T, error)) (*Value[T], error) {
	w := &Value[T]{paths: paths, parse: parse, logger: logger, start: time.Now()}
	contents, stamp, err := readFiles(paths)
	if err != nil {
		return nil, err
	}
	value, err := parse(contents)
	if err != nil {
		return nil, err
	}
	w.current.Store(&value)
	w.stamp = stamp
	w.due.Store(int64(every))
	return w, nil
}

// Get returns the value, at most a second behind the files. The pointer changes
// when the value does.
func (w *Value[T]) Get() *T {
	if int64(time.Since(w.start)) >= w.due.Load() && w.mu.TryLock() {
		w.look()
		w.mu.Unlock()
	}
	return w.current.Load()
}

func (w *Value[T]) look() {
	now := int64(time.Since(w.start))
	if now < w.due.Load() {
		return // another caller just has
	}
	defer func() { w.due.Store(int64(time.Since(w.start) + every)) }()
	contents, stamp, err := readFiles(w.paths)
	if err == nil && stamp == w.stamp {
		w.complain = ""
		return
	}
	var value T
	if err == nil {
		value, err = w.parse(contents)
	}
	if err != nil {
		if message := err.Error(); message != w.complain {
			w.complain = message
			w.logger.Warn("files that changed cannot be used; what they held before stays in force", "err", err)
		}
		return
	}
	w.stamp, w.complain = stamp, ""
	w.current.Store(&value)
	w.logger.Info("files reloaded", "files", w.paths)
}

// readFiles returns what is in the files, nil for an empty path, and a hash of
// it all.
func readFiles(paths []string) (contents [][]byte, stamp [sha256.Size]byte, err error) {
	hash := sha256.New()
	for _, path := range paths {
		var content []byte
		if path != "" {
			if content, err = readFile(path); err != nil {
				return nil, stamp, err
			}
		}
		part := sha256.Sum256(content)
		hash.Write(part[:])
		contents = append(contents, content)
	}
	hash.Sum(stamp[:0])
	return contents, stamp, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err // names the path too
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("file %q is longer than %d bytes", path, maxFileBytes)
	}
	return content, nil
}
