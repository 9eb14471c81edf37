// Package page renders the status page of a member: server-rendered HTML, one style sheet
// and one script, and the map of the partitions as an image. The page works without the
// script, which only keeps it current. The package depends on the documents of package api
// alone.
package page

import (
	"embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
)

//go:embed page.html page.css page.js
var files embed.FS

// Policy is the Content-Security-Policy of the page: nothing from elsewhere, and nothing
// inline.
const Policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Input is all that the page shows.
type Input struct {
	// Now is the time of the answer, Version and GoVersion those of the program.
	Now                time.Time
	Version, GoVersion string
	Health             api.Health
	Members            []api.Member
	Lost               []api.LostMember
	// Table is nil before the first ring.
	Table  *api.Placements
	Events []api.Event
	// Handoff is nil if the member moves no data.
	Handoff *api.HandoffState
	// AllMembers shows all members, where the table would leave some out.
	AllMembers bool
	// Scheme is http or https, for links to other members.
	Scheme string
	// Highlight is the member whose partitions the map shows; empty for all members.
	Highlight string
	Look      Look
	What      What
	// Act is nil if the cluster cannot be acted on.
	Act *Act
}

// Look has the input of the form that looks up a key, and the answer.
type Look struct {
	Key     string
	Answer  *api.Placement
	Refusal *api.Refusal
}

// What has the input of the form for a what-if, and the answer.
type What struct {
	Change, ID, Region, Zone, Weight string
	Plan                             *api.Plan
	After                            []api.Node // the nodes after the change
	Refusal                          *api.Refusal
}

// Changes are the kinds of change that the form offers, with their names.
var Changes = []struct{ Kind, Name string }{
	{"add", "Add a member"}, {"remove", "Remove a member"}, {"drain", "Drain a member"},
	{"reweigh", "Change a weight"}, {"lose", "Lose a zone"},
}

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"rfc":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"percent": percent,
	"comma":   comma,
	"float":   func(n int) float64 { return float64(n) },
	"add":     func(a, b int) int { return a + b },
	"bar":     barOf,
}).ParseFS(files, "page.html"))

// Render writes the page.
func Render(w io.Writer, in Input) error {
	if err := page.Execute(w, newView(in)); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// Asset is a file that the page loads.
type Asset struct {
	Name, ContentType string
	Content           []byte
}

// Assets are the style sheet and the script.
var Assets = []Asset{
	{"page.css", "text/css; charset=utf-8", must("page.css")},
	{"page.js", "text/javascript; charset=utf-8", must("page.js")},
}

// AssetsVersion changes with their content, so that browsers may keep them.
var AssetsVersion = func() string {
	h := fnv.New32a()
	for _, a := range Assets {
		_, _ = h.Write(a.Content) // Write of a hash cannot fail
	}
	return fmt.Sprintf("%08x", h.Sum32())
}()

func must(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return content
}
