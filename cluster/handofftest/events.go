package handofftest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/membership"
)

// event makes one of the events happen that the package comment lists.
//
// Between two moments at which all handoffs are complete, at most one member loses its
// state. If more members lost theirs, owners of one partition could be among them; then
// acknowledged writes may be lost, and members report it rightly.
func (r *run) event() {
	if r.o.Durable && r.rand.IntN(3) == 0 {
		r.outage()
		return
	}
	n, dice := r.one(), r.rand.IntN(20)
	stays := n.drained == nil && n.Local().State == membership.Active
	switch {
	case dice < 3 || len(r.live) < r.o.Members-1:
		r.start(fmt.Sprintf("m%d", r.names))
		r.names++
	case dice == 19:
		r.resume()
	case dice == 18:
		r.stall()
	case dice == 17 && !r.parted:
		r.block()
	case dice >= 14:
		r.rest()
	case dice >= 12 || r.round > 0 && dice%2 == 0:
		r.reconfigure()
	case dice < 5 && stays:
		r.calm(false)
		r.drain(n)
	case dice < 9 && r.o.Durable:
		r.outage()
	case dice < 7:
		r.calm(r.losses+1 >= quorum)
		r.crash(r.one())
	case dice < 9:
		r.calm(r.losses+1 >= quorum)
		n = r.one()
		r.crash(n)
		r.start(n.id)
	case dice < 10:
		r.change(n)
	case r.parted:
		r.heal()
	default:
		r.calm(false)
		r.split()
	}
}

// calm waits until all handoffs are complete: always when must is set, and at random
// times otherwise.
func (r *run) calm(must bool) {
	if must || r.rand.IntN(2) == 0 {
		r.settle()
	}
}

// staying returns a member that does not drain, and nil when there is none.
func (r *run) staying() *process {
	for range 20 {
		if n := r.one(); n.drained == nil {
			return n
		}
	}
	return nil
}

// drain drains a member while other events happen.
func (r *run) drain(n *process) {
	r.note("%s drains", n.id)
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	n.drained, n.endDrain = drained, cancel
	go func() {
		defer cancel()
		err := n.Drain(ctx)
		for errors.Is(err, cluster.ErrNoSuccessor) && ctx.Err() == nil { // the member is alone on its side of a cut
			time.Sleep(time.Second)
			err = n.Drain(ctx)
		}
		drained <- err
	}()
}

// resume takes one of the draining members back into ownership, however far its drain is.
func (r *run) resume() {
	for _, n := range r.sorted() {
		if n.drained == nil || n.back {
			continue
		}
		r.note("%s resumes", n.id)
		n.endDrain()
		if err := <-n.drained; err != nil {
			r.note("%s ends its drain: %v", n.id, err)
		}
		n.drained = nil
		if err := n.Resume(r.t.Context()); err != nil {
			r.fail("resuming %s: %v", n.id, err)
		}
		return
	}
}

// depart waits for the draining members, and stops them. It first makes sure that a
// member is there to take over.
func (r *run) depart() {
	r.restore()
	for _, n := range r.sorted() {
		if n.drained == nil {
			continue
		}
		if err := <-n.drained; err != nil {
			r.fail("draining %s: %v", n.id, err)
		}
		r.retire(n)
		if n.back {
			r.start(n.id)
		}
	}
}

// retire stops a member that owns nothing any more.
func (r *run) retire(n *process) {
	r.peers.remove(n)
	delete(r.live, n.id)
	if err := n.Stop(r.t.Context()); err != nil {
		r.fail("stopping %s: %v", n.id, err)
	}
	r.note("%s is gone", n.id)
}

// reconfigure continues a change of the configuration, or begins one. In the first round every
// member starts again with the new and the old configuration, in the second round with the new one
// alone. Some members drain, and start again once Drain has returned, while other events happen. A change
// that is in its first round may be taken back.
func (r *run) reconfigure() {
	maps.DeleteFunc(r.todo, func(id string, _ bool) bool { return r.live[id] == nil }) // it has left, or starts with its next configurations
	if r.round == 1 && len(r.todo) > 0 && r.rand.IntN(4) == 0 {
		r.runs, r.also = r.also[0], []cluster.Configuration{r.runs}
		r.again("back")
	}
	if len(r.todo) == 0 {
		r.settle()
		switch r.round++; r.round {
		case 1:
			others := slices.DeleteFunc(slices.Clone(configurations), func(c cluster.Configuration) bool { return c == r.runs })
			r.also, r.runs = []cluster.Configuration{r.runs}, others[r.rand.IntN(len(others))]
		case 2:
			r.also = nil
		default:
			r.round = 0
			return
		}
		r.again("on")
	}
	for r.stay() <= 3 { // when a member has drained, three are left
		r.start(fmt.Sprintf("m%d", r.names))
		r.names++
	}
	stay := r.stay()
	for _, n := range r.sorted() {
		if stay > 3 && r.todo[n.id] && n.drained == nil && n.Local().State == membership.Active && r.rand.IntN(2) == 0 {
			stay--
			n.back = true
			r.drain(n)
		}
	}
}

// again has every member start again with the configurations of the round.
func (r *run) again(way string) {
	r.note("%s to %+v in round %d", way, r.runs, r.round)
	r.todo = make(map[string]bool)
	for id := range r.live {
		r.todo[id] = true
	}
}

// change changes the metadata of a member, which moves no partition, or its weight.
func (r *run) change(n *process) {
	weight := r.rand.IntN(4)
	r.note("%s announces something, and weight %d", n.id, weight)
	err := n.Update(r.t.Context(), func(a *membership.Attributes) {
		a.Metadata = map[string]string{"at": strconv.Itoa(len(r.history))}
		if weight > 0 {
			a.Weight = weight
		}
	})
	if err != nil {
		r.fail("changing what %s announces: %v", n.id, err)
	}
}

// split cuts some members off from the other members.
func (r *run) split() {
	cut, addrs, names := make(map[string]bool), []netip.AddrPort(nil), []string(nil)
	for _, n := range r.sorted() {
		if r.rand.IntN(3) == 0 {
			cut[n.id] = true
			addrs, names = append(addrs, n.addr), append(names, n.id)
		}
	}
	r.note("cut off: %v", names)
	r.parted = true
	r.peers.split(cut)
	if err := r.net.Partition(addrs); err != nil {
		r.t.Fatal(err)
	}
}

// block cuts one direction between two members, until the network heals.
func (r *run) block() {
	from, to := r.one(), r.one()
	r.note("no message from %s to %s", from.id, to.id)
	r.parted = true
	r.peers.block(direction{from.id, to.id})
	r.net.Block(from.addr, to.addr)
}

// stall stops a member for a while, as a long pause does. Writes go on meanwhile.
func (r *run) stall() {
	n := r.one()
	lasts := time.Duration(r.rand.Int64N(int64(20 * time.Second)))
	r.note("%s stands still for %v", n.id, lasts)
	r.peers.stall(n.id)
	r.net.Stall(n.addr)
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		r.write()
		time.Sleep(100 * time.Millisecond)
	}
	r.net.Resume(n.addr)
	r.peers.stall("")
	r.note("%s goes on", n.id)
}

func (r *run) heal() {
	if r.parted {
		r.note("healed")
		r.parted = false
		r.peers.split(nil)
		r.peers.block(direction{})
		r.net.Heal()
	}
}
