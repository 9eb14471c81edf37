// Package documents finds what the Markdown files of the repository show, for tests
// that compare it with what is so.
package documents

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Root returns the directory of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "cluster", "cluster.go")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		require.NotEqual(t, up, dir, "no module above the working directory")
		dir = up
	}
}

// Read returns the Markdown files of the repository, by path, with their content.
func Read(t testing.TB) map[string]string {
	t.Helper()
	return Files(t, ".md")
}

// Files returns the files whose name ends with suffix, by slashed path below the root,
// with their content.
func Files(t testing.TB, suffix string) map[string]string {
	t.Helper()
	found, root := make(map[string]string), os.DirFS(Root(t))
	require.NoError(t, fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, suffix):
			return nil
		}
		content, err := fs.ReadFile(root, path)
		found[path] = string(content)
		return err
	}))
	require.NotEmpty(t, found)
	return found
}
