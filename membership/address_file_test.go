package membership

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/memnet"
)

// keeping returns an edit of options: member i keeps addresses in a file of a directory.
func keeping(o Options, dir string) Options {
	o.Gossip.AddressFile = filepath.Join(dir, o.NodeID)
	return o
}

func started(t *testing.T, o Options) *Membership {
	t.Helper()
	m, err := New(o)
	require.NoError(t, err)
	require.NoError(t, m.Start(t.Context()))
	return m
}

// crash ends a member without notice. Its file stays as it is.
func crash(t *testing.T, network *memnet.Network, m *Membership) {
	t.Helper()
	network.Crash(m.Local().Addr)
	path := m.settings.Gossip.AddressFile
	data, err := os.ReadFile(path)
	m.shutdown()
	if path != "" {
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
}

// A member is away for 40 minutes and comes back at a new address. Meanwhile the only seed has
// ended for good. The member finds the others through its file.
func TestAMemberFindsTheOthersThroughItsFile(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		if testing.Short() && !crashed {
			continue // it takes forty minutes of virtual time
		}
		inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
			dir, seed := t.TempDir(), "10.0.0.1:7946"
			var all []*Membership
			for i := 1; i <= 4; i++ {
				all = append(all, started(t, keeping(joinOptions(network, i, seed), dir)))
			}
			add(all[1])
			add(all[2])
			add(all[3])
			time.Sleep(2 * time.Minute)
			if crashed {
				crash(t, network, all[3])
			} else {
				require.NoError(t, all[3].Stop(t.Context()))
			}
			time.Sleep(20 * time.Minute)
			require.NoError(t, all[0].Stop(t.Context()))
			time.Sleep(20 * time.Minute)
			o := keeping(joinOptions(network, 4, seed), dir)
			o.GossipAddr = "10.0.7.4:7946"
			back := started(t, o)
			add(back)
			found, _ := back.Members()
			require.Len(t, found, 3)
		})
	}
}

// Members that stayed look for a lost member also after a restart. Here all of them restart while
// the network is split, and the seed has ended.
func TestTheMembersThatStayedFindAMemberThroughTheirFiles(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		dir, seed := t.TempDir(), "10.0.0.1:7946"
		var all []*Membership
		for i := 1; i <= 4; i++ {
			all = append(all, started(t, keeping(joinOptions(network, i, seed), dir)))
		}
		time.Sleep(2 * time.Minute)
		cut := netip.MustParseAddrPort("10.0.0.4:7946")
		require.NoError(t, network.Partition([]netip.AddrPort{cut}))
		time.Sleep(5 * time.Minute)
		require.NoError(t, all[0].Stop(t.Context()))
		for i := 2; i <= 3; i++ { // one after the other: a rolling restart
			require.NoError(t, all[i-1].Stop(t.Context()))
			time.Sleep(time.Minute)
			all[i-1] = started(t, keeping(joinOptions(network, i, seed), dir))
			add(all[i-1])
			time.Sleep(3 * time.Minute)
		}
		require.NoError(t, all[3].Stop(t.Context())) // its file has no address of the others any more
		require.NoError(t, os.Remove(filepath.Join(dir, "n4")))
		alone := started(t, keeping(joinOptions(network, 4, seed), dir))
		add(alone)
		time.Sleep(25 * time.Minute)
		network.Heal()
		for range 120 {
			time.Sleep(10 * time.Second)
			if found, _ := alone.Members(); len(found) == 3 {
				return
			}
		}
		t.Fatal("the members that stayed did not find it in 20 minutes")
	})
}

// The file loses the addresses of members that left. It is written when the addresses have
// changed, and no more often than once a minute.
func TestTheFileOfKnownAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		dir, seed := t.TempDir(), "10.0.0.1:7946"
		o := keeping(joinOptions(network, 1), dir)
		o.Gossip.ForgetAfter = time.Hour
		add(started(t, o))
		path := filepath.Join(dir, "n1")
		read := func() (lines []string) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			for line := range strings.Lines(string(data)) {
				lines = append(lines, strings.TrimSpace(line))
			}
			return lines
		}
		writes, last := 0, ""
		watch := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Second) {
				if data, err := os.ReadFile(path); err == nil && string(data) != last {
					writes, last = writes+1, string(data)
				}
			}
		}
		for i := 2; i <= 21; i++ { // 20 members come and go in ten minutes
			m := started(t, joinOptions(network, i, seed))
			watch(20 * time.Second)
			require.NoError(t, m.Stop(t.Context()))
			watch(10 * time.Second)
		}
		require.LessOrEqual(t, writes, 11)
		require.GreaterOrEqual(t, writes, 5)
		stays, crashes := started(t, joinOptions(network, 30, seed)), started(t, joinOptions(network, 31, seed))
		add(stays)
		watch(2 * time.Minute)
		crash(t, network, crashes)
		watch(2 * time.Minute)
		lines := read()
		require.Equal(t, knownHeader+"orders", lines[0])
		require.Len(t, lines, 3, "%q", lines)
		require.Contains(t, lines[1], "10.0.0.30:7946")
		require.Contains(t, lines[2], "10.0.0.31:7946")
		writes = 0
		watch(65 * time.Minute)
		require.LessOrEqual(t, writes, 2)
		require.Len(t, read(), 2, "a lost member is forgotten")
	})
}

// A file that cannot be read or written is logged once, and the member starts.
func TestAFileOfKnownAddressesThatIsDamaged(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"garbage":   func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("\x00\xff\n\n"), 0o600)) },
		"empty":     func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) },
		"too long":  func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600)) },
		"directory": func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
		"another cluster": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(knownHeader+"invoices\n"), 0o600))
		},
		"no directory": func(t *testing.T, path string) { require.NoError(t, os.Remove(filepath.Dir(path))) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
				dir := filepath.Join(t.TempDir(), "kept")
				require.NoError(t, os.Mkdir(dir, 0o700))
				o := keeping(joinOptions(network, 1), dir)
				prepare(t, o.Gossip.AddressFile)
				logged := newLineLog(slog.LevelWarn)
				o.Logger = slog.New(logged)
				add(started(t, o))
				time.Sleep(30 * time.Minute)
				lines := strings.Join(logged.take(), "\n")
				require.Contains(t, lines, "the file of known addresses")
				for _, one := range []string{"cannot be read", "cannot be written"} {
					require.LessOrEqual(t, strings.Count(lines, one), 1, lines)
				}
			})
		})
	}
}

// An address from the file may belong to another cluster by now. That is no reason not to start.
func TestAKnownAddressThatBelongsToAnotherCluster(t *testing.T) {
	inBubble(t, func(t *testing.T, network *memnet.Network, add func(*Membership)) {
		other := joinOptions(network, 9)
		other.ClusterName = "invoices"
		add(started(t, other))
		o := keeping(joinOptions(network, 1), t.TempDir())
		line := time.Now().UTC().Format(time.RFC3339) + " 10.0.0.9:7946\n"
		require.NoError(t, os.WriteFile(o.Gossip.AddressFile, []byte(knownHeader+"orders\n"+line), 0o600))
		m := started(t, o)
		add(m)
		require.True(t, Drive(m).First(), "the address is not one of this cluster")
		require.Empty(t, m.remembered())

		named := joinOptions(network, 2, "10.0.0.9:7946")
		named.Gossip.AddressFile = filepath.Join(t.TempDir(), "n2")
		require.NoError(t, os.WriteFile(named.Gossip.AddressFile, []byte(knownHeader+"orders\n"+line), 0o600))
		wrong, err := New(named)
		require.NoError(t, err)
		require.ErrorIs(t, wrong.Start(t.Context()), ErrClusterName, "the seed is wrong too")
	})
}

func TestTheFormatOfKnownAddresses(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	addrs := make(map[netip.AddrPort]time.Time)
	for i := range 300 {
		addrs[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7946)] = now.Add(-time.Duration(i) * time.Minute)
	}
	data := encodeKnown("orders", addrs)
	got, err := decodeKnown(data, "orders", now, time.Hour)
	require.NoError(t, err)
	require.Len(t, got, 60, "the others are too old")
	got, err = decodeKnown(data, "orders", now, 72*time.Hour)
	require.NoError(t, err)
	require.Len(t, got, maxKnown)
	for addr, seen := range got {
		require.True(t, seen.Equal(addrs[addr]), addr)
	}
	const good = "2026-01-02T03:04:05Z "
	got, err = decodeKnown([]byte(knownHeader+"orders\n"+good+"[fd00::1]:7\n"+good+"0.0.0.0:7\nx\n"+good+"10.0.0.1:0\n"+good+"10.0.0.1:1"), "orders", now.Add(-time.Hour), time.Hour)
	require.ErrorContains(t, err, `line "2026-01-02T03:04:05Z 0.0.0.0:7": 0.0.0.0 means any address`)
	require.Len(t, got, 2)
	require.Equal(t, now.Add(-time.Hour), got[netip.MustParseAddrPort("10.0.0.1:1")], "a time ahead of the clock counts as now")
}

func FuzzKnownAddresses(f *testing.F) {
	f.Add([]byte(knownHeader + "orders\n2026-01-02T03:04:05Z 10.0.0.1:7946\n"))
	f.Add([]byte(knownHeader + "orders\n2026-01-02T03:04:05Z [::ffff:10.0.0.1]:1\n\n"))
	f.Add([]byte(knownHeader + "invoices"))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decodeKnown(data, "orders", now, 72*time.Hour)
		require.LessOrEqual(t, len(got), maxKnown)
		for addr, seen := range got {
			require.NoError(t, checkSeedAddr(addr))
			require.True(t, !seen.After(now) && now.Sub(seen) < 72*time.Hour)
		}
		if err != nil {
			require.Less(t, len(err.Error()), 4096)
		}
		again, err := decodeKnown(encodeKnown("orders", got), "orders", now, 73*time.Hour)
		require.NoError(t, err)
		require.Len(t, again, len(got), fmt.Sprint(got))
	})
}
