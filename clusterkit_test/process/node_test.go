//go:build linux

package process_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport/api"
)

// The limits are for a busy machine: a step that takes longer has failed. On an idle machine members
// agree in one second, and notice a crash in eight seconds.
const (
	joinLimit     = 2 * time.Minute // for running members to agree
	noticeLimit   = 3 * time.Minute // for a crash to be noticed
	exitLimit     = 2 * time.Minute // for a process to end
	scenarioLimit = 8 * time.Minute // for a scenario of examples: each scenario has a shorter limit of its own, and names the step that exceeds it
)

// node is a process of examples/node.
type node struct {
	*process
	id           string
	gossip, http string // the addresses at which the member listens
}

// startNode runs a member on an address of its own, at free ports, and waits until the member serves.
func startNode(t *testing.T, binary string, number int, args ...string) *node {
	t.Helper()
	ip := fmt.Sprintf("127.0.0.%d", number)
	id := fmt.Sprintf("n%d", number)
	zone := string(rune('a' + number - 1))
	n := &node{id: id, process: run(t, id, binary, append([]string{
		"-cluster", "test", "-id", id, "-region", "eu", "-zone", zone, "-profile", "local",
		"-gossip", ip + ":0", "-http", ip + ":0",
	}, args...)...)}
	eventually(t, id+" serves", joinLimit, func() error {
		for _, line := range n.stderr.lines() {
			if strings.Contains(line, "msg=serving") {
				n.http, n.gossip = field(line, "http"), field(line, "gossip")
				return nil
			}
		}
		return errors.New("it has not said so")
	})
	return n
}

// field returns the value of a field of a log line. The value must have no spaces.
func field(line, name string) string {
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// startNodes runs three members in three zones, and waits until the members agree.
func startNodes(t *testing.T, binary string) []*node {
	t.Helper()
	n1 := startNode(t, binary, 1)
	nodes := []*node{n1, startNode(t, binary, 2, "-join", n1.gossip), startNode(t, binary, 3, "-join", n1.gossip)}
	awaitAgreed(t, joinLimit, nodes...)
	return nodes
}

// client sends each request on a connection of its own, so that a request to a member that is gone fails.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get sends a request to a member and returns the body of the answer.
func (n *node) get(path string) ([]byte, error) {
	body, err := read(client.Get("http://" + n.http + path))
	if err != nil {
		err = fmt.Errorf("%s%s: %w", n.id, path, err)
	}
	return body, err
}

// read returns the body of an answer. A status other than 200 is an error.
func read(response *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

// health asks a member for its health. A member that is not ready is an error.
func (n *node) health() (answer api.Health, err error) {
	body, err := n.get("/v1/health")
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(body, &answer)
}

// lookup asks a member for the owners of a key.
func (n *node) lookup(key string) (body []byte, answer api.Placement, err error) {
	body, err = n.get("/v1/lookup?key=" + url.QueryEscape(key))
	if err != nil {
		return nil, answer, err
	}
	return body, answer, json.Unmarshal(body, &answer)
}

// agreed returns the common fingerprint of members. It returns an error unless these members agree, and
// know each other and no other member.
func agreed(nodes ...*node) (common ring.Fingerprint, err error) {
	for i, n := range nodes {
		health, err := n.health()
		switch {
		case err != nil:
			return 0, err
		case health.Members != len(nodes):
			return 0, fmt.Errorf("%s sees %d members", n.id, health.Members)
		case !health.Agreed:
			return 0, fmt.Errorf("%s knows of no agreement: %+v differ", n.id, health.Differing)
		case i > 0 && health.Fingerprint != common:
			return 0, fmt.Errorf("%s has fingerprint %v, another one %v", n.id, health.Fingerprint, common)
		}
		common = health.Fingerprint
	}
	return common, nil
}

func awaitAgreed(t *testing.T, limit time.Duration, nodes ...*node) (common ring.Fingerprint) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d members agree", len(nodes)), limit, func() (err error) {
		common, err = agreed(nodes...)
		return err
	})
	return common
}

// requireSameOwners asks all members for the owners of some keys, and compares the answers byte for byte.
// It returns the NodeIDs of the owners of each key.
func requireSameOwners(t *testing.T, nodes ...*node) [][]string {
	t.Helper()
	var owners [][]string
	for _, key := range []string{"user:42", "user:43", "order:1001", "a b&c=d/ü"} {
		first, answer, err := nodes[0].lookup(key)
		require.NoError(t, err)
		for _, n := range nodes[1:] {
			body, _, err := n.lookup(key)
			require.NoError(t, err)
			require.Equal(t, string(first), string(body), "%s and %s about %q", nodes[0].id, n.id, key)
		}
		var ids []string
		for _, owner := range answer.Owners {
			ids = append(ids, owner.ID)
		}
		require.Equal(t, answer.Primary, ids[0])
		owners = append(owners, ids)
	}
	return owners
}

// requireFree waits until the addresses of members are free again.
func requireFree(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		for _, addr := range []string{n.gossip, n.http} {
			eventually(t, addr+" is free", exitLimit, func() error {
				tcp, err := net.Listen("tcp", addr)
				if err != nil {
					return err
				}
				return tcp.Close()
			})
		}
		eventually(t, n.gossip+" is free", exitLimit, func() error {
			udp, err := net.ListenPacket("udp", n.gossip)
			if err != nil {
				return err
			}
			return udp.Close()
		})
	}
}

// said reports whether a member has logged an event about another member.
func (n *node) said(event, about string) bool {
	return slices.ContainsFunc(n.stderr.lines(), func(line string) bool {
		return strings.Contains(line, "msg="+event+" ") && field(line, "member") == about
	})
}
