package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/clusterkit/clusterkit/cluster"
)

// Page is a part of a partition.
type Page struct {
	Items []Item `json:"items"`
	More  bool   `json:"more"`
}

// pages reads a part of a partition from a process: the items after a key. It returns
// an error when another process answers.
type pages interface {
	Page(ctx context.Context, from cluster.Member, partition int, after string) (Page, error)
}

// Mover moves partitions between stores, when the cluster calls it.
type Mover struct {
	store *Store
	pages pages
}

var _ cluster.Mover = (*Mover)(nil)

// NewMover returns a mover for a store, which reads other stores page by page.
func NewMover(store *Store, pages pages) *Mover { return &Mover{store, pages} }

// Receive merges a partition from all sources that answer, and needs at least need of
// them. It holds one page of each in memory at a time.
func (m *Mover) Receive(ctx context.Context, partition int, from []cluster.Member, need int) error {
	var wait sync.WaitGroup
	failures := make([]error, len(from))
	for i, source := range from {
		wait.Go(func() {
			if err := m.merge(ctx, partition, source); err != nil {
				failures[i] = fmt.Errorf("from %s: %w", source.ID, err)
			}
		})
	}
	wait.Wait()
	merged := 0
	for _, err := range failures {
		if err == nil {
			merged++
		}
	}
	if merged < need {
		return fmt.Errorf("kv: receiving partition %d: merged from %d of %d, %d needed: %w", partition, merged, len(from), need, errors.Join(failures...))
	}
	return nil
}

// merge merges a partition from one source. Pages are ranges of keys, so that a write
// meanwhile does not shift items from one page to another.
func (m *Mover) merge(ctx context.Context, partition int, source cluster.Member) error {
	for after, more := "", true; more; {
		page, err := m.pages.Page(ctx, source, partition, after)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if item.Key <= after {
				return fmt.Errorf("key %q after %q: a page must ascend", item.Key, after)
			}
			m.store.Put(partition, item.Key, item.Entry)
			after = item.Key
		}
		more = page.More
		if more && len(page.Items) == 0 {
			return fmt.Errorf("an empty page after %q, and more to come", after)
		}
	}
	return nil
}

// Release deletes a partition, which its owners have.
func (m *Mover) Release(_ context.Context, partition int) error {
	m.store.Drop(partition)
	return nil
}
