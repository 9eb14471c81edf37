package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func at(time int64, content string) Entry {
	return Entry{Version: Version{Time: time}, Content: []byte(content), Deleted: content == ""}
}

func TestStoreKeepsTheHigherVersion(t *testing.T) {
	t.Parallel()
	s := NewStore(4)
	require.Equal(t, at(2, "b").Version, s.Put(1, "k", at(2, "b")))
	require.Equal(t, at(2, "b").Version, s.Put(1, "k", at(1, "a")), "it says what is there")
	require.Equal(t, at(2, "b"), s.Get(1, "k"))
	s.Put(1, "k", at(3, ""))
	s.Put(1, "k", at(2, "b")) // an owner that missed the deletion
	require.True(t, s.Get(1, "k").Deleted)
	require.True(t, s.Get(2, "k").Version.IsZero(), "another partition")
	require.Equal(t, 1, s.Len())
	s.Drop(1)
	require.True(t, s.Get(1, "k").Version.IsZero())
	require.Zero(t, s.Len())
}

// Merging the same writes in any order, some of them twice, gives the same result.
func TestStoreMergesInAnyOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	items := make([]Item, 300)
	newest := make(map[string]Entry)
	for i := range items {
		content := fmt.Sprint("v", i)
		if i%5 == 0 {
			content = "" // a deletion
		}
		items[i] = Item{fmt.Sprint("k", random.IntN(40)), at(int64(i+1), content)}
		newest[items[i].Key] = items[i].Entry
	}
	for range 20 {
		random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		s := NewStore(1)
		for _, item := range append(items, items[:100]...) {
			s.Put(0, item.Key, item.Entry)
		}
		all, more := s.Page(0, "", 1<<20)
		require.False(t, more)
		require.Len(t, all, len(newest))
		for _, item := range all {
			require.Equal(t, newest[item.Key], item.Entry)
		}
	}
}

func TestPagesAreBoundedAndComplete(t *testing.T) {
	t.Parallel()
	s := NewStore(1)
	const n, size = 100, 1000
	for i := range n {
		s.Put(0, fmt.Sprintf("key-%03d", i), at(int64(i+1), fmt.Sprintf("%0*d", size, i)))
	}
	found, after := 0, ""
	for more := true; more; {
		var items []Item
		items, more = s.Page(0, after, 10*size)
		require.NotEmpty(t, items)
		require.LessOrEqual(t, len(items), 10)
		for _, item := range items {
			require.Equal(t, fmt.Sprintf("key-%03d", found), item.Key)
			found++
		}
		after = items[len(items)-1].Key
		s.Put(0, fmt.Sprintf("before all, %d", found), at(1, "x")) // a write meanwhile shifts no item to another page
	}
	require.Equal(t, n, found)

	items, more := s.Page(0, "key-099", 1)
	require.Empty(t, items)
	require.False(t, more)
	items, more = s.Page(0, "key-097 and a half", 1)
	require.Len(t, items, 1, "at least one, whatever its size")
	require.True(t, more)
}
