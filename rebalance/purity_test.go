package rebalance_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// allowed are the packages that give the same results in all processes, at all times
// and on all architectures; and consistent, whose one float is counted below.
var allowed = map[string]bool{
	"cmp": true, "container/heap": true, "encoding/binary": true, "errors": true, "fmt": true, "iter": true,
	"math/bits": true, "slices": true, "sort": true, "strconv": true, "strings": true,
	"sync": true, "sync/atomic": true, "unsafe": true, // of ring, which keeps answers
	"github.com/cespare/xxhash/v2":                 true,
	"github.com/clusterkit/clusterkit/ring":        true,
	"github.com/clusterkit/clusterkit/ring/option": true,
	"github.com/buraksezer/consistent":             true,
}

// The packages are pure: they use no float, no goroutine, no other package than the
// allowed ones, and no package variable. The one exception is the load bound, which
// package consistent takes as a float.
func TestPackagesArePure(t *testing.T) {
	floats := make(map[string]int)
	for _, dir := range []string{"../ring", "../ring/option", "."} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, spec := range file.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				require.True(t, allowed[path], "%s imports %s", name, path)
				if path == "github.com/buraksezer/consistent" {
					require.Equal(t, "consistent_hash.go", name)
				}
			}
			for _, decl := range file.Decls {
				if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
					t.Errorf("%s: a package has a variable", fset.Position(d.Pos()))
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Ident:
					switch n.Name {
					case "float32", "float64", "complex64", "complex128":
						floats[name]++
					}
				case *ast.BasicLit:
					if n.Kind == token.FLOAT || n.Kind == token.IMAG {
						t.Errorf("%s: %s is a float", fset.Position(n.Pos()), n.Value)
					}
				case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
					t.Errorf("%s: a goroutine or a channel", fset.Position(n.Pos()))
				}
				return true
			})
		}
	}
	require.Equal(t, map[string]int{"consistent_hash.go": 1}, floats, "files with floats")
}
