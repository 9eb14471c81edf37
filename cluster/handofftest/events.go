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

// event makes a member join, leave, or start again, or cuts the network or heals it.
//
// Between two moments at which all handoffs are complete, at most one member loses its
// state. If more members lost theirs, owners of one partition could be among them; then
// acknowledged writes may be lost, and members report it rightly.
func (r *run) event() {
	if r.o.Durable && r.rand.IntN(3) == 0 {
		r.outage()
		return
	}
	n, dice := r.one(), r.rand.IntN(17)
	stays := n.drained == nil && n.Local().State == membership.Active
	switch {
	case dice < 3 || len(r.live) < r.o.Members-1:
		r.start(fmt.Sprintf("m%d", r.names))
		r.names++
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
		if n = r.staying(); n != nil {
			r.crash(n)
		}
	case dice < 9:
		r.calm(r.losses+1 >= quorum)
		if n = r.staying(); n != nil {
			r.crash(n)
			r.start(n.id)
		}
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
	n.drained = make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		err := n.Drain(ctx)
		for errors.Is(err, cluster.ErrNoSuccessor) && ctx.Err() == nil { // the member is alone on its side of a cut
			time.Sleep(time.Second)
			err = n.Drain(ctx)
		}
		n.drained <- err
	}()
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
// alone. Some members drain, and start again once Drain has returned, while other events happen.
func (r *run) reconfigure() {
	maps.DeleteFunc(r.todo, func(id string, _ bool) bool { return r.live[id] == nil }) // it has left, or starts with its next configurations
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
		r.note("round %d to %+v", r.round, r.runs)
		r.todo = make(map[string]bool)
		for id := range r.live {
			r.todo[id] = true
		}
	}
	for r.stay() <= 3 { // a member that drains leaves three
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

// change changes the metadata of a member, which moves no partition.
func (r *run) change(n *process) {
	r.note("%s announces something", n.id)
	err := n.Update(r.t.Context(), func(a *membership.Attributes) { a.Metadata = map[string]string{"at": strconv.Itoa(len(r.history))} })
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

func (r *run) heal() {
	if r.parted {
		r.note("healed")
		r.parted = false
		r.peers.split(nil)
		r.net.Heal()
	}
}
