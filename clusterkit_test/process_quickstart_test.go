//go:build linux

package clusterkit_test

import (
	"errors"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// quickstartLimit is what the README promises.
const quickstartLimit = 20 * time.Second

func testQuickstart(t *testing.T, binary string) {
	p := run(t, "quickstart", binary)
	require.Equal(t, 0, p.exit(2*quickstartLimit))
	require.Less(t, p.took, quickstartLimit)
	require.Empty(t, p.stderr.String())

	out := p.stdout.String()
	for _, line := range []string{
		`user:42 +3521  n1 \(a\)  n4 \(b\)`,
		`n1 gets member-failed: n2`,
		`moved +1529 of 8192 replica slots`,
		`minimum +1529, the slots that n2 held`,
		`user:43 +n5 \(c\)  n2 \(a\)  n5 \(c\)  n3 \(b\)  n3 for n2`,
		`n1 gets member-rejoined: n2`,
		`It is the fingerprint of 1 again`,
		`minimum +3130, the slots that n3 and n4 held`,
		`orphans +0 of 4096 partitions`,
		`all 3 members agree: fingerprint [0-9a-f]{16}`,
		`All of it held, in [0-9.]+ seconds`,
	} {
		require.Regexp(t, line, out)
	}
	survivors := regexp.MustCompile(`(?m)^   (n\d)      ([0-9a-f]{16}  .*)$`).FindAllStringSubmatch(out, -1)
	require.Len(t, survivors, 3)
	for _, survivor := range survivors {
		require.Equal(t, survivors[0][2], survivor[2], "%s answers as %s does", survivor[1], survivors[0][1])
	}
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 81, "fits a terminal: %s", line)
	}
}

func testQuickstartServes(t *testing.T, binary string) {
	p := run(t, "quickstart", binary, "-serve")
	address := regexp.MustCompile(`curl 'http://([0-9.:]+)/v1/lookup\?key=user:42'`)
	member := &node{process: p, id: "n1"}
	eventually(t, "it says what to ask", 2*quickstartLimit, func() error {
		found := address.FindStringSubmatch(p.stdout.String())
		if found == nil {
			return errors.New("no curl in what it said")
		}
		member.http = found[1]
		return nil
	})
	_, answer, err := member.lookup("user:42")
	require.NoError(t, err)
	require.Equal(t, "n1", answer.Primary)
	p.signal(syscall.SIGINT)
	require.Equal(t, 0, p.exit(exitLimit))
}
