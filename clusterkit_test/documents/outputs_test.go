package documents

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutputsOfADocument(t *testing.T) {
	const page = "# Page\n\n    go run ./x\n\n```text\n1. it runs\n```\n\n```go\nx := 1\n```\n\n" +
		"```console\n$ openssl rand \\\n    -hex 32\n```\n\n```console\n$ curl x\n{}\n```\n\n```\nwhat is it\n```\n\n" +
		"| what | it costs |\n|---|---|\n| all | 1.00 |\n| none | 3 ms |\n\n| file | about |\n|---|---|\n| a | 3 of them |\n"
	var lines []string
	for _, s := range outputs("page.md", page) {
		lines = append(lines, fmt.Sprint(s.Line, ": ", s.Lines[0]))
	}
	require.Equal(t, []string{"6: 1. it runs", "19: $ curl x", "24: what is it", "27: | what | it costs |"}, lines)
}
