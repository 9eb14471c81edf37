package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/clusterkit/clusterkit/examples/grpc/counterpb"
)

const keys = 60

func key(i int) string { return fmt.Sprintf("counter:%d", i%keys) }

// demonstrate starts three members and an observer, lets the observer call while one member
// drains, and checks that every call ran once.
func demonstrate(ctx context.Context, out io.Writer) (err error) {
	var all []*process
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.stop(context.WithoutCancel(ctx)))
		}
	}()
	var seeds []string
	for i, id := range []string{"n1", "n2", "n3", "client"} {
		p, err := start(ctx, id, i == 3, seeds...)
		if err != nil {
			return err
		}
		all = append(all, p)
		seeds = []string{all[0].cluster.Local().Addr.String()}
	}
	for _, p := range all {
		if err := await(ctx, func() bool { return len(p.cluster.Members()) == len(all) }); err != nil {
			return err
		}
		if err := p.cluster.WaitConverged(ctx); err != nil {
			return err
		}
	}
	client := all[3].client()

	by := make(map[string]int)
	for i := range 300 {
		value, err := client.Add(ctx, &counterpb.AddRequest{Key: key(i), Add: 1})
		if err != nil {
			return err
		}
		by[value.GetMember()]++
	}
	_, _ = fmt.Fprintf(out, "300 calls of an observer, each straight to the owner: n1 %d, n2 %d, n3 %d\n", by["n1"], by["n2"], by["n3"])

	moved := ""
	for i := range keys {
		if owner, _ := all[3].cluster.Lookup(key(i)).Primary(); owner.ID() == "n3" {
			moved = key(i)
		}
	}
	stream, err := client.Watch(ctx, &counterpb.GetRequest{Key: moved})
	if err != nil {
		return err
	}
	value, err := stream.Recv()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "a stream for %s is at %s\n", moved, value.GetMember())

	added, drained := make(chan int), make(chan error, 1)
	load, end := context.WithCancel(ctx)
	defer end()
	go func() { added <- add(load, ctx, client) }()
	go func() { drained <- all[2].cluster.Drain(ctx) }()
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		return fmt.Errorf("the stream ended with %w", err)
	}
	_, _ = fmt.Fprintf(out, "n3 drains: the stream ended with %q\n", status.Convert(err).Message())
	if stream, err = client.Watch(ctx, &counterpb.GetRequest{Key: moved}); err != nil {
		return err
	}
	if value, err = stream.Recv(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "it was opened again, at %s\n", value.GetMember())
	if err := <-drained; err != nil {
		return err
	}
	end()
	calls, ran := 300+<-added, 0
	for _, p := range all[:3] {
		ran += p.counter.ran()
	}
	_, _ = fmt.Fprintf(out, "%d calls before and while n3 drained: %d ran\n", calls, ran)
	if calls != ran {
		return fmt.Errorf("%d calls were answered, and %d ran", calls, ran)
	}
	return nil
}

// add adds to all counters, four calls at a time, until the context load ends. It returns the
// number of calls that were answered. A call that has begun is not ended.
func add(load, ctx context.Context, client counterpb.CounterClient) (answered int) {
	var mu sync.Mutex
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			for i := worker; load.Err() == nil; i += 4 {
				if _, err := client.Add(ctx, &counterpb.AddRequest{Key: key(i), Add: 1}); err == nil {
					mu.Lock()
					answered++
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return answered
}

// await waits for a condition.
func await(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
