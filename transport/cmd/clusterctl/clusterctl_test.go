package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/clusterkit_test/pki"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/membership/memnet"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport"
	"github.com/clusterkit/clusterkit/transport/api"
)

// fleet is a cluster with gossip in memory and HTTP over sockets.
type fleet struct {
	t   *testing.T
	net *memnet.Network
}

func newFleet(t *testing.T) *fleet {
	network, err := memnet.New(memnet.Options{})
	require.NoError(t, err)
	return &fleet{t, network}
}

func (f *fleet) start(i int, edits ...func(o *cluster.Options)) *cluster.Cluster {
	f.t.Helper()
	o := cluster.Options{
		ClusterName: "orders", NodeID: fmt.Sprint("n", i), Region: "eu", Zone: fmt.Sprint("z", i%3),
		GossipAddr: fmt.Sprintf("10.0.0.%d:7946", i), Seeds: []string{"10.0.0.1:7946"}, HTTPAddr: "127.0.0.1:0", PartitionCount: 64, Version: "v1.4.2",
		Gossip: membership.GossipOptions{Network: f.net, Profile: membership.Local}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, edit := range edits {
		edit(&o)
	}
	c, err := cluster.New(o)
	require.NoError(f.t, err)
	f.t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = c.Stop(ended) // does not wait
	})
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(f.t, c.Start(ctx))
	return c
}

// many starts members that agree.
func (f *fleet) many(n int, edits ...func(o *cluster.Options)) []*cluster.Cluster {
	f.t.Helper()
	var all []*cluster.Cluster
	for i := range n {
		all = append(all, f.start(i+1, edits...))
	}
	agree(f.t, all...)
	return all
}

func agree(t *testing.T, all ...*cluster.Cluster) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, c := range all {
			if h := c.Health(); !h.Ready || !h.Agreed || h.Members != len(all) || h.Fingerprint != all[0].Fingerprint() {
				return false
			}
		}
		return true
	}, 30*time.Second, 10*time.Millisecond)
}

// ctl runs the program against a member.
func ctl(t *testing.T, env map[string]string, args ...string) (code int, out, problems string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, func(name string) (string, bool) { v, ok := env[name]; return v, ok }, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func at(c *cluster.Cluster) map[string]string {
	return map[string]string{"CLUSTERCTL_ADDR": c.HTTPAddr()}
}

// TestCommands runs each command against members, as a table and as JSON.
func TestCommands(t *testing.T) {
	all := newFleet(t).many(3)
	env := at(all[0])
	for _, test := range []struct {
		args []string
		code int
		want string // a pattern of the table
		into any    // what the JSON is
	}{
		{[]string{"members"}, 0, `(?s)ID +STATE +ZONE.*\nn2 +active +eu/z2 +1 +127.0.0.1:\d+ +10.0.0.2:7946 +v1\.4\.2 +20`, &api.Members{}},
		{[]string{"health"}, 0, `(?s)member +n1 of orders\nversion +v1.4.2\nready +true\n.*fingerprint +[0-9a-f]{16}\nconfiguration +rf3:balanced`, &api.Health{}},
		{[]string{"lookup", "user:42", "b", "--zone", "z1", "--region", "eu"}, 0, `user:42 +\d+ +n\d +n1,n\d,n\d +- +[0-9a-f]{16}\nb +`, &api.Batch{}},
		{[]string{"ring"}, 0, `fingerprint [0-9a-f]{16}, configuration rf3:\S+, 64 partitions of 3 owners, moving: false\nID +ZONE +WEIGHT`, &api.Ring{}},
		{[]string{"plan", "add", "n9", "--zone", "z9", "--region", "eu", "--weight", "2"}, 0, `\d+ of 192 replicas would move \(\d+\.\d%\), \d+ primaries would change\nID +GAINS +LOSES\n`, &api.Plan{}},
		{[]string{"plan", "remove", "n1"}, 0, `64 partitions would have too few owners`, &api.Plan{}},
		{[]string{"plan", "drain", "n1"}, 0, `64 partitions would have too few owners`, &api.Plan{}},
		{[]string{"plan", "reweigh", "n1", "3"}, 0, `of 192 replicas would move`, &api.Plan{}},
		{[]string{"plan", "lose-zone", "eu/z1"}, 0, `n1 +0 +64`, &api.Plan{}},
		{[]string{"plan", "lose-zone", "z1"}, 0, `n1 +0 +64`, &api.Plan{}},
		{[]string{"diff"}, 0, `(?s)n1 +true +[0-9a-f]{16} +-\n.*n3 +true.*\nall 3 members agree on [0-9a-f]{16}\n$`, &difference{}},
		{[]string{"events"}, 0, `(?s)TIME +KIND +EVENT\n.*member-joined +n2 joined and is joining`, &api.Events{}},
		{[]string{"keygen"}, 0, `^[0-9a-f]{64}\n$`, nil},
		{[]string{"keygen", "--token"}, 0, `^[A-Za-z0-9_-]{43}\n$`, nil},
		{[]string{"version"}, 0, `^clusterctl \S+, go1\.`, &map[string]string{}},
		{[]string{"completion", "bash"}, 0, `clusterctl`, nil},
		{[]string{"--help"}, 0, `Available Commands`, nil},
	} {
		code, out, problems := ctl(t, env, test.args...)
		require.Equal(t, test.code, code, "%v: %s", test.args, problems)
		require.Regexp(t, test.want, out, test.args)
		require.Empty(t, problems)
		require.NotContains(t, out, "\x1b", "colours only on a terminal")
		if test.into != nil {
			code, out, problems = ctl(t, env, append(test.args, "-o", "json")...)
			require.Equal(t, test.code, code, problems)
			decoder := json.NewDecoder(strings.NewReader(out))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(test.into), "%v: %s", test.args, out)
		}
	}
}

// TestLongAnswersAreCompressed: an operator may be far from the cluster.
func TestLongAnswersAreCompressed(t *testing.T) {
	encodings := make(chan string, 1)
	c := newFleet(t).start(1, func(o *cluster.Options) {
		o.HTTP.Handler.Middleware = append(o.HTTP.Handler.Middleware, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				encodings <- w.Header().Get("Content-Encoding")
			})
		})
	})
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint("user:", i)
	}
	code, out, problems := ctl(t, at(c), append([]string{"lookup"}, keys...)...)
	require.Zero(t, code, problems)
	require.Contains(t, out, "user:199 ")
	require.Equal(t, "gzip", <-encodings)
}

// TestMistakes end with status 2 and say what is wrong; a cluster that does not answer, or
// that refuses, ends with 1.
func TestMistakes(t *testing.T) {
	c := newFleet(t).start(1)
	agree(t, c)
	missing := filepath.Join(t.TempDir(), "missing")
	config := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(config, []byte("colour: red\n"), 0o600))
	for _, test := range []struct {
		code int
		want string
		args []string
	}{
		{2, "unknown command", []string{"lokup"}},
		{2, "requires at least 1 arg", []string{"lookup"}},
		{2, "unknown flag: --zone", []string{"members", "--zone", "a"}},
		{2, `--output is "xml": must be table or json`, []string{"members", "-o", "xml"}},
		{2, "missing", []string{"members", "--config", missing}},
		{2, `there is no setting "colour"`, []string{"members", "--config", config}},
		{2, "missing", []string{"members", "--token-file", missing}},
		{2, `URLs[0] is "http://a b:80"`, []string{"members", "--addr", "a b:80"}},
		{2, "must be a whole number", []string{"plan", "reweigh", "n1", "heavy"}},
		{1, "connection refused", []string{"members", "--addr", "127.0.0.1:1"}},
		{1, "no member answers", []string{"diff", "--addr", "127.0.0.1:1"}},
		{1, "connection refused", []string{"events", "--addr", "127.0.0.1:1"}},
		{1, "connection refused", []string{"watch", "--addr", "127.0.0.1:1", "--timeout", "50ms"}},
		{1, "is not in the ring", []string{"plan", "remove", "nobody"}},
		{1, `no member of zone "z7"`, []string{"plan", "lose-zone", "z7"}},
	} {
		code, out, problems := ctl(t, at(c), test.args...)
		require.Equal(t, test.code, code, "%v: %s%s", test.args, out, problems)
		require.Contains(t, problems, test.want)
	}
}

// TestDiffNamesWhoDiffers: a member that runs another strategy, one with a stale view, and
// one that does not answer.
func TestDiffNamesWhoDiffers(t *testing.T) {
	f := newFleet(t)
	both := func(o *cluster.Options) { o.AlsoRuns = nil }
	one, two, three := f.start(1, both), f.start(2), f.start(3)
	silent := f.start(4, func(o *cluster.Options) { o.HTTPAddr, o.HTTP.AdvertiseAddr = "", "127.0.0.1:1" })
	other := f.start(5, func(o *cluster.Options) { o.Seeds, o.Strategy = nil, rebalance.Rendezvous{} })
	agree(t, one, two, three, silent)
	stale := f.start(6)
	agree(t, one, two, three, silent, stale)
	f.net.Isolate(stale.Local().Addr)
	require.Eventually(t, func() bool { return len(one.Members()) == 4 && len(two.Members()) == 4 && len(three.Members()) == 4 }, 30*time.Second, 10*time.Millisecond)
	code, out, problems := ctl(t, nil, "diff", "-o", "json", "--addr", strings.Join([]string{one.HTTPAddr(), other.HTTPAddr(), stale.HTTPAddr()}, ","))
	require.Equal(t, 1, code, problems)
	require.Empty(t, problems)
	var d difference
	require.NoError(t, json.Unmarshal([]byte(out), &d))
	require.False(t, d.Agreed)
	require.Equal(t, one.Fingerprint(), d.Fingerprint)
	reasons := make(map[string]string)
	for _, m := range d.Members {
		require.Equal(t, m.Reason == "", m.Same)
		reasons[m.ID] = m.Reason
	}
	require.Len(t, reasons, 6)
	for _, id := range []string{"n1", "n2", "n3"} {
		require.Empty(t, reasons[id], id)
	}
	require.Contains(t, reasons["n4"], "does not answer: ")
	require.Contains(t, reasons["n5"], `runs the configuration "rf3:rendezvous/4", and most run "rf3:balanced/`)
	require.Contains(t, reasons["n5"], "does not see n1, n2, n3, n4")
	require.Contains(t, reasons["n6"], "n6")

	code, out, _ = ctl(t, nil, "diff", "--addr", one.HTTPAddr()+","+stale.HTTPAddr())
	require.Equal(t, 1, code)
	require.Contains(t, out, "the members do not agree\n")
}

// TestSettings come from flags, from the environment and from a file, in this order.
func TestSettings(t *testing.T) {
	authority := pki.New(t, "orders")
	cert, key := authority.Path("cert.pem"), authority.Path("key.pem")
	authority.Issue("n1", cert, key, pki.ForIP("127.0.0.1"))
	const token = "read-0123456789abcdef"
	c := newFleet(t).start(1, func(o *cluster.Options) {
		o.HTTP.Server.TLS.CertFile, o.HTTP.Server.TLS.KeyFile, o.HTTP.Server.TLS.RootCAFile = cert, key, authority.File
		o.HTTP.Guard = transport.GuardOptions{Tokens: []transport.Credential{{Token: func() string { return token }}}}
	})
	agree(t, c)
	dir := t.TempDir()
	tokens, config := filepath.Join(dir, "token"), filepath.Join(dir, "config.yaml")
	require.NoError(t, os.WriteFile(tokens, []byte(token+"\n"), 0o600))
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf("addr: %q\nca-file: %s\ntoken-file: %s\n", "https://"+c.HTTPAddr(), authority.File, tokens)), 0o600))
	good := []struct {
		env  map[string]string
		args []string
	}{
		{nil, []string{"--addr", c.HTTPAddr(), "--ca-file", authority.File, "--token-file", tokens}},
		{map[string]string{"CLUSTERCTL_ADDR": c.HTTPAddr(), "CLUSTERCTL_CA_FILE": authority.File, "CLUSTERCTL_TOKEN": token}, nil},
		{map[string]string{"CLUSTERCTL_CONFIG": config}, nil},
		{nil, []string{"--config", config}},
		{map[string]string{"CLUSTERCTL_ADDR": "127.0.0.1:1"}, []string{"--config", config, "--addr", "https://" + c.HTTPAddr()}},
	}
	for _, g := range good {
		for _, command := range [][]string{{"members"}, {"diff"}, {"events"}} {
			code, out, problems := ctl(t, g.env, append(command, g.args...)...)
			require.Zero(t, code, "%v: %s%s", g, out, problems)
		}
	}
	for want, args := range map[string][]string{
		"status 401":  {"members", "--addr", c.HTTPAddr(), "--ca-file", authority.File},
		"certificate": {"members", "--addr", "https://" + c.HTTPAddr(), "--token-file", tokens},
		"refused":     {"members", "--config", config, "--addr", "127.0.0.1:1"},
	} {
		code, _, problems := ctl(t, nil, args...)
		require.Equal(t, 1, code, args)
		require.Contains(t, problems, want)
		require.NotContains(t, problems, token)
	}
	code, _, problems := ctl(t, map[string]string{"CLUSTERCTL_ADDR": "127.0.0.1:1"}, "members", "--config", config)
	require.Equal(t, 1, code)
	require.Contains(t, problems, "refused", "the environment wins over the file")
	code, _, problems = ctl(t, nil, "events", "--addr", c.HTTPAddr(), "--ca-file", authority.File)
	require.Equal(t, 1, code)
	require.Contains(t, problems, "status 401")
}

// lines is a writer that hands on whole lines.
type lines struct {
	mu   sync.Mutex
	text string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(b)
	return len(b), nil
}

func (l *lines) has(pattern string) func() bool {
	compiled := regexp.MustCompile(pattern)
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return compiled.MatchString(l.text)
	}
}

// TestFollowingAnotherMember: when its member is gone, events --follow goes on with the
// next one, without what is older.
func TestFollowingAnotherMember(t *testing.T) {
	f := newFleet(t)
	all := f.many(2)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"events", "-f", "-a", all[0].HTTPAddr() + "," + all[1].HTTPAddr()}, func(string) (string, bool) { return "", false }, &out, &out)
	}()
	require.Eventually(t, out.has(`this member, n1, was joining`), 20*time.Second, 5*time.Millisecond)
	stopping, end := context.WithTimeout(t.Context(), 20*time.Second)
	defer end()
	require.NoError(t, all[0].Stop(stopping))
	require.Eventually(t, out.has(`member-left +n1 has left`), 20*time.Second, 5*time.Millisecond)
	require.False(t, out.has(`this member, n2, was joining`)(), "older than what was shown")
	require.NoError(t, all[1].Stop(stopping))
	require.Equal(t, 1, <-ended)
	require.True(t, out.has(`connection refused`)())
}

// TestFollowing: watch and events --follow write a line for each change until they are
// interrupted, which is a success.
func TestFollowing(t *testing.T) {
	f := newFleet(t)
	one := f.start(1)
	agree(t, one)
	for _, test := range []struct {
		args          []string
		before, after string
	}{
		{[]string{"watch"}, `Z  [0-9a-f]{16}  1 members, 64 partitions\n`, `  2 members, 64 partitions`},
		{[]string{"watch", "-o", "json"}, `"members":1,"partitions":64,"moving":false}\n`, `"members":2,"partitions":64`},
		{[]string{"events", "-f"}, `state-changed +this member, n1, was joining and is active\n`, `member-joined +n2 joined`},
		{[]string{"events", "-f", "-o", "json"}, `"kind":"state-changed"`, `"kind":"member-joined".*"member":"n2"`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out lines
		ended := make(chan int, 1)
		env := func(name string) (string, bool) { v, ok := at(one)[name]; return v, ok }
		go func() { ended <- run(ctx, test.args, env, &out, &out) }()
		require.Eventually(t, out.has(test.before), 20*time.Second, 5*time.Millisecond, "%v", test.args)
		two := f.start(2)
		require.Eventually(t, out.has(test.after), 20*time.Second, 5*time.Millisecond, "%v", test.args)
		cancel()
		require.Zero(t, <-ended)
		stopping, end := context.WithTimeout(t.Context(), 20*time.Second)
		require.NoError(t, two.Stop(stopping))
		end()
		agree(t, one)
	}
}
