package membership

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// viewOf is a view of members named by letters, the nonces 1, 2, 3…
func viewOf(fingerprint uint64, ids ...string) view {
	v := view{fingerprint: fingerprint, configuration: "c"}
	for i, id := range ids {
		v.members = append(v.members, startOf(id, 1, uint64(i+1)))
	}
	return v
}

func threeMembers() view { return viewOf(7, "a", "b", "c") }

// holders returns an agreement for each member of a view. All of them hold the view.
func holders(v view) (all []*agreement) {
	for _, m := range v.members {
		a := newAgreement(m.ID, m.Start.Nonce, newClock().now)
		a.publish(v)
		all = append(all, a)
	}
	return all
}

// tell delivers the payload that one agreement would put into a packet to another. It
// reports whether there was a payload.
func tell(t *testing.T, from, to *agreement) bool {
	t.Helper()
	b := from.payload(1 << 16)
	if b == nil {
		return false
	}
	m, err := parseMessage(b)
	require.NoError(t, err)
	to.merge(m.(agreementMessage))
	return true
}

func agreedOn(a *agreement) bool {
	select {
	case <-a.done():
		return true
	default:
		return false
	}
}

func TestAgreementSpreads(t *testing.T) {
	all := holders(threeMembers())
	require.False(t, all[0].state().Complete)
	require.Equal(t, []differing{{"b", reasonSilent}, {"c", reasonSilent}}, all[0].state().Differing)
	require.True(t, tell(t, all[1], all[0]))
	require.Equal(t, []differing{{"c", reasonSilent}}, all[0].state().Differing)
	require.False(t, agreedOn(all[0]))
	require.True(t, tell(t, all[0], all[2]), "hearsay counts")
	require.True(t, agreedOn(all[2]))
	require.Equal(t, agreed{Fingerprint: 7, Complete: true, Since: newClock().at}, all[2].state())
	require.True(t, tell(t, all[2], all[0]))
	require.True(t, agreedOn(all[0]))

	// A member with the complete bitmap sends it to some others, and then stops. It
	// still answers members with an incomplete one.
	for range 1000 {
		all[2].payload(1 << 16)
	}
	require.False(t, tell(t, all[2], all[1]), "silence")
	require.True(t, tell(t, all[1], all[2]), "who is behind goes on")
	require.True(t, tell(t, all[2], all[1]), "and gets an answer")
	require.True(t, agreedOn(all[1]))
}

func TestAgreementIgnoresOtherViews(t *testing.T) {
	all := holders(threeMembers())
	other := holders(viewOf(8, "a", "b", "c"))
	tell(t, other[1], all[0])
	restarted := threeMembers()
	restarted.members[1].Start.Nonce = 99
	starts := newAgreement("b", 99, newClock().now)
	starts.publish(restarted)
	tell(t, starts, all[0])
	all[0].merge(agreementMessage{fingerprint: 7, starts: all[0].starts, bitmap: []byte{0xFF, 0xFF}})
	all[0].merge(agreementMessage{fingerprint: 7, starts: all[0].starts})
	require.Len(t, all[0].state().Differing, 2, "another fingerprint, another start, other sizes")
	all[0].merge(agreementMessage{fingerprint: 7, starts: all[0].starts, bitmap: []byte{0xFF}})
	require.Equal(t, 3, all[0].held, "bits beyond the members do not count")
}

func TestAgreementOfWhoHasNoSay(t *testing.T) {
	superseded := newAgreement("a", 42, newClock().now) // the view contains another start of a
	superseded.publish(threeMembers())
	require.Zero(t, superseded.held)
	all := holders(threeMembers())
	tell(t, all[0], all[1])
	tell(t, all[1], all[2])
	tell(t, all[2], superseded)
	require.True(t, agreedOn(superseded), "it may know what the others agree on")

	nobody := newAgreement("x", 1, newClock().now)
	require.False(t, nobody.state().Complete, "no view is not agreed on")
	require.Nil(t, nobody.payload(1<<16))
	nobody.merge(agreementMessage{})
	_, ok := nobody.own()
	require.False(t, ok)
	nobody.publish(view{})
	require.False(t, agreedOn(nobody))

	alone := newAgreement("a", 1, newClock().now)
	require.True(t, alone.publish(viewOf(1, "a")))
	require.True(t, agreedOn(alone))
	require.Nil(t, alone.payload(1<<16), "there is nobody to tell")
}

func TestPublishingAgain(t *testing.T) {
	c := newClock()
	a := newAgreement("a", 1, c.now)
	first := threeMembers()
	require.True(t, a.publish(first))
	since, waiting := c.at, a.done()
	c.advance(time.Minute)
	require.False(t, a.publish(threeMembers()), "the same view")
	require.Equal(t, since, a.state().Since)

	draining := threeMembers()
	draining.members[2].State = Draining
	require.True(t, a.publish(draining), "the states count")
	require.Equal(t, c.at, a.state().Since)
	require.Equal(t, fmt.Sprint(waiting), fmt.Sprint(a.done()), "who waited goes on waiting")
	a.merge(agreementMessage{fingerprint: 7, starts: a.starts, bitmap: []byte{7}})
	<-waiting
	require.True(t, a.publish(viewOf(9, "a", "b")))
	require.False(t, agreedOn(a), "another view, another agreement")
	require.True(t, a.publish(viewOf(10, "a")))
	require.True(t, agreedOn(a))
}

func TestWhyMembersDiffer(t *testing.T) {
	c := newClock()
	a := newAgreement("a", 1, c.now)
	_, _, mendable := a.heard("b", testDigest)
	require.False(t, mendable, "without a view there is nothing to compare")
	v := threeMembers()
	a.publish(v)
	c.advance(3 * time.Second)
	own, _ := a.own()
	ours, age, mendable := a.heard("b", own)
	require.Equal(t, own, ours)
	require.Zero(t, age)
	require.False(t, mendable, "no difference")
	for _, d := range []struct {
		theirs   digest
		reason   string
		mendable bool
	}{
		{digest{1, own.members + 1, own.configuration}, reasonMembers, true},
		{digest{1, own.members + 1, 5}, reasonMembers, true},
		{digest{1, own.members, 5}, reasonConfiguration, false},
		{digest{1, own.members, own.configuration}, reasonAlgorithm, false},
	} {
		_, age, mendable := a.heard("b", d.theirs)
		require.Equal(t, 3*time.Second, age)
		require.Equal(t, d.mendable, mendable, d.reason)
		require.Equal(t, differing{"b", d.reason}, a.state().Differing[0])
	}
	a.heard("stranger", digest{1, 2, 3})
	require.Len(t, a.state().Differing, 2)
	ids, age, few := a.missing()
	require.Equal(t, []string{"b", "c"}, ids)
	require.Equal(t, 3*time.Second, age)
	require.True(t, few, "we are in the minority")
	a.merge(agreementMessage{fingerprint: 7, starts: a.starts, bitmap: []byte{3}})
	_, _, few = a.missing()
	require.False(t, few)
}

// A lasting difference must not add a payload to every packet for ever.
func TestAgreementGrowsQuiet(t *testing.T) {
	a := holders(threeMembers())[0]
	sent := 0
	for range idleSends + 100*idleEvery {
		if a.payload(1<<16) != nil {
			sent++
		}
	}
	require.Equal(t, idleSends+100, sent)
	a.merge(agreementMessage{fingerprint: 7, starts: a.starts, bitmap: []byte{2}})
	require.NotNil(t, a.payload(1<<16), "until there is something new")
}

// For any order of packets, every member learns of the agreement, and no member before
// all hold the view.
func TestAgreementInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(rt, "members")
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("m%02d", i))
		}
		v := viewOf(3, ids...)
		var all []*agreement
		for i, m := range v.members {
			a := newAgreement(m.ID, m.Start.Nonce, newClock().now)
			if i > 0 {
				a.publish(v)
			}
			all = append(all, a)
		}
		steps := func(count int) {
			for range count {
				from, to := rapid.IntRange(0, n-1).Draw(rt, "from"), rapid.IntRange(0, n-1).Draw(rt, "to")
				tell(t, all[from], all[to])
			}
		}
		steps(3 * n)
		for _, a := range all {
			if agreedOn(a) {
				rt.Fatalf("%s knows of an agreement that the first member has not joined", a.self)
			}
		}
		all[0].publish(v)
		for round := range 100 * n {
			tell(t, all[round%n], all[(round*7+round/n+1)%n])
		}
		for _, a := range all {
			if !agreedOn(a) {
				rt.Fatalf("%s of %d does not know: %+v", a.self, n, a.state())
			}
		}
	})
}

// A member that has held the view, and then reports another view for more than a few seconds, no
// longer counts. It counts again when it reports the first view again.
func TestAgreementThatIsLost(t *testing.T) {
	c := newClock()
	a := newAgreement("a", 1, c.now)
	mended := 0
	a.mended = func() { mended++ }
	a.publish(threeMembers())
	a.merge(agreementMessage{fingerprint: 7, starts: a.starts, bitmap: []byte{7}})
	require.True(t, a.state().Complete)
	own, _ := a.own()

	other := digest{1, own.members + 1, own.configuration}
	a.heard("b", other)
	require.True(t, a.state().Complete, "news may be on its way")
	ids, _, _ := a.missing()
	require.Equal(t, []string{"b"}, ids, "but it is worth asking")
	c.advance(passing)
	a.heard("b", other)
	require.True(t, a.state().Complete)
	c.advance(time.Millisecond)
	require.False(t, a.state().Complete)
	require.Equal(t, []differing{{"b", reasonMembers}}, a.state().Differing)

	a.heard("c", own)
	require.Zero(t, mended)
	a.heard("b", own)
	require.Equal(t, 1, mended)
	require.True(t, a.state().Complete)
}

// A member may report a difference before it has the view. The difference ends when the member
// confirms the view.
func TestAgreementForgetsWhatIsSettled(t *testing.T) {
	c := newClock()
	a := newAgreement("a", 1, c.now)
	a.publish(threeMembers())
	a.heard("b", digest{1, 2, 3})
	a.merge(agreementMessage{fingerprint: 7, starts: a.starts, bitmap: []byte{7}})
	c.advance(time.Hour)
	require.True(t, a.state().Complete)
}
