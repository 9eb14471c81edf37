package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

var (
	spans   = regexp.MustCompile("`[^`]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// anchors are what links to a document's headings may name.
func anchors(content string) map[string]bool {
	found := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(documents.Fence.ReplaceAllString(content, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, h[1])
		for i, name := 0, slug; ; i++ {
			if !found[name] {
				found[name] = true
				break
			}
			name = fmt.Sprint(slug, "-", i+1)
		}
	}
	return found
}

// TestDocumentationLinks follows every link of the documentation that leads
// into the repository, and its anchor.
func TestDocumentationLinks(t *testing.T) {
	docs := documents.Read(t)
	followed := 0
	for from, content := range docs {
		text := spans.ReplaceAllString(documents.Fence.ReplaceAllString(content, ""), "")
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") || strings.HasPrefix(l[1], "mailto:") {
				continue
			}
			followed++
			file, anchor, _ := strings.Cut(l[1], "#")
			to := from
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(from), file))
			}
			_, err := os.Stat(filepath.Join(documents.Root(t), to))
			require.NoError(t, err, "%s links to %s", from, l[1])
			if anchor != "" {
				require.True(t, anchors(docs[to])[anchor], "%s links to %s: no such heading", from, l[1])
			}
		}
	}
	require.Greater(t, followed, 20)
}
