package membership

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// names is a resolver of fixed records that stores the names it was asked for.
type names struct {
	mu    sync.Mutex
	asked []string
	hosts map[string][]netip.Addr
	srv   map[string][]*net.SRV
	delay time.Duration
	most  int // the largest number of lookups at a time
	now   int
}

var errNoSuchName = errors.New("no such name")

func (n *names) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	n.asked = append(n.asked, network+" "+host)
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.now--
		n.mu.Unlock()
	}()
	if n.delay > 0 {
		select {
		case <-time.After(n.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	found, ok := n.hosts[host]
	if !ok {
		return nil, errNoSuchName
	}
	return found, nil
}

func (n *names) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	key := strings.Join([]string{service, proto, name}, "|")
	found, ok := n.srv[key]
	if !ok {
		return "", nil, errNoSuchName
	}
	if name == "partly" {
		return name, found, errors.New("some records are invalid")
	}
	return name, found, nil
}

func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestStatic(t *testing.T) {
	given := []string{"a:1", "b"}
	d := Static(given...)
	given[0] = "changed"
	for range 2 {
		got, err := d.Discover(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"a:1", "b"}, got)
		got[0] = "changed"
	}
	got, err := Static().Discover(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestDNS(t *testing.T) {
	r := &names{hosts: map[string][]netip.Addr{
		"orders.svc": addrs("10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1", "10.0.0.2"),
	}}
	got, err := DNS{Name: "orders.svc", Port: 7946, Resolver: r}.Discover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"10.0.0.1:7946", "[2001:db8::1]:7946", "10.0.0.2:7946"}, got)
	require.Equal(t, []string{"ip orders.svc"}, r.asked)

	_, err = DNS{Name: "gone", Port: 7946, Resolver: r}.Discover(t.Context())
	require.ErrorIs(t, err, errNoSuchName)
	for want, d := range map[string]DNS{
		`membership: DNS discovery: looking up "gone": no such name`:        {Name: "gone", Port: 1, Resolver: r},
		"membership: DNS discovery: Name is empty":                          {Port: 1},
		`membership: DNS discovery of "x": Port 0 is not in [1, 65535]`:     {Name: "x"},
		`membership: DNS discovery of "x": Port 65536 is not in [1, 65535]`: {Name: "x", Port: 65536},
	} {
		_, err := d.Discover(t.Context())
		require.EqualError(t, err, want)
	}
	var _ Resolver = net.DefaultResolver
	got, err = DNS{Name: "127.0.0.1", Port: 1}.Discover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:1"}, got, "nil is the default resolver")
}

func TestSRV(t *testing.T) {
	r := &names{srv: map[string][]*net.SRV{
		"gossip|udp|orders.svc": {
			{Target: "orders-0.orders.svc.", Port: 7946}, {Target: "orders-1.orders.svc", Port: 7947},
			{Target: "orders-0.orders.svc.", Port: 7946}, {Target: ".", Port: 1}, {Target: "x.", Port: 0},
		},
		"||partly": {{Target: "good.", Port: 1}},
	}}
	got, err := SRV{Service: "gossip", Proto: "udp", Name: "orders.svc", Resolver: r}.Discover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"orders-0.orders.svc:7946", "orders-1.orders.svc:7947"}, got)

	got, err = SRV{Name: "partly", Resolver: r}.Discover(t.Context())
	require.Equal(t, []string{"good:1"}, got)
	require.EqualError(t, err, `membership: SRV discovery: looking up service "", protocol "", name "partly": some records are invalid`)

	_, err = SRV{Resolver: r}.Discover(t.Context())
	require.EqualError(t, err, "membership: SRV discovery: Name is empty")
	_, err = SRV{Name: "gone", Resolver: r}.Discover(t.Context())
	require.ErrorIs(t, err, errNoSuchName)
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seeds")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	d := File{Path: path}

	_, err := d.Discover(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)

	write("# seeds\n\n  orders-0:7946 # the first\r\n10.0.0.2\n[2001:db8::1]:7946\norders-0:7946")
	got, err := d.Discover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"orders-0:7946", "10.0.0.2", "[2001:db8::1]:7946"}, got)

	write("good\nbad host\nalso-good:1\n:0")
	got, err = d.Discover(t.Context())
	require.Equal(t, []string{"good", "also-good:1"}, got)
	require.EqualError(t, err, `membership: file discovery: "`+path+`": line 2: membership: seed "bad host": `+
		"host name has a character other than A-Z a-z 0-9 . _ -\n"+
		`line 4: membership: seed ":0": port "0" is not a number in [1, 65535]`)

	write("")
	got, err = d.Discover(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestFileLimits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seeds")
	d := File{Path: path}

	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#\n", maxSeedFile/2)), 0o600))
	_, err := d.Discover(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#\n", maxSeedFile/2)+"#"), 0o600))
	_, err = d.Discover(t.Context())
	require.EqualError(t, err, `membership: file discovery: "`+path+`" has more than 1048576 bytes`)

	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("host\n", 1000)), 0o600))
	_, err = d.Discover(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("host\n", 1001)), 0o600))
	got, err := d.Discover(t.Context())
	require.Empty(t, got)
	require.EqualError(t, err, `membership: file discovery: "`+path+`": more than 1000 addresses`)

	_, err = File{Path: dir}.Discover(t.Context())
	require.EqualError(t, err, `membership: file discovery: "`+dir+`" is not a regular file`)
	_, err = File{}.Discover(t.Context())
	require.EqualError(t, err, "membership: file discovery: Path is empty")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Discover(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestJoinDiscoveries(t *testing.T) {
	failure := errors.New("broken")
	partial := DiscoveryFunc(func(context.Context) ([]string, error) { return []string{"c", "a"}, failure })
	got, err := Join(Static("a", "b"), nil, partial, Static("d")).Discover(t.Context())
	require.Equal(t, []string{"a", "b", "c", "d"}, got)
	require.ErrorIs(t, err, failure)

	got, err = Join().Discover(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestJoinDiscoveriesAsksAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := DiscoveryFunc(func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		got, err := Join(slow, Static("a"), slow).Discover(ctx)
		require.Equal(t, []string{"a"}, got)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}
