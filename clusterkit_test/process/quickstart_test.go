//go:build linux

package process_test

import (
	"errors"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

func testQuickstart(t *testing.T, binary string) {
	out := runScenario(t, "quickstart", binary)
	requireLines(t, out,
		`user:42 +3521  n6\(c\) n1\(a\) n3\(b\)`,
		`n1 gets member-failed: n2`,
		`moved +2034 of 12288 replica slots`,
		`minimum +2034, the slots that n2 held`,
		`user:43 +n4\(b\) n2\(a\) n5\(c\)  n4\(b\) n5\(c\) n1\(a\)  n1 for n2`,
		`n1 gets member-rejoined: n2`,
		`It is the fingerprint of 1 again`,
		`minimum +4096, the slots that n3 and n4 held`,
		`orphans +0 of 4096 partitions`,
		`all 4 members agree: fingerprint [0-9a-f]{16}`,
		`All of it held, in [0-9.]+ seconds`,
	)
	documents.RequireShown(t, out, documents.Since)

	survivors := regexp.MustCompile(`(?m)^   (n\d)      ([0-9a-f]{16}  .*)$`).FindAllStringSubmatch(out, -1)
	require.Len(t, survivors, 4)
	for _, survivor := range survivors {
		require.Equal(t, survivors[0][2], survivor[2], "%s answers as %s does", survivor[1], survivors[0][1])
	}
}

func testQuickstartServes(t *testing.T, binary string) {
	p := run(t, "quickstart", binary, "-serve")
	address := regexp.MustCompile(`curl 'http://([0-9.:]+)/v1/lookup\?key=user:42'`)
	member := &node{process: p, id: "n1"}
	eventually(t, "it says what to ask", scenarioLimit, func() error {
		found := address.FindStringSubmatch(p.stdout.String())
		if found == nil {
			return errors.New("no curl in what it said")
		}
		member.http = found[1]
		return nil
	})
	_, answer, err := member.lookup("user:42")
	require.NoError(t, err)
	require.Equal(t, "n6", answer.Primary)
	p.signal(syscall.SIGINT)
	require.Equal(t, 0, p.exit(exitLimit))
}
