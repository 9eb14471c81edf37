package transport

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
	// reloadEvery is how often files are looked at, at most, and how old what
	// was made of them can be when it is used.
	reloadEvery = time.Second
	// maxFileBytes is the longest file read, in bytes.
	maxFileBytes = 1 << 20
)

// watched is a value made of files, made anew when they change. It has no
// goroutine: whoever asks for the value looks, at most once every reloadEvery,
// and one at a time; the others get the value that stands. It compares contents,
// not times, which may stand still while a file changes.
//
// Files that cannot be read, or of which no value can be made, leave the value as
// it is, as when a certificate has been replaced and its key is about to be. That
// is logged, once for each new reason.
type watched[T any] struct {
	paths  []string
	parse  func(contents [][]byte) (T, error)
	logger *slog.Logger

	current atomic.Pointer[T]
	due     atomic.Int64 // when to look again, in ns since start
	start   time.Time

	mu       sync.Mutex // held by the one who looks
	stamp    [sha256.Size]byte
	complain string // the last complaint that was logged
}

// watch makes the value for the first time.
func watch[T any](paths []string, logger *slog.Logger, parse func(contents [][]byte) (T, error)) (*watched[T], error) {
	w := &watched[T]{paths: paths, parse: parse, logger: logger, start: time.Now()}
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
	w.due.Store(int64(reloadEvery))
	return w, nil
}

// get returns the value, at most reloadEvery behind the files. The pointer
// changes when the value does.
func (w *watched[T]) get() *T {
	if int64(time.Since(w.start)) >= w.due.Load() && w.mu.TryLock() {
		w.look()
		w.mu.Unlock()
	}
	return w.current.Load()
}

func (w *watched[T]) look() {
	now := int64(time.Since(w.start))
	if now < w.due.Load() {
		return // somebody else just has
	}
	defer func() { w.due.Store(int64(time.Since(w.start) + reloadEvery)) }()
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
