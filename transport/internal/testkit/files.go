package transport_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// replace writes a file in one step.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	pki.Replace(t, path, content)
}
