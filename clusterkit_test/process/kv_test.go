//go:build linux

package process_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

// testKV runs the scenario of examples/kv in its short form. The program itself checks that no
// acknowledged write is lost, and that no key is unreadable for long. If a check fails, its exit status
// is not 0.
func testKV(t *testing.T, binary string) {
	out := runScenario(t, "kv", binary, "-short")
	requireLines(t, out,
		`n5 is back and has received its share`,
		`From 5 members to 3 to 5 to 3, each drained or received`,
		`n1 is killed`,
		`n1 was started again, empty, and has received`,
		`operations +[1-9]\d* reads, [1-9]\d* writes, [1-9]\d* deletions`,
		`longest gap +\d+\.\ds between reads of one key`,
		`moved +[1-9]\d* partition replicas`,
		`checked +\d{3,} keys, 120 of them through 3 members each:`,
		`no acknowledged write is lost`,
		`All of it held, in [0-9.]+ seconds`,
	)
	documents.RequireShown(t, out, documents.Figures...)
}

// testKVByHand runs the commands that the README of examples/kv tells readers to type.
func testKVByHand(t *testing.T, binary string) {
	var members []*kvMember
	for i := range 3 {
		m := &kvMember{}
		args := []string{"member", "-id", fmt.Sprintf("n%d", i+1)}
		if i > 0 {
			args = append(args, "-join", members[0].gossip)
		}
		m.process = run(t, args[2], binary, args...)
		eventually(t, "it serves", joinLimit, func() error {
			for _, line := range m.stdout.lines() {
				if rest, ok := strings.CutPrefix(line, "serving "); ok {
					m.http, m.gossip, _ = strings.Cut(rest, " ")
					return nil
				}
			}
			return errors.New("it has not said so")
		})
		members = append(members, m)
	}
	settleKV(t, members...)
	first, second, third := members[0], members[1], members[2]
	code, _ := first.curl(http.MethodPut, "/kv/greeting", "hello")
	require.Equal(t, http.StatusNoContent, code)
	code, body := third.curl(http.MethodGet, "/kv/greeting", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "hello", body)

	second.signal(syscall.SIGTERM)
	require.Equal(t, 0, second.exit(exitLimit), "it has handed over")
	settleKV(t, first, third)
	code, body = third.curl(http.MethodGet, "/kv/greeting", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "hello", body)
	code, _ = first.curl(http.MethodDelete, "/kv/greeting", "")
	require.Equal(t, http.StatusNoContent, code)
	code, _ = third.curl(http.MethodGet, "/kv/greeting", "")
	require.Equal(t, http.StatusNotFound, code)
}

// kvMember is a process of examples/kv.
type kvMember struct {
	*process
	http, gossip string // the addresses at which the member listens
}

// settleKV waits until members know each other and no partition moves.
func settleKV(t *testing.T, members ...*kvMember) {
	t.Helper()
	eventually(t, "nothing moves", joinLimit, func() error {
		for _, m := range members {
			var health struct{ Members int }
			var status struct {
				State   string
				Handoff struct{ Receiving, Releasing, Sharing int }
			}
			for path, answer := range map[string]any{"/v1/health": &health, "/status": &status} {
				if _, body := m.curl(http.MethodGet, path, ""); json.Unmarshal([]byte(body), answer) != nil {
					return fmt.Errorf("%s answers %q to %s", m.name, body, path)
				}
			}
			if health.Members != len(members) || status.State != "active" || status.Handoff.Receiving+status.Handoff.Releasing+status.Handoff.Sharing > 0 {
				return fmt.Errorf("%s: %+v %+v", m.name, health, status)
			}
		}
		return nil
	})
}

// curl sends a request to the member.
func (m *kvMember) curl(method, path, body string) (status int, answer string) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), method, "http://"+m.http+path, strings.NewReader(body))
	require.NoError(m.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(m.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(m.t, err)
	return response.StatusCode, string(content)
}
