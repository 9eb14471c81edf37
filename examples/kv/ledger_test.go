package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The ledger finds lost writes, stale reads and impossible answers.
func TestLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		version := func(n int64) Version { return Version{Time: n} }
		l := newLedger("k-%d", 1)
		first, second := l.send(false), l.send(false)
		require.NotEqual(t, first, second)
		require.NoError(t, l.acknowledged(version(1), first))
		stale, err := l.saw(l.known(), version(1), first)
		require.NoError(t, err)
		require.False(t, stale)

		_, err = l.saw(l.known(), version(1), second)
		require.ErrorContains(t, err, "was acknowledged", "one version, two values")
		_, err = l.saw(l.known(), version(2), second)
		require.NoError(t, err, "sent, and not acknowledged yet")
		_, err = l.saw(l.known(), version(2), first)
		require.ErrorContains(t, err, "nobody wrote it", "an acknowledged write has come back")
		require.NoError(t, l.acknowledged(version(3), second))
		require.Error(t, l.acknowledged(version(3), second), "lower than one before it, or the same")

		stale, err = l.saw(version(3), version(1), first)
		require.NoError(t, err)
		require.True(t, stale, "an acknowledged write is missing")
		stale, err = l.saw(version(1), version(1), first)
		require.NoError(t, err)
		require.False(t, stale, "acknowledged after the question")

		require.Empty(t, l.send(true))
		require.NoError(t, l.acknowledged(version(4), ""))
		_, err = l.saw(l.known(), version(4), second)
		require.ErrorContains(t, err, "was acknowledged", "the deletion is lost")
		_, err = l.saw(l.known(), version(5), "")
		require.ErrorContains(t, err, "nobody wrote it")
		_, err = l.saw(version(1), version(2), "other write 1")
		require.Error(t, err, "the value of another key")

		begin := time.Now()
		time.Sleep(3 * time.Second)
		_, _ = l.saw(l.known(), version(4), "")
		time.Sleep(2 * time.Second)
		_, _ = l.saw(l.known(), version(4), "")
		require.Equal(t, 3*time.Second, l.read.longest)
		require.Equal(t, begin, l.read.from)
	})
}
