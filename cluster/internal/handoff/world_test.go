package handoff

import (
	"cmp"
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/clusterkit/clusterkit/cluster/internal/alarm"
	"github.com/clusterkit/clusterkit/cluster/internal/view"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/ring"
)

// world is a cluster of machines. All else is simulated, as badly as the model allows:
//
//   - news of members reaches each process in its own time;
//   - messages are late, out of order or lost;
//   - writes are admitted long before they are applied, and a request may be older than a
//     restart of its receiver;
//   - a merge takes as few sources as it may, and reads nothing from a source that was
//     restarted meanwhile.
type world struct {
	t     testing.TB
	seed  uint64
	rand  *rand.Rand
	now   time.Time
	began time.Time
	queue moments
	order uint64

	partitions, factor, quorum int
	without                    Safeguards
	everywhere                 uint64 // if not 0, the start of every process
	skew                       time.Duration
	latency                    time.Duration
	tardy                      time.Duration // if not 0, a quarter of the write requests is late, by up to this time
	lossy                      float64
	unreliable                 float64 // how often a source restarts when a merge relies on it

	disks  map[string]*disk // of members whose data survives a restart; nil: no member's does
	enough int              // how many members must be present before restored members begin

	starts   uint64
	versions uint64
	live     map[string]*worldProcess
	cut      map[string]bool
	reading  bool // check reads while handoffs go on
	uncut    bool // there are no cuts
	cloning  bool // step a clone of each machine beside it
	loose    bool // more processes may lose their state, so that not all owners become ready again
	wasCut   bool // there was a cut since all members were ready
	formed   bool // all members were ready once
	losses   int  // processes that lost their state since all members were ready
	writes   []*write
	written  int
	wrong    string // the first thing that went wrong
	history  []string
	messages uint64
	moved    int
	follow   int // one more than the partition to note details of
}

// worldProcess is a process of the world.
type worldProcess struct {
	Process
	w        *world
	machine  *Machine
	alarms   alarm.Queue[Timer]
	dead     bool
	known    map[string]announced // what the process knows of members, by NodeID
	view     *view.View
	builder  view.Builder
	gates    map[int]*worldGate
	standing map[int]Standing     // as the effects report it, by partition
	store    map[int]map[int]bool // writes, by partition
	jobs     map[uint64]bool      // jobs under way
	asleep   time.Time            // when the process wakes for its timers
	leaving  bool
	disk     *disk
	back     bool         // the process has found a partition on its disk
	dropped  map[int]bool // partitions that the process has released before
}

// disk is what a member finds when it starts again.
type disk struct {
	origin, starts uint64
	store          map[int]map[int]bool
	records        map[int][]byte // WholeProcess: the processes that departed
}

// announced is a member as of some version of what is known about it.
type announced struct {
	version uint64
	alive   bool
	member  membership.Member
}

type worldGate struct {
	token ring.Token
	epoch int
	late  int // writes under way that were accepted under earlier tokens
	now   int // writes under way that were accepted under this token
}

type write struct {
	id, partition int
	serving       []Process
	target        []Process
	acked         map[*worldProcess]bool // the processes that acknowledged the write
	holders       map[*worldProcess]bool // the processes that the claim counts
	known         bool                   // the write is acknowledged
}

type moment struct {
	at    time.Time
	order uint64
	do    func()
}

type moments []moment

func (m moments) Len() int { return len(m) }
func (m moments) Less(i, j int) bool {
	return cmp.Or(m[i].at.Compare(m[j].at), cmp.Compare(m[i].order, m[j].order)) < 0
}
func (m moments) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)   { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func newWorld(t testing.TB, seed uint64) *world {
	began := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	return &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), now: began, began: began,
		partitions: 8, factor: 3, quorum: 2, skew: 600 * time.Millisecond, latency: 40 * time.Millisecond, lossy: 0.02, unreliable: 0.01,
		live: make(map[string]*worldProcess), cut: make(map[string]bool),
	}
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, moment{w.now.Add(d), w.order, do})
}

func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rand.Int64N(int64(d) + 1))
}

// run lets a time pass, or less when something goes wrong.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(end) && w.wrong == "" {
		m := heap.Pop(&w.queue).(moment)
		w.now = m.at
		m.do()
	}
	w.now = end
}

func (w *world) note(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%8.3f ", w.now.Sub(w.began).Seconds())+fmt.Sprintf(format, args...))
}

// detail notes what happens to one partition, if the world follows that partition.
func (w *world) detail(p int, format string, args ...any) {
	if w.follow == p+1 {
		w.note("  p%d "+format, append([]any{p}, args...)...)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf("seed %d: ", w.seed) + fmt.Sprintf(format, args...)
		w.note("%s", w.wrong)
	}
}

// apart reports whether two members are on different sides of a cut.
func (w *world) apart(a, b string) bool { return w.cut[a] != w.cut[b] }

// start begins a process: the founder of the cluster, or a member that joins.
func (w *world) start(id string, founder bool) *worldProcess {
	w.starts++
	start := w.starts
	if w.everywhere != 0 {
		start = w.everywhere
	}
	self, kept := Process{id, start}, w.disk(id, start)
	self.Start = kept.origin
	a := &worldProcess{
		Process: self, w: w, known: make(map[string]announced),
		gates: make(map[int]*worldGate), standing: make(map[int]Standing), store: make(map[int]map[int]bool), jobs: make(map[uint64]bool), dropped: make(map[int]bool), view: view.Empty(),
	}
	a.machine = New(Config{Self: self, Partitions: w.partitions, Parallel: 4, Durable: w.disks != nil, Without: w.without})
	if w.disks != nil {
		a.resume(kept)
	}
	config := view.Configuration{Config: ring.Config{PartitionCount: w.partitions, ReplicationFactor: w.factor, WriteQuorum: w.quorum, Strategy: rebalance.Rendezvous{}}}
	a.builder = view.Builder{Configurations: map[string]view.Configuration{config.Name(): config}}
	if old := w.live[id]; old != nil {
		w.fail("%s runs twice", id)
	}
	for _, other := range w.live {
		if !w.apart(id, other.ID) {
			a.known[other.ID] = other.known[other.ID] // what the other member announces itself
		}
	}
	w.live[id] = a
	state := membership.Joining
	if founder {
		state = membership.Active
		a.step(Founding{})
	}
	m := membership.Member{ID: id, Weight: 1, State: state, PartitionCount: w.partitions,
		Configurations: []string{config.Name()}, Start: membership.Start{Number: w.starts, Nonce: start}}
	if a.back {
		m.Origin = kept.origin
	}
	w.announce(a, m)
	w.note("%s starts as %d", id, start)
	return a
}

// disk is what a member finds when it starts.
func (w *world) disk(id string, start uint64) *disk {
	d := w.disks[id]
	if _, _, held := w.journal(d); d == nil || !held {
		d = &disk{origin: start, store: make(map[int]map[int]bool), records: make(map[int][]byte)}
		if w.disks != nil {
			w.disks[id] = d
		}
	}
	d.starts++
	return d
}

// journal reads what is on a disk.
func (w *world) journal(d *disk) (records []Record, departed []Process, held bool) {
	if d == nil {
		return nil, nil, false
	}
	for _, p := range slices.Sorted(maps.Keys(d.records)) {
		var err error
		if p == WholeProcess {
			departed, _, err = ParseDeparted(d.records[p])
		} else {
			var r Record
			r, err = ParseRecord(d.records[p], p, w.partitions)
			records, held = append(records, r), held || r.Held()
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return records, departed, held
}

// resume restores a process from a disk.
func (a *worldProcess) resume(d *disk) {
	records, departed, held := a.w.journal(d)
	a.disk, a.store, a.back = d, d.store, held
	a.step(Restored{Starts: d.starts, Records: records, Departed: departed})
}

// announce changes the announcement of a process. The process itself learns it at once, and each other
// process at a time of its own.
func (w *world) announce(a *worldProcess, m membership.Member) {
	w.versions++
	news := announced{w.versions, true, m}
	a.learn(news)
	w.spread(a, news)
}

func (w *world) spread(from *worldProcess, news announced) {
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		other := w.live[id]
		if other != from && !w.apart(from.ID, id) {
			w.after(w.upTo(w.skew), func() {
				if !w.apart(from.ID, id) {
					other.learn(news)
				}
			})
		}
	}
}

// reportGone tells each other process, at a time of its own, that a process is gone.
func (w *world) reportGone(a *worldProcess, detection time.Duration) {
	news := announced{alive: false, member: a.known[a.ID].member}
	w.versions++
	news.version = w.versions
	for _, id := range slices.Sorted(maps.Keys(w.live)) {
		other := w.live[id]
		if other != a && !w.apart(a.ID, id) {
			w.after(detection+w.upTo(w.skew), func() { other.learn(news) })
		}
	}
}
