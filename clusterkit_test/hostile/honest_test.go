package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/cluster"
)

// lookups are the times of lookups over HTTP, and of a join.
type lookups struct {
	P50, P99, Join time.Duration
	Errors         int
	Failure        string // why the join has failed
}

// runHonest makes lookups for a time, and lets a member join meanwhile. It runs in a process of its own,
// so that the attackers do not delay it more than they delay the members. The arguments are the key, the
// mode, and the two addresses of each member.
func runHonest(lasts time.Duration, args []string) error {
	var l lookups
	var web, gossip []string
	for i, addr := range args[2:] {
		if i%2 == 0 {
			web = append(web, addr)
		} else {
			gossip = append(gossip, addr)
		}
	}
	var joining sync.WaitGroup
	joining.Go(func() {
		var err error
		if l.Join, err = join(gossip, args[0], args[1]); err != nil {
			l.Failure = err.Error()
		}
	})
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 103, 1)}}).DialContext}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	var took []time.Duration
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		begun := time.Now()
		resp, err := client.Get(fmt.Sprintf("http://%s/v1/lookup?key=%d", web[len(took)%len(web)], len(took)))
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			l.Errors++
		}
		took = append(took, time.Since(begun))
		pause(context.Background(), 5*time.Millisecond)
	}
	joining.Wait()
	slices.Sort(took)
	l.P50, l.P99 = took[len(took)/2], took[len(took)*99/100]
	return json.NewEncoder(os.Stdout).Encode(l)
}

// join returns how long a member takes to join, that is until Start has returned and it sees all
// members. It leaves again.
func join(seeds []string, key, mode string) (time.Duration, error) {
	o := options("joiner", "127.0.101.9", key, mode, seeds)
	if moves, ok := o.Handoff.Mover.(*mover); ok {
		moves.stuck.Store(true) // otherwise the members would release what it has merged
	}
	c, err := cluster.New(o)
	if err != nil {
		return 0, err
	}
	defer func() {
		leaving, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Stop(leaving)
	}()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		return time.Since(begun), fmt.Errorf("joining: %w", err)
	}
	for ctx.Err() == nil {
		found := 0
		for _, m := range c.Members() {
			if strings.HasPrefix(m.ID, "n") {
				found++
			}
		}
		if found == len(seeds) {
			return time.Since(begun), nil
		}
		pause(ctx, 5*time.Millisecond)
	}
	return time.Since(begun), context.Cause(ctx)
}
