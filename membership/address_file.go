package membership

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/membership/hostport"
)

// A member can keep the addresses of other members in a file. After a restart it dials them beside
// the addresses that discovery names, which may all be gone by then. The file also has addresses
// of members that are lost: after a partition that outlasts a restart, no other memory has them.

const (
	maxKnown      = 256              // addresses in the file: the ones seen last
	maxKnownBytes = 64 << 10         // a longer file is damaged
	knownEvery    = time.Minute      // the least time between two writes
	knownCheck    = 10 * time.Second // the time between two comparisons with what was written
	knownRefresh  = time.Hour        // the time after which unchanged addresses are written with new times
	maxKnownWait  = 30 * time.Minute
)

// known holds the addresses from the file, and what was last written to it.
type known struct {
	file sync.Mutex // held while the file is written

	mu        sync.Mutex                   // guards the fields below
	loaded    map[netip.AddrPort]time.Time // when a member was last seen there; only addresses of no known member
	written   map[netip.AddrPort]time.Time
	wrote     time.Time
	nextCheck time.Time
	nextDial  time.Time
	turn      int // which address is dialled next
}

// recallFile reads the file. A file that cannot be used is no reason not to start.
func (m *Membership) recallFile() {
	path := m.settings.Gossip.AddressFile
	if path == "" {
		return
	}
	loaded, err := readKnown(path, m.settings.ClusterName, m.settings.now(), m.settings.Gossip.ForgetAfter)
	if err != nil {
		m.log.Warn("the file of known addresses cannot be read in full: the rest of it is used, and the file is replaced", "file", path, "error", err)
	}
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	m.known.loaded = loaded
}

func readKnown(path, cluster string, now time.Time, forget time.Duration) (map[netip.AddrPort]time.Time, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil // the first start
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file") // opening a pipe would block
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxKnownBytes+1))
	if err != nil {
		return nil, err
	}
	return decodeKnown(data, cluster, now, forget)
}

const knownHeader = "clusterkit addresses 1 "

// encodeKnown returns the content of the file: a line that names the format and the cluster, and
// then a line with time and address for each address, the latest first.
func encodeKnown(cluster string, addrs map[netip.AddrPort]time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, knownHeader+cluster)
	for _, addr := range latest(addrs) {
		fmt.Fprintln(&b, addrs[addr].UTC().Format(time.RFC3339), addr)
	}
	return b.Bytes()
}

// latest returns the addresses that were seen last, up to maxKnown of them, the latest first.
func latest(addrs map[netip.AddrPort]time.Time) []netip.AddrPort {
	sorted := slices.SortedFunc(maps.Keys(addrs), func(a, b netip.AddrPort) int {
		return cmp.Or(addrs[b].Compare(addrs[a]), a.Compare(b))
	})
	return sorted[:min(len(sorted), maxKnown)]
}

// decodeKnown reads the content of the file. It returns the addresses of the lines that are
// valid and no older than forget. The error is about the first line that is not
// valid.
func decodeKnown(data []byte, cluster string, now time.Time, forget time.Duration) (map[netip.AddrPort]time.Time, error) {
	if len(data) > maxKnownBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxKnownBytes)
	}
	header, rest, _ := strings.Cut(string(data), "\n")
	switch other, ours := strings.CutPrefix(header, knownHeader); {
	case !ours:
		return nil, fmt.Errorf("it begins with %.64q and not with %q", header, knownHeader)
	case other != cluster:
		return nil, fmt.Errorf("it belongs to cluster %.128q", other)
	}
	addrs := make(map[netip.AddrPort]time.Time)
	var invalid error
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\n"), "\n") {
		if rest == "" {
			break
		}
		text, seed, _ := strings.Cut(line, " ")
		seen, err := time.Parse(time.RFC3339, text)
		addr, addrErr := netip.ParseAddrPort(seed)
		if err = errors.Join(err, addrErr); err == nil {
			addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
			err = checkSeedAddr(addr)
		}
		if err != nil {
			invalid = cmp.Or(invalid, fmt.Errorf("line %.128q: %s", line, oneLine(err)))
			continue
		}
		if seen.After(now) {
			seen = now
		}
		if now.Sub(seen) < forget && seen.After(addrs[addr]) {
			addrs[addr] = seen
		}
	}
	kept := make(map[netip.AddrPort]time.Time, min(len(addrs), maxKnown))
	for _, addr := range latest(addrs) {
		kept[addr] = addrs[addr]
	}
	return kept, invalid
}

func checkSeedAddr(addr netip.AddrPort) error {
	if addr.Port() == 0 || addr.Addr().Zone() != "" {
		return errors.New("no port, or an IPv6 zone")
	}
	return hostport.CheckReachable(addr.Addr())
}

// remembered returns the addresses from the file that belong to no known member, the latest first.
func (m *Membership) remembered() []netip.AddrPort {
	m.known.mu.Lock()
	addrs := latest(m.known.loaded)
	m.known.mu.Unlock()
	if len(addrs) == 0 {
		return nil
	}
	return m.unknown(addrs)
}

// unlearn removes an address that leads to a process of another cluster.
func (m *Membership) unlearn(addr netip.AddrPort) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	delete(m.known.loaded, addr)
}

// recall dials a remembered address when one is due, and writes the file when that is due. A
// member that is alone dials all remembered addresses in its searches. The wait between two dials
// grows with the time since Start, so that old addresses cost little.
func (m *Membership) recall() {
	if m.settings.Gossip.AddressFile == "" {
		return
	}
	m.keepKnown()
	addrs, now := m.remembered(), m.settings.now()
	if len(addrs) == 0 || m.registry.countOthers() == 0 {
		return
	}
	m.known.mu.Lock()
	due := !now.Before(m.known.nextDial)
	if due {
		wait := max(now.Sub(m.instance.opened)/lostShare, m.settings.timings.rejoinInterval)
		m.known.nextDial = now.Add(jitter(min(wait, maxKnownWait)))
		m.known.turn++
	}
	turn := m.known.turn
	m.known.mu.Unlock()
	if !due {
		return
	}
	addr := addrs[turn%len(addrs)]
	m.contact(addr, func(err error) {
		if errors.Is(err, ErrClusterName) {
			m.unlearn(addr)
		}
	})
}

// keepKnown writes the file when that is due, in the background: a disk may be slow.
func (m *Membership) keepKnown() {
	if data := m.dueKnown(false); data != nil {
		m.background(func() { m.writeKnown(data) })
	}
}

// dueKnown returns what is to be written to the file, or nil when nothing is. That is when the
// addresses have changed, at most once in knownEvery unless this member stops. Unchanged addresses
// are written again after knownRefresh.
func (m *Membership) dueKnown(stopping bool) []byte {
	now, k := m.settings.now(), &m.known
	k.mu.Lock()
	defer k.mu.Unlock()
	if !stopping && now.Before(k.nextCheck) {
		return nil
	}
	k.nextCheck = now.Add(knownCheck)
	alive, gone, left := m.registry.lastSeen(now)
	maps.DeleteFunc(k.loaded, func(addr netip.AddrPort, seen time.Time) bool {
		_, here := alive[addr]
		_, failed := gone[addr]
		return here || failed || left[addr] || now.Sub(seen) >= m.settings.Gossip.ForgetAfter
	})
	all := make(map[netip.AddrPort]time.Time, len(k.loaded)+len(gone)+len(alive))
	maps.Copy(all, k.loaded)
	maps.Copy(all, gone)
	maps.Copy(all, alive)
	same := maps.EqualFunc(all, k.written, func(time.Time, time.Time) bool { return true })
	if since := now.Sub(k.wrote); same && since < knownRefresh || !same && since < knownEvery && !stopping {
		return nil
	}
	k.wrote, k.written = now, all
	return encodeKnown(m.settings.ClusterName, all)
}

func (m *Membership) writeKnown(data []byte) {
	path := m.settings.Gossip.AddressFile
	if !m.known.file.TryLock() {
		return // a disk on which one write takes longer than knownEvery
	}
	defer m.known.file.Unlock()
	if err := replaceFile(path, data); err != nil {
		m.known.mu.Lock()
		m.known.written = nil // the file is written again
		m.known.mu.Unlock()
		if ok, _ := m.lines.repeats.say("known addresses", m.settings.now()); ok {
			m.log.Warn("the file of known addresses cannot be written: after a restart this member knows only what discovery names", "file", path, "error", err)
		}
	}
}

// replaceFile writes a file beside the one at path, and renames it. A crash leaves either the old
// content or the new one.
func replaceFile(path string, data []byte) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// lastSeen returns the addresses of the other members: of those believed alive with the time now,
// of those that failed with the time at which they did, and of those that left.
func (r *registry) lastSeen(now time.Time) (alive, failed map[netip.AddrPort]time.Time, left map[netip.AddrPort]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	alive, failed, left = make(map[netip.AddrPort]time.Time), make(map[netip.AddrPort]time.Time), make(map[netip.AddrPort]bool)
	for name, m := range r.alive {
		if name != r.self {
			alive[m.Addr] = now
		}
	}
	for _, d := range r.departed {
		if d.failed {
			failed[d.member.Addr] = d.at
		} else {
			left[d.member.Addr] = true
		}
	}
	return alive, failed, left
}
