// Package reload keeps values that are made from files, and makes them again when the
// files change. It has no watcher: it checks the files when a value is asked for.
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
	// every is the shortest time between two checks of the files, and so the largest
	// age of a value.
	every = time.Second
	// maxFileBytes is the size of the longest file that is read.
	maxFileBytes = 1 << 20
)

// Value is a value made from files, and made again when they change. It has no
// goroutine: callers of Get check the files, at most once a second, and one caller at a
// time. The other callers get the current value. It compares contents, not times,
// because a file may change without a change of its time.
//
// When files cannot be read, or no value can be made from them, the value stays as it
// is: a certificate is often replaced a moment before its key. This is logged once for
// each new reason. All methods are safe for concurrent use.
type Value[T any] struct {
	paths  []string
	parse  func(contents [][]byte) (T, error)
	logger *slog.Logger

	current atomic.Pointer[T]
	failed  atomic.Uint64
	due     atomic.Int64 // when to check again, in ns since start
	start   time.Time

	mu       sync.Mutex // held while the files are checked
	stamp    [sha256.Size]byte
	complain string // the last error that was logged
}

// Watch makes the first value, from the contents of the files at the paths. An empty
// path stands for an empty file.
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

// Failures returns how many checks found changed files from which no value can be made.
func (w *Value[T]) Failures() uint64 { return w.failed.Load() }

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
		return // another caller has just checked
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
		w.failed.Add(1)
		if message := err.Error(); message != w.complain {
			w.complain = message
			w.logger.Warn("changed files cannot be used: their earlier contents stay in use", "error", err)
		}
		return
	}
	w.stamp, w.complain = stamp, ""
	w.current.Store(&value)
	w.logger.Info("files reloaded", "files", w.paths)
}

// readFiles returns the contents of the files, nil for an empty path, and a hash of all
// contents.
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
		return nil, err // this error names the path too
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("file %q is longer than %d bytes", path, maxFileBytes)
	}
	return content, nil
}
