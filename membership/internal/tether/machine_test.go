package tether

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	testSettle = 300 * time.Millisecond
	testLimit  = 2 * time.Second
	testBeat   = time.Second
)

func testName(i int) string { return fmt.Sprintf("n%d~%016x", i, i) }

func testOptions(self string) Options {
	return Options{
		Self: self, Held: 3, Gone: 2, Silent: 3, Beat: testBeat, Turn: testBeat, Missed: 3,
		Settle: testSettle, Limit: testLimit, Rest: testSettle,
	}
}

// desk is one machine, the present time, and the actions that nobody has looked at.
type desk struct {
	t       require.TestingT
	machine *Machine
	now     time.Time
	actions []Action
}

// newDesk returns the machine of member 0 among n members, all of which take part.
func newDesk(t require.TestingT, n int) *desk {
	d := &desk{t: t, machine: New(testOptions(testName(0))), now: time.Unix(1000, 0)}
	for i := 1; i < n; i++ {
		d.step(Seen{Name: testName(i), Speaks: true})
	}
	return d
}

func (d *desk) step(e Event) { d.actions = append(d.actions, d.machine.Step(d.now, e)...) }

// take returns the actions since the last call.
func (d *desk) take() []Action {
	all := d.actions
	d.actions = nil
	return all
}

// sleep lets time pass, and answers what the machine asks for as the given functions say.
func (d *desk) sleep(wait time.Duration, dial func(Dial) *Dialed, ping func(Ping) *Pinged) {
	end := d.now.Add(wait)
	for {
		for i := 0; i < len(d.actions); i++ {
			switch a := d.actions[i].(type) {
			case Dial:
				if e := dial(a); e != nil {
					e.Name, e.Use = a.Name, a.Use
					d.step(*e)
				}
			case Ping:
				if e := ping(a); e != nil {
					e.Name = a.Name
					d.step(*e)
				}
			default:
				continue
			}
			d.actions = slices.Delete(d.actions, i, i+1)
			i = -1
		}
		next := d.machine.Next()
		if next.IsZero() || next.After(end) {
			d.now = end
			return
		}
		if next.After(d.now) {
			d.now = next
		}
		d.step(Tick{})
	}
}

func outcome(o Outcome) func(Dial) *Dialed { return func(Dial) *Dialed { return &Dialed{Outcome: o} } }
func pinged(answered bool) func(Ping) *Pinged {
	return func(Ping) *Pinged { return &Pinged{Answered: answered} }
}

// hold lets the machine open its tethers, and returns the names at the other ends.
func (d *desk) hold() []string {
	d.sleep(testSettle, outcome(Alive), pinged(true))
	d.take()
	names := d.machine.order()
	_, open := d.machine.Counts()
	require.Len(d.t, names, open)
	return names
}

func declared(actions []Action) (names []string) {
	for _, a := range actions {
		if dead, is := a.(Declare); is {
			names = append(names, dead.Name)
		}
	}
	return names
}

func TestAMemberHoldsTethersToTheNextOnes(t *testing.T) {
	for n := 1; n <= 8; n++ {
		d := newDesk(t, n)
		require.Len(t, d.hold(), min(3, n-1))
	}
	d := newDesk(t, 3)
	d.step(Seen{Name: "old~0000000000000001"})
	d.step(Seen{Name: testName(1), Speaks: true, Parting: true})
	require.Equal(t, []string{testName(2)}, d.hold(), "neither a member without tethers nor one that leaves")
}

// Every start has as many holders as there are tethers, and two members with the same list agree who
// they are.
func TestHoldersAreTheSameEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "members")
		holders := make(map[string][]string)
		for i := range n {
			m := New(testOptions(testName(i)))
			for _, j := range rapid.Permutation(slices.Collect(func(yield func(int) bool) {
				for k := range n {
					if !yield(k) {
						return
					}
				}
			})).Draw(t, "order") {
				m.Step(time.Unix(1000, 0), Seen{Name: testName(j), Speaks: true})
			}
			for _, about := range m.order() {
				holders[about] = append(holders[about], testName(i))
				require.NotContains(t, m.holdersOf(about), testName(i))
				require.Len(t, m.holdersOf(about), min(3, n-1)-1)
			}
		}
		require.Len(t, holders, n)
		for about, all := range holders {
			require.Len(t, all, min(3, n-1), about)
		}
	})
}

// What ends an examination, and with which finding, when one other holder claims the same.
func TestExaminations(t *testing.T) {
	for name, test := range map[string]struct {
		dial   func(Dial) *Dialed
		ping   bool
		claims []Finding
		dead   bool
	}{
		"refused":                                    {outcome(Refused), false, []Finding{Gone}, true},
		"refused, and alone":                         {outcome(Refused), false, nil, false},
		"refused, and a ping is answered":            {outcome(Refused), true, []Finding{Gone, Gone}, false},
		"refused at first alone":                     {earlyOnly(Refused, Unclear), false, []Finding{Gone, Gone}, false},
		"refused at last":                            {earlyOnly(Unclear, Refused), false, []Finding{Gone}, true},
		"refused at first, and without answer later": {earlyOnly(Refused, TimedOut), false, []Finding{Gone, Gone}, false},
		"no answer to a connection":                  {outcome(Unclear), false, []Finding{Gone, Silent}, false},
		"the start answers":                          {outcome(Alive), false, []Finding{Gone, Gone}, false},
		"timed out":                                  {outcome(TimedOut), false, []Finding{Silent, Silent}, true},
		"timed out, and one other":                   {outcome(TimedOut), false, []Finding{Silent}, false},
		"timed out, and a ping is answered":          {outcome(TimedOut), true, []Finding{Silent, Silent}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, 12)
			victim := d.hold()[0]
			d.step(Ended{Name: victim})
			for i, v := range test.claims {
				d.step(Claimed{From: d.machine.holdersOf(victim)[i], About: victim, Finding: v})
			}
			d.sleep(testSettle+10*time.Millisecond, test.dial, pinged(test.ping))
			if test.dead {
				require.Equal(t, []string{victim}, declared(d.take()))
			} else {
				d.sleep(testLimit, test.dial, pinged(test.ping))
				require.Empty(t, declared(d.take()))
			}
		})
	}
}

func earlyOnly(first, later Outcome) func(Dial) *Dialed {
	return func(a Dial) *Dialed {
		if a.Use == Decides {
			return &Dialed{Outcome: later}
		}
		return &Dialed{Outcome: first}
	}
}

// However many others claim that a member is dead, a member that finds it alive does not declare it
// dead, and looks at most once a second.
func TestClaimsAreNoEvidence(t *testing.T) {
	d := newDesk(t, 30)
	victim := d.hold()[1]
	dials := 0
	alive := func(Dial) *Dialed { dials++; return &Dialed{Outcome: Alive} }
	for i := range 10_000 {
		d.step(Claimed{From: testName(1 + i%29), About: victim, Finding: Gone})
		d.sleep(time.Millisecond, alive, pinged(true))
	}
	require.Empty(t, declared(d.take()))
	require.LessOrEqual(t, dials, 11)
	require.LessOrEqual(t, len(d.machine.holds[victim].claims), maxClaims)
}

// Whatever happens, no member is declared dead of which a ping was answered, or no dial was refused
// or timed out, since it was last seen.
func TestNobodyIsDeclaredDeadWithoutEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t, rapid.IntRange(2, 10).Draw(t, "members"))
		evidence := make(map[string]bool)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			who := testName(rapid.IntRange(1, 10).Draw(t, "who"))
			other := testName(rapid.IntRange(1, 10).Draw(t, "other"))
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0:
				d.step(Ended{Name: who, Parted: rapid.Bool().Draw(t, "parted")})
			case 1:
				d.step(Claimed{From: other, About: who, Finding: Finding(rapid.IntRange(0, 4).Draw(t, "finding"))})
			case 2:
				d.step(Doubted{Name: who})
			case 3:
				d.step(Turn{})
			case 4:
				d.step(Beat{Name: who})
			case 5:
				d.step(Lost{Name: who, Failed: rapid.Bool().Draw(t, "failed")})
				delete(evidence, who)
			case 6:
				d.step(Seen{Name: who, Speaks: true, Parting: rapid.Bool().Draw(t, "parting")})
			default:
				answered := rapid.Bool().Draw(t, "answered")
				o := Outcome(rapid.IntRange(0, 4).Draw(t, "outcome"))
				d.sleep(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms"))*time.Millisecond, func(a Dial) *Dialed {
					if o != Unclear && o != Alive && !answered {
						evidence[a.Name] = true
					}
					return &Dialed{Outcome: o, By: other}
				}, pinged(answered))
			}
			for _, name := range declared(d.take()) {
				require.True(t, evidence[name], name)
			}
			require.LessOrEqual(t, len(d.machine.holds), maxWidening*3)
			_, open := d.machine.Counts()
			require.LessOrEqual(t, open, len(d.machine.holds))
		}
	})
}

func TestAMemberThatCameBackIsDistrusted(t *testing.T) {
	d := newDesk(t, 6)
	victim := d.hold()[0]
	comesBack := func() {
		d.step(Lost{Name: victim, Failed: true})
		d.step(Seen{Name: victim, Speaks: true})
	}
	attempt := func() []string {
		d.hold()
		d.step(Ended{Name: victim})
		for _, from := range d.machine.holdersOf(victim) {
			d.step(Claimed{From: from, About: victim, Finding: Gone})
		}
		d.sleep(testSettle+10*time.Millisecond, outcome(Refused), pinged(false))
		return declared(d.take())
	}
	comesBack()
	require.Equal(t, []string{victim}, attempt(), "gossip was wrong, and no examination")
	comesBack()
	require.Empty(t, attempt())
	d.sleep(distrustFirst, outcome(Alive), pinged(true))
	require.Equal(t, []string{victim}, attempt())
}

// Members that fail together and come back have been cut off, and are examined as before.
func TestMembersThatCameBackTogether(t *testing.T) {
	for failed := 1; failed <= 2*maxGroup; failed++ {
		d := newDesk(t, 12)
		gone := d.machine.circle.after(testName(0), failed)
		d.hold()
		d.step(Ended{Name: gone[0]})
		d.sleep(testSettle+10*time.Millisecond, outcome(TimedOut), pinged(false))
		for _, name := range gone {
			d.step(Lost{Name: name, Failed: true})
		}
		for _, name := range gone {
			d.step(Seen{Name: name, Speaks: true})
		}
		require.Equal(t, failed <= maxGroup, d.machine.memory.distrusts(gone[0], d.now), failed)
	}
}

// A silent start is suspected at the finding, and distrusted when it refutes that.
func TestASilentStartThatRefutes(t *testing.T) {
	d := newDesk(t, 12)
	victim := d.hold()[0]
	silent := func() {
		d.step(Ended{Name: victim})
		d.sleep(testSettle+10*time.Millisecond, outcome(TimedOut), pinged(false))
	}
	silent()
	require.Contains(t, d.take(), Action(Suspect{victim}))
	d.step(Refuted{Name: victim})
	for _, from := range d.machine.holdersOf(victim) {
		d.step(Claimed{From: from, About: victim, Finding: Silent})
	}
	d.sleep(maxRenewWait, outcome(TimedOut), pinged(false))
	require.Empty(t, declared(d.take()))
	d.sleep(distrustFirst, outcome(Alive), pinged(true))
	d.take()
	silent()
	require.Contains(t, d.take(), Action(Suspect{victim}))
}

// While another start of the same NodeID answers, the finding waits until all members know that
// start.
func TestARestartKeepsItsPlace(t *testing.T) {
	d := newDesk(t, 6)
	victim := d.hold()[0]
	id, _, _ := strings.Cut(victim, "~")
	d.step(Ended{Name: victim})
	d.step(Claimed{From: d.machine.holdersOf(victim)[0], About: victim, Finding: Gone})
	replaced := func(a Dial) *Dialed {
		if a.Name != victim {
			return &Dialed{Outcome: Alive}
		}
		return &Dialed{Outcome: Replaced, By: id + "~00000000000000ff"}
	}
	d.sleep(testLimit-100*time.Millisecond, replaced, pinged(false))
	require.Empty(t, declared(d.take()))
	d.sleep(100*time.Millisecond, replaced, pinged(false))
	require.Equal(t, []string{victim}, declared(d.take()))
}

func TestBeats(t *testing.T) {
	d := newDesk(t, 6)
	silent := d.hold()[0]
	turn := func(wait time.Duration) {
		d.now = d.now.Add(wait)
		d.step(Turn{})
		for _, name := range d.machine.order() {
			if name != silent {
				d.step(Beat{Name: name})
			}
		}
	}
	turn(testBeat)
	turn(testBeat)
	turn(10 * testBeat) // this process stood still
	require.Empty(t, d.take())
	turn(testBeat)
	turn(testBeat)
	require.Empty(t, d.take())
	turn(testBeat)
	require.Equal(t, []Action{Ping{silent}, Dial{silent, Looks}}, d.take())
	d.step(Beat{Name: silent})
	d.sleep(testLimit, outcome(TimedOut), pinged(false))
	require.Empty(t, d.take(), "a beat ends the examination")
}

// Turns shorter than the time between two beats are counted one by one. A turn that took long does not count.
func TestSilenceIsCountedInTurns(t *testing.T) {
	d := newDesk(t, 6)
	d.machine.opts.Turn, d.machine.opts.Missed = testBeat/5, 12
	d.hold()
	turns := func(n int, each time.Duration) {
		for range n {
			d.now = d.now.Add(each)
			d.step(Turn{})
		}
	}
	turns(6, testBeat/5)
	turns(5, testBeat) // this process is slow
	turns(5, testBeat/5)
	require.Empty(t, d.take())
	turns(1, testBeat/5)
	require.NotEmpty(t, d.take())
}

// A member asks the holders of another one to examine it, at most once a second.
// A start that ends each tether as soon as it is open is dialled more and more rarely.
func TestTethersThatDoNotStayOpen(t *testing.T) {
	d := newDesk(t, 2)
	d.hold()
	name, dials := testName(1), 0
	d.sleep(time.Minute, outcome(Alive), pinged(true))
	d.step(Ended{Name: name})
	d.sleep(10*time.Minute, func(Dial) *Dialed {
		if dials++; dials > 100 {
			require.FailNow(t, "dials without a pause")
		}
		d.step(Dialed{Name: name, Use: Opens, Outcome: Alive})
		d.now = d.now.Add(time.Millisecond)
		d.step(Ended{Name: name})
		return nil
	}, pinged(true))
	require.Greater(t, dials, 5)
	require.Less(t, dials, 60)
	require.Empty(t, declared(d.take()))

	d.sleep(time.Minute, outcome(Alive), pinged(true))
	d.step(Beat{Name: name})
	d.step(Ended{Name: name})
	var examined bool
	for _, a := range d.take() {
		_, ping := a.(Ping)
		examined = examined || ping
	}
	require.True(t, examined, "a tether that stayed open is examined at once")
}

func TestDoubts(t *testing.T) {
	d := newDesk(t, 12)
	held := d.hold()
	var far string
	for i := 1; i < 12; i++ {
		if !slices.Contains(held, testName(i)) {
			far = testName(i)
		}
	}
	for range 5 {
		d.step(Doubted{Name: far})
	}
	asked := d.take()
	require.NotEmpty(t, asked)
	require.LessOrEqual(t, len(asked), 3)
	for _, a := range asked {
		require.Equal(t, Claim{To: a.(Claim).To, About: far, Finding: Doubt}, a)
	}
	d.step(Claimed{From: far, About: held[0], Finding: Doubt})
	require.Equal(t, []Action{Ping{held[0]}, Dial{held[0], Looks}}, d.take())
}

// A part of the circle that fails at once is known at once: the holders look beyond it.
func TestNeighboursThatFailTogether(t *testing.T) {
	d := newDesk(t, 30)
	order := d.machine.circle.after(testName(0), 29)
	d.hold()
	for _, name := range order[:3] {
		d.step(Ended{Name: name})
	}
	refused := func(a Dial) *Dialed {
		if slices.Contains(order[:6], a.Name) {
			return &Dialed{Outcome: Refused}
		}
		return &Dialed{Outcome: Alive}
	}
	d.sleep(testSettle+100*time.Millisecond, refused, pinged(false))
	declared := make(map[string]bool)
	for _, a := range d.take() {
		if claim, is := a.(Claim); is {
			declared[claim.About] = true
		}
	}
	for _, name := range order[:6] {
		require.True(t, declared[name], name)
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	d := newDesk(t, 1)
	for i := range maxMemory + 50 {
		d.step(Seen{Name: testName(i + 1), Speaks: true})
		d.step(Lost{Name: testName(i + 1), Failed: true})
		d.now = d.now.Add(time.Second)
	}
	require.Len(t, d.machine.memory.all, maxMemory)
	require.Empty(t, d.machine.members)
	require.Len(t, d.machine.circle.places, 1)
}

// A member examines a start that another member believes dead, whether it holds a tether to it or not,
// and needs no claim of a holder.
func TestReports(t *testing.T) {
	d := newDesk(t, 12)
	held := d.hold()
	var far string
	for i := 1; i < 12; i++ {
		if !slices.Contains(held, testName(i)) {
			far = testName(i)
		}
	}
	for _, name := range []string{far, held[0]} {
		t.Run("alive", func(t *testing.T) {
			d.step(Reported{Name: name})
			d.sleep(testLimit, outcome(Alive), pinged(true))
			require.Empty(t, declared(d.take()))
			require.Equal(t, held, d.machine.order())
		})
		t.Run("one answer", func(t *testing.T) {
			d.sleep(askPause, outcome(Alive), pinged(true))
			d.step(Reported{Name: name})
			d.sleep(testLimit, outcome(Refused), pinged(true))
			require.Empty(t, declared(d.take()))
			d.sleep(maxWait, outcome(Alive), pinged(true))
		})
		for finding, o := range map[Finding]Outcome{Gone: Refused, Silent: TimedOut} {
			d.sleep(reportLife, outcome(Alive), pinged(true))
			d.take()
			d.step(Reported{Name: name})
			d.step(Reported{Name: name})
			d.sleep(testSettle+100*time.Millisecond, outcome(o), pinged(false))
			all := d.take()
			require.Equal(t, []string{name}, declared(all))
			require.Contains(t, all, Declare{name, finding})
			require.Equal(t, finding == Silent, slices.Contains(all, Action(Suspect{name})))
			d.sleep(maxWait, outcome(Alive), pinged(true))
			require.Equal(t, held, d.machine.order())
		}
	}
	d.take()
	d.step(Reported{Name: "stranger"})
	d.step(Reported{Name: testName(0)})
	require.Empty(t, d.take())
	examined, _ := d.machine.Counts()
	for i := range 10 * maxDoubts { // an exchange may be forged
		d.step(Seen{Name: fmt.Sprint("other", i)})
		d.step(Reported{Name: fmt.Sprint("other", i)})
	}
	after, _ := d.machine.Counts()
	require.LessOrEqual(t, after.Examined-examined.Examined, uint64(maxDoubts))
}
