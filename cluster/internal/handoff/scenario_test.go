package handoff

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring"
)

// TestScenarios runs the files of testdata. Each is the worked example of a rule of
// docs/handoff.md, and testdata/README.md has the commands. Run it with -rewrite to write
// the present output into the files.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := newScenario()
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				s.t, s.log = t, nil
				s.do(d.Cmd, d.CmdArgs)
				for line := range strings.Lines(d.Input) {
					cmd, args, err := datadriven.ParseLine(line)
					require.NoError(t, err)
					s.do(cmd, args)
				}
				return strings.Join(s.log, "\n")
			})
		})
	}
}

func newScenario() *scenario {
	return &scenario{
		factor: 3, quorum: 2, running: make(map[string]*member), disks: make(map[string]*memberDisk), starts: make(map[string]uint64),
		writes: make(map[string]*request),
	}
}

// scenario is a cluster of machines with one partition. Only commands change it.
type scenario struct {
	t       *testing.T
	factor  int
	quorum  int
	durable bool
	running map[string]*member
	disks   map[string]*memberDisk
	starts  map[string]uint64 // how many starts each name had
	cut     []string          // the names on one side
	writes  map[string]*request
	queue   []sent // messages on their way
	quiet   bool   // messages and jobs that begin are not printed
	prompt  bool   // a batch of messages is sent at once
	names   bool   // tokens name members and not starts
	without Safeguards
	defect  func(*Machine) // spoils a machine before each of its events
	log     []string
}

// member is a process of a scenario.
type member struct {
	Process
	machine *Machine
	view    View
	data    map[string]bool // writes
	disk    *memberDisk     // nil without a journal
	timers  map[Timer]bool  // armed
	jobs    []Job           // under way
	copied  int             // sources that the merge under way has read
	token   ring.Token      // of the gate
	gate    *owners         // the owners that the token names
	open    map[string]bool // writes under way; true: accepted before the last fence
	stands  string          // the standing that was printed last
}

// memberDisk is what a process with a journal finds when it starts again.
type memberDisk struct {
	origin, starts uint64
	data           map[string]bool
	records        map[int][]byte
}

type sent struct {
	from, to Process
	bytes    []byte
	words    string
}

// arguments are the arguments of a command: names, and keys with lists.
type arguments struct {
	names []string
	lists map[string][]string
}

func (a arguments) has(name string) bool { return slices.Contains(a.names, name) }

// do carries out one command.
func (s *scenario) do(cmd string, args []datadriven.CmdArg) {
	a := arguments{lists: make(map[string][]string)}
	for _, arg := range args {
		if arg.Vals == nil {
			a.names = append(a.names, arg.Key)
		} else if list := strings.Join(arg.Vals, ","); list != "" {
			a.lists[arg.Key] = strings.Split(list, ",")
		}
	}
	commands := map[string]func(arguments){
		"cluster": s.configure, "start": s.start, "crash": s.crash, "off": s.off, "restart": s.restart, "leave": s.leave,
		"view": s.look, "cut": s.divide, "heal": s.heal,
		"send": s.send, "write": s.write, "arrive": s.arrive, "apply": s.apply, "copy": s.copy, "end": s.end, "accept-loss": s.acceptLoss,
		"pause": s.pause, "resume": s.pause,
		"deliver": s.deliver, "drop": s.drop, "timer": s.timer, "settle": s.settle, "status": s.status,
	}
	do := commands[cmd]
	require.NotNil(s.t, do, "no command %q", cmd)
	if cmd == "resume" {
		a.names = append(a.names, cmd)
	}
	do(a)
	if cmd != "status" {
		s.printChanges()
	}
}

func (s *scenario) print(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// at returns a process that runs.
func (s *scenario) at(name string) *member {
	p := s.running[name]
	require.NotNil(s.t, p, "%s does not run", name)
	return p
}

// sorted returns the processes that run, by name.
func (s *scenario) sorted() (all []*member) {
	for _, name := range slices.Sorted(maps.Keys(s.running)) {
		all = append(all, s.running[name])
	}
	return all
}

func (s *scenario) apart(a, b string) bool {
	return slices.Contains(s.cut, a) != slices.Contains(s.cut, b)
}

// quorums sets the replication factor and the write quorum, where they are given.
func (s *scenario) quorums(a arguments) {
	for key, at := range map[string]*int{"factor": &s.factor, "quorum": &s.quorum} {
		if list := a.lists[key]; list != nil {
			_, err := fmt.Sscan(list[0], at)
			require.NoError(s.t, err)
		}
	}
}

// configure sets the replication factor, the write quorum and whether there are journals,
// and forms a cluster of owners that are ready.
func (s *scenario) configure(a arguments) {
	s.quorums(a)
	s.durable, s.prompt = a.has("journal"), a.has("prompt")
	owners := a.lists["owners"]
	if owners == nil {
		return
	}
	s.start(arguments{names: []string{owners[0], "founder"}})
	for _, serving := range [][]string{owners[:1], owners} {
		s.look(arguments{lists: map[string][]string{"serving": serving, "target": owners[:len(s.running)]}})
		if len(s.running) == 1 && len(owners) > 1 {
			s.start(arguments{names: owners[1:]})
			s.look(arguments{lists: map[string][]string{"serving": serving, "target": owners}})
		}
		s.settle(arguments{})
	}
	s.log = nil
}

// start begins processes. With a journal a process goes on with what is on its disk.
func (s *scenario) start(a arguments) {
	for _, name := range a.names {
		if name == "founder" {
			continue
		}
		require.NotContains(s.t, s.running, name)
		s.starts[name]++
		p := &member{
			Process: Process{name, s.starts[name]}, data: make(map[string]bool), timers: make(map[Timer]bool), open: make(map[string]bool),
		}
		restored := s.find(p)
		p.machine = New(Config{Self: p.Process, Partitions: 1, Parallel: 1, Durable: s.durable, Without: s.without})
		s.running[name] = p
		if s.durable {
			s.step(p, restored)
		}
		if a.has("founder") {
			s.step(p, Founding{})
		}
	}
}

// find reads the disk of a process, if there are journals. When the disk holds no partition, the process
// begins as a new one, as in package cluster.
func (s *scenario) find(p *member) (found Restored) {
	if !s.durable {
		return found
	}
	d := s.disks[p.ID]
	if d == nil {
		d = &memberDisk{data: p.data, records: make(map[int][]byte)}
		s.disks[p.ID] = d
	}
	for at, b := range d.records {
		var err error
		if at == WholeProcess {
			found.Departed, found.Since, err = ParseDeparted(b)
		} else {
			var r Record
			r, err = ParseRecord(b, at, 1)
			found.Records = append(found.Records, r)
		}
		require.NoError(s.t, err)
	}
	found.Records = slices.DeleteFunc(found.Records, func(r Record) bool { return r.Before(found.Since) })
	if slices.ContainsFunc(found.Records, Record.Held) {
		s.starts[p.ID]--
		p.Start = d.origin
	} else {
		d.origin = p.Start
		for i, r := range found.Records {
			found.Records[i] = r.Released()
		}
	}
	d.starts++
	p.disk, p.data, found.Starts = d, d.data, d.starts
	return found
}

// off ends processes. Their disks stay.
func (s *scenario) off(a arguments) {
	for _, name := range a.names {
		gone := s.at(name).Process
		delete(s.running, name)
		s.queue = slices.DeleteFunc(s.queue, func(l sent) bool { return l.to == gone })
	}
}

// crash ends processes, and deletes their data.
func (s *scenario) crash(a arguments) {
	s.off(a)
	for _, name := range a.names {
		delete(s.disks, name)
	}
}

// restart is a crash and a start before any process has noticed.
func (s *scenario) restart(a arguments) {
	s.crash(a)
	s.start(a)
}

// leave ends a process that has no data left.
func (s *scenario) leave(a arguments) {
	p := s.at(a.names[0])
	if sum := p.machine.Summary(); !sum.Bare {
		s.print("%s may not leave: it holds %d, and %d owners do not know that it departs", word(p.Process), sum.Held, len(p.machine.untold()))
		return
	}
	s.print("%s leaves in order", word(p.Process))
	s.crash(a)
}

// divide cuts processes off from the other processes.
func (s *scenario) divide(a arguments) { s.cut = a.names }
func (s *scenario) heal(arguments)     { s.cut = nil }

// listed is a strategy that places every partition on the nodes that it lists, the
// primary first.
type listed []string

func (l listed) Name() string { return "listed/" + strings.Join(l, "+") }

func (l listed) Assign(t ring.Topology, table ring.Table) error {
	for p := range t.PartitionCount {
		for i := range table.Row(p) {
			at := slices.IndexFunc(t.Nodes, func(n ring.Node) bool { return n.ID == l[i] })
			table.Row(p)[i] = uint16(at)
		}
	}
	return nil
}

// begun returns the start of the process of a name: the one that runs, or the last one that ran.
func (s *scenario) begun(name string) uint64 {
	if p := s.running[name]; p != nil {
		return p.Start
	}
	return s.starts[name]
}

func (s *scenario) ring(names []string) *ring.Ring {
	var nodes []ring.Node
	ids := make(listed, len(names))
	for i, name := range names {
		p := s.named(name)
		ids[i] = p.ID
		n := ring.Node{ID: p.ID}
		if s.quorum > 0 { // with handoff off tokens do not name starts
			n.Start = p.Start
		}
		nodes = append(nodes, n)
	}
	r, err := ring.Build(ring.Config{PartitionCount: 1, ReplicationFactor: s.factor, WriteQuorum: s.quorum, Strategy: ids}, nodes)
	require.NoError(s.t, err)
	return r
}

// named returns the process that a name means: a1 is the first start of a, and a is its present start.
func (s *scenario) named(name string) (p Process) {
	if p.ID = strings.TrimRight(name, "0123456789"); p.ID == name {
		return Process{name, s.begun(name)}
	}
	_, err := fmt.Sscan(name[len(p.ID):], &p.Start)
	require.NoError(s.t, err)
	return p
}

// look gives a view to the processes in at, or to all. The processes in alive are alive in the view;
// without alive, all that the process can reach.
func (s *scenario) look(a arguments) {
	s.quorums(a)
	var r *ring.Ring
	if serving := a.lists["serving"]; serving != nil {
		r = s.ring(serving)
		if target := a.lists["target"]; target != nil {
			var err error
			r, err = r.Toward(s.ring(target))
			require.NoError(s.t, err)
		}
	}
	at := a.lists["at"]
	for _, p := range s.sorted() {
		if at != nil && !slices.Contains(at, p.ID) {
			continue
		}
		starts := make(map[string]uint64)
		for _, other := range s.sorted() {
			if alive := a.lists["alive"]; !s.apart(p.ID, other.ID) && (alive == nil || slices.Contains(alive, other.ID)) {
				starts[other.ID] = other.Start
			}
		}
		for _, name := range a.lists["alive"] {
			if named := s.named(name); named.ID != name {
				starts[named.ID] = named.Start
			}
		}
		away := make(map[string]bool)
		for _, name := range a.lists["away"] {
			starts[name], away[name] = s.begun(name), true
		}
		p.view = View{
			Ring: r, Starts: starts, Away: away,
			Draining: slices.Contains(a.lists["draining"], p.ID), Leaving: slices.Contains(a.lists["leaving"], p.ID),
		}
		s.step(p, p.view)
	}
}

func (s *scenario) acceptLoss(a arguments) { s.step(s.at(a.names[0]), LossAccepted{0}) }

func (s *scenario) pause(a arguments) {
	cause := Isolated
	if a.has("superseded") {
		cause = Superseded
	}
	s.step(s.at(a.names[0]), Paused{cause, !a.has("resume")})
}
