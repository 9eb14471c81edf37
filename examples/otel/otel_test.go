package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// One request through two members is one trace: the parent of each span is the span
// that called it, also across the connection.
func TestATraceFollowsAForwardedRequest(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	kept := &keeping{InMemoryExporter: exporter}
	answer, err := demonstrate(t.Context(), kept)
	require.NoError(t, err)
	require.Equal(t, "n2 says hello", answer)

	spans := make(map[string]tracetest.SpanStub)
	for _, span := range exporter.GetSpans() {
		require.NotContains(t, spans, span.Name)
		spans[span.Name] = span
	}
	require.Len(t, spans, 5)
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	drawn := tree(string(page))
	require.Equal(t, map[string]string{
		"receive n1": "ask", "forward": "receive n1", "receive n2": "forward", "serve": "receive n2",
	}, drawn, "README.md draws the trace")
	for child, parent := range drawn {
		require.Equal(t, spans[parent].SpanContext.SpanID(), spans[child].Parent.SpanID(), "%s is called by %s", child, parent)
		require.Equal(t, spans["ask"].SpanContext.TraceID(), spans[child].SpanContext.TraceID(), child)
	}
	require.False(t, spans["ask"].Parent.IsValid(), "it begins here")
}

// tree parses the trace in a page: for each span, its parent.
func tree(page string) map[string]string {
	_, drawn, _ := strings.Cut(page, "\nask ")
	drawn, _, _ = strings.Cut("ask "+drawn, "\n```")
	parents, last := make(map[string]string), ""
	for line := range strings.Lines(drawn) {
		// Each span is within the one above it.
		name, _, _ := strings.Cut(strings.TrimLeft(line, " └─"), "  ")
		if last != "" {
			parents[name] = last
		}
		last = name
	}
	return parents
}
