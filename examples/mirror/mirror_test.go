package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/client"
)

// install installs the example with its package, and returns its directory.
func install(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"mirror.js", "lookup.js", "package.json", "package-lock.json"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install xxhash-wasm: %v\n%s", err, out)
	}
	return dir
}

// fleet starts members in three zones, with gossip in memory and HTTP over sockets. Without
// a store they keep no data.
func fleet(t *testing.T, s *store) []*cluster.Cluster {
	t.Helper()
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	var all []*cluster.Cluster
	for i := range 5 {
		o := cluster.Options{
			ClusterName: "orders", NodeID: fmt.Sprint("n", i), Region: "eu", Zone: fmt.Sprint("z", i%3), Weight: 1 + i%2,
			GossipAddr: fmt.Sprintf("10.0.0.%d:7946", i+1), Seeds: []string{"10.0.0.1:7946"}, HTTPAddr: "127.0.0.1:0",
			PartitionCount: 257, Logger: slog.New(slog.DiscardHandler), RestartGrace: time.Minute,
			Gossip: membership.GossipOptions{Network: network, Profile: membership.Local, TrustedNetwork: true},
		}
		if s != nil {
			o.Handoff.Mover = s
		}
		c, err := cluster.New(o)
		require.NoError(t, err)
		t.Cleanup(func() { stop(c) })
		require.NoError(t, c.Start(t.Context()))
		all = append(all, c)
	}
	await(t, "all members have one view", func() bool {
		for _, c := range all {
			if h := c.Health(); !h.Ready || !h.Agreed || h.Members != len(all) || c.Ring().Target() != c.Ring() {
				return false
			}
		}
		return true
	})
	return all
}

func stop(c *cluster.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.Stop(ctx) // a second call returns nil
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 10*time.Millisecond, what)
}

// store has no data. While it holds, nothing can be received, so that a drain lasts.
type store struct{ holds atomic.Bool }

func (s *store) Receive(context.Context, int, []cluster.Member, int) error {
	if s.holds.Load() {
		return errors.New("not now")
	}
	return nil
}

func (s *store) Release(context.Context, int) error { return nil }

// TestJavaScriptAnswersAsTheMember compares the answers of the example with those of a
// member, for tables with everything that influences an answer.
func TestJavaScriptAnswersAsTheMember(t *testing.T) {
	dir := install(t)
	t.Run("without data", func(t *testing.T) {
		compare(t, dir, fleet(t, nil)[0])
	})
	t.Run("with data, while a member drains and another one is away", func(t *testing.T) {
		s := new(store)
		all := fleet(t, s)
		compare(t, dir, all[0])
		s.holds.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan error, 1)
		go func() { drained <- all[4].Drain(ctx) }()
		stop(all[3])
		await(t, "partitions move, and n3 is away", func() bool {
			m, ok := all[0].Member("n3")
			return all[0].Ring().Target() != all[0].Ring() && ok && m.State == membership.Away && all[0].Health().Agreed
		})
		compare(t, dir, all[0])
		cancel()
		require.ErrorIs(t, <-drained, context.Canceled)
	})
}

// compare asks for the same keys in both ways.
func compare(t *testing.T, dir string, c *cluster.Cluster) {
	t.Helper()
	url, seed := "http://"+c.HTTPAddr(), uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%x-%s", random.Uint64(), strings.Repeat("ключ", random.IntN(20)))
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"lookup.js", url}, keys...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	asker, err := client.New(client.Options{URLs: []string{url}})
	require.NoError(t, err)
	defer func() { require.NoError(t, asker.Close()) }()
	want, err := asker.LookupBatch(t.Context(), keys, client.Near{})
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	require.Len(t, lines, len(keys))
	for i, line := range lines {
		var got api.Placement
		require.NoError(t, json.Unmarshal(line, &got))
		require.Equal(t, want.Results[i], got, "seed %d", seed)
	}
}
