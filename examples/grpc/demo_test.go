package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDemonstration: every call runs once, and the stream follows its key.
func TestDemonstration(t *testing.T) {
	var out strings.Builder
	require.NoError(t, demonstrate(t.Context(), &out))
	documents.RequireShown(t, out.String(), append([]documents.Vary{
		documents.Varying(`counter:\d+`, `counter:\d+`), documents.Varying(`again, at n\d`, `again, at n[12]`),
	}, documents.Figures...)...)
}
