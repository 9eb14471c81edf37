package docs_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// TestDocumentedOutputs sees to it that everything that a document shows as
// printed is held against what is printed, by one test.
func TestDocumentedOutputs(t *testing.T) {
	sources := documents.Tests(t)
	holders := documents.Holders()
	blocks := make([]int, len(holders))
	docs := documents.Read(t)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		for _, s := range documents.Outputs(name, docs[name]) {
			var by []string
			for i, h := range holders {
				if h.Document == s.Document && strings.HasPrefix(s.Lines[0], h.Begins) {
					by = append(by, h.Test)
					blocks[i]++
				}
			}
			assert.Len(t, by, 1, "%v shows %q: one test must hold it against what is printed, and be named in documents.Holders", s, s.Lines[0])
		}
	}
	for i, h := range holders {
		assert.NotZero(t, blocks[i], "%s shows nothing that begins with %q", h.Document, h.Begins)
		assert.True(t, reads(sources, h.Test, h.Document), "%s does not look at what %s shows", h.Test, h.Document)
	}
}

// reads reports whether a test looks at a document: by RequireShown or HeldBy, or
// by its name.
func reads(sources map[string]string, test, document string) bool {
	function, part, isPart := strings.Cut(test, "/")
	for _, source := range sources {
		if isPart {
			// A table of the parts says which function each is.
			if named := regexp.MustCompile(`"` + part + `", +"\w+", (\w+)\}`).FindStringSubmatch(source); named != nil {
				function = named[1]
			}
		}
	}
	for _, source := range sources {
		_, body, found := strings.Cut(source, "\nfunc "+function+"(t *testing.T")
		body, _, _ = strings.Cut(body, "\n}\n")
		if found && (strings.Contains(body, "documents.RequireShown(t") || strings.Contains(body, "documents.HeldBy(t") || strings.Contains(body, filepath.Base(document)+`"`)) {
			return true
		}
	}
	return false
}
