package transport_test

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/ring"
	"github.com/clusterkit/clusterkit/transport"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCluster answers with what it holds, and panics with boom if that is set.
type fakeCluster struct {
	view   transport.View
	health transport.Health
	boom   any
}

func (c *fakeCluster) View() transport.View {
	if c.boom != nil {
		panic(c.boom)
	}
	return c.view
}

func (c *fakeCluster) Health() transport.Health {
	if c.boom != nil {
		panic(c.boom)
	}
	return c.health
}

// stairs puts owner i of partition p on node p+i. Golden documents can be
// checked by eye, and owe nothing to a real strategy.
type stairs struct{}

func (stairs) Name() string { return "stairs/1" }

func (stairs) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			table.Row(p)[i] = uint16((p + i) % len(t.Nodes))
		}
	}
	return nil
}

var nodes = []ring.Node{
	{ID: "n1", Region: "eu", Zone: "eu-1a"},
	{ID: "n2", Region: "eu", Zone: "eu-1b", Weight: 2},
	{ID: "n3", Region: "us", Zone: "us-1a"},
	{ID: "n4", Region: "us", Zone: "us-1b"},
}

func build(tb testing.TB, s ring.RebalanceStrategy, partitions int, nodes ...ring.Node) *ring.Ring {
	tb.Helper()
	r, err := ring.Build(ring.Config{PartitionCount: partitions, ReplicationFactor: 2, Strategy: s}, nodes)
	require.NoError(tb, err)
	return r
}

// newFake returns a cluster of four members, of which n4 is an observer without
// an HTTP address.
func newFake(tb testing.TB) *fakeCluster {
	tb.Helper()
	started := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	members := make([]membership.Member, 0, len(nodes))
	for i, n := range nodes {
		m := membership.Member{
			ID: n.ID, Region: n.Region, Zone: n.Zone, Weight: max(n.Weight, 1),
			Addr:           netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946),
			HTTPAddr:       fmt.Sprintf("10.0.0.%d:8080", i+1),
			PartitionCount: 8,
			Configurations: []string{"2,stairs/1"},
			State:          membership.Active,
			Started:        started,
		}
		members = append(members, m)
	}
	members[0].Services = map[string]string{"kv": "10.0.0.1:9000", "admin": "10.0.0.1:9001"}
	members[0].Metadata = map[string]string{"rack": "r7 <left>"}
	members[3].State, members[3].HTTPAddr = membership.Observer, ""

	r := build(tb, stairs{}, 8, nodes[:3]...)
	return &fakeCluster{
		view: transport.View{
			ClusterName: "orders", NodeID: "n1", Version: 3,
			Ring: r, Members: members, Fingerprint: r.Fingerprint(), Configuration: "2,stairs/1",
		},
		health: transport.Health{
			Ready: true, Healthy: true, State: membership.Active, Members: 4, Agreed: true,
			Fingerprint: r.Fingerprint(), LastSync: started.Add(time.Minute),
		},
	}
}

// moving makes the cluster's ring give way to one with n4 as well.
func (c *fakeCluster) moving(tb testing.TB) *fakeCluster {
	tb.Helper()
	r, err := c.view.Ring.Toward(build(tb, stairs{}, 8, nodes...))
	require.NoError(tb, err)
	c.view.Ring, c.view.Fingerprint = r, r.Fingerprint()
	return c
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// makeHandler is NewHandler for options that are sound.
func makeHandler(c transport.Cluster, o transport.HandlerOptions) *transport.Handler {
	h, err := transport.NewHandler(c, o)
	if err != nil {
		panic(err)
	}
	return h
}

func newHandler(c transport.Cluster) *transport.Handler {
	return makeHandler(c, transport.HandlerOptions{Logger: quiet()})
}

// call sends one request without a network. A body is JSON unless a header says
// otherwise; headers are written "Name: value". It panics when the answer is not
// one that the OpenAPI document describes, so that all tests hold it to that.
func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := api().checkAnswer(method, r.URL.Path, w.Code, w.Header(), w.Body.Bytes()); err != nil {
		panic(fmt.Sprintf("%s %s: the answer is not as documented: %v", method, target, err))
	}
	return w
}

// golden compares a document with a file, byte for byte.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}
