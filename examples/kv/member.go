package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
	"github.com/clusterkit/clusterkit/examples/internal/demo"
	"github.com/clusterkit/clusterkit/membership"
	"github.com/clusterkit/clusterkit/rebalance"
	"github.com/clusterkit/clusterkit/transport/api"
)

const (
	partitions = 256 // enough for a few dozen members
	replicas   = 3   // owners of each partition

	replyWithin  = time.Second             // the limit for another member to answer one request
	answerWithin = 1500 * time.Millisecond // the limit for this member to answer a user
	drainWithin  = 3 * time.Minute
	stopWithin   = 20 * time.Second
)

// majority is the quorum of reads and of writes: any two quorums have a replica in
// common.
var majority = Quorum{Write: 2, Read: 2}

// memberSettings are the settings of one member.
type memberSettings struct {
	id, zone, http, gossip string
	seeds                  []string
	min                    int
	attached, verbose      bool
}

func memberFlags(args []string) (s memberSettings, err error) {
	flags := flag.NewFlagSet("kv member", flag.ContinueOnError)
	flags.StringVar(&s.id, "id", "", "this member's name")
	flags.StringVar(&s.zone, "zone", "", "where it stands")
	flags.StringVar(&s.http, "http", "127.0.0.1:0", "address to serve HTTP on")
	flags.StringVar(&s.gossip, "gossip", "127.0.0.1:0", "address to gossip on")
	flags.IntVar(&s.min, "min", 0, "how many members must be there before the first of them begin;\nwith 0 a member begins alone when -join has no other address")
	join := flags.String("join", "", "addresses of gossip to join through, separated by commas")
	flags.BoolVar(&s.attached, "attached", false, "end, without handing anything over, when standard input does")
	flags.BoolVar(&s.verbose, "v", false, "show what the library logs, on standard error")
	err = flags.Parse(args)
	if *join != "" {
		s.seeds = strings.Split(*join, ",")
	}
	return s, err
}

// member has all parts of one process of the store.
type member struct {
	*cluster.Cluster
	store       *Store
	coordinator *Coordinator
	server      *http.Server
	moved       atomic.Int64 // the number of slots of the ring that moved to this member
}

// newMember makes a member from its parts.
func newMember(s memberSettings, address string, logger *slog.Logger) (*member, error) {
	// The limit of the pool is for a member that does not answer any more: requests to
	// it accumulate until they time out.
	pool := &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64, IdleConnTimeout: time.Minute}
	peers := NewPeers(&http.Client{Transport: pool}, replyWithin)
	store := NewStore(partitions)
	c, err := cluster.New(cluster.Options{
		ClusterName:       "kv",
		NodeID:            s.id,
		Zone:              s.zone,
		GossipAddr:        s.gossip,
		Seeds:             s.seeds,
		PartitionCount:    partitions,
		ReplicationFactor: replicas,
		// TrustedNetwork is for a demonstration on one machine. A real store sets Gossip.Keys.
		Gossip:    membership.GossipOptions{Profile: membership.Local, TrustedNetwork: true},
		HTTP:      cluster.HTTPOptions{AdvertiseAddr: address}, // this program serves HTTP; the cluster announces the address
		Bootstrap: cluster.BootstrapOptions{MinMembers: s.min},
		Handoff:   cluster.HandoffOptions{Mover: NewMover(store, peers), WriteQuorum: majority.Write},
		Logger:    logger,
	})
	if err != nil {
		return nil, err
	}
	replica := NewReplica(c, store, NewClock(c.Local().Start.Nonce, time.Now))
	m := &member{Cluster: c, store: store, coordinator: NewCoordinator(c, replica, peers, majority, answerWithin)}
	mux := http.NewServeMux()
	m.coordinator.Routes(mux)
	replica.Routes(mux)
	mux.HandleFunc("GET /status", m.status)
	mux.Handle("/", c.Handler()) // health, members, lookups
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go m.coordinator.Follow(c.Events(context.Background()))
	go m.count(c.Events(context.Background()))
	return m, nil
}

// runMember runs one member: it serves HTTP, joins the cluster and receives its
// partitions, works until it gets a signal, hands its data over, and leaves.
func runMember(ctx context.Context, s memberSettings, in io.Reader, out io.Writer, logger *slog.Logger) (failed error) {
	listener, err := net.Listen("tcp", s.http)
	if err != nil {
		return err
	}
	m, err := newMember(s, listener.Addr().String(), logger)
	if err != nil {
		_ = listener.Close()
		return err
	}
	go func() { _ = m.server.Serve(listener) }() // until Shutdown
	// The member answers users until the end: first other members take over its
	// partitions, then they learn that it leaves, then its HTTP server closes.
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		failed = errors.Join(failed, m.Stop(leaving), m.close())
	}()
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", s.id, err)
	}
	if err := demo.Serving(out, listener.Addr().String(), m.Local().Addr.String()); err != nil {
		return err
	}
	abandoned := context.WithoutCancel(ctx)
	if s.attached {
		abandoned = demo.Attached(abandoned, in)
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	for {
		select {
		case <-abandoned.Done():
			return nil
		case <-reload:
			if err := m.reload(abandoned); err != nil {
				return err
			}
		case <-ctx.Done():
			draining, cancel := context.WithTimeout(abandoned, drainWithin)
			defer cancel()
			return m.Drain(draining)
		}
	}
}

// close waits for the requests under way, which end by themselves. Then only
// connections without any request are left, for which Shutdown would wait longer.
func (m *member) close() error {
	finishing, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	err := m.server.Shutdown(finishing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = m.server.Close()
	}
	m.coordinator.Close()
	return err
}

// generation is the metadata that reload changes.
const generation = "generation"

// reload changes an announced value of a running member, as an example of such changes.
func (m *member) reload(ctx context.Context) error {
	return m.Update(ctx, func(a *membership.Attributes) {
		n, _ := strconv.Atoi(a.Metadata[generation]) // 0 at first
		a.Metadata = map[string]string{generation: strconv.Itoa(n + 1)}
	})
}

// count counts the slots that the ring moves to this member, until the events end.
func (m *member) count(events iter.Seq[cluster.Event]) {
	id := m.Local().ID
	for e := range events {
		if e.Kind != cluster.RingChanged {
			continue
		}
		plan, err := rebalance.Diff(e.Ring.Old, e.Ring.New)
		if err != nil {
			continue // there was no ring before: the cluster begins
		}
		for _, move := range plan.Moves {
			if move.To == id {
				m.moved.Add(1)
			}
		}
	}
}

// status is the answer of /status.
type status struct {
	State   string           `json:"state"`
	Keys    int              `json:"keys"`
	Moved   int64            `json:"moved"`
	Handoff api.HandoffState `json:"handoff"`
}

func (m *member) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status{m.Local().State.String(), m.store.Len(), m.moved.Load(), m.Handoff().State()}) // to a reader that may have gone
}
