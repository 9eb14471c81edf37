package membership

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyring(t *testing.T) {
	one, other := []byte("one key of 16 b."), []byte("another of 16 b.")
	o := optionsOf(1)
	o.Gossip.Keys = [][]byte{one}
	m, err := New(o)
	require.NoError(t, err)
	require.NoError(t, m.InstallKey(other))
	require.NoError(t, m.InstallKey(other), "twice is fine")
	require.Equal(t, 2, Drive(m).Stats().Keys)
	require.NoError(t, m.UseKey(other))
	require.Equal(t, other, m.keys.ring.GetPrimaryKey())
	require.NoError(t, m.RemoveKey(one))
	require.NoError(t, m.RemoveKey(one), "it is gone already")
	require.Equal(t, 1, Drive(m).Stats().Keys)
	require.Len(t, m.keys.ring.GetKeys(), 1)
	require.NoError(t, m.RemoveKey(nil))
	for name, err := range map[string]error{
		"installing": m.InstallKey([]byte("hunter2")),
		"using":      m.UseKey(one),
		"removing":   m.RemoveKey(other),
	} {
		require.ErrorContains(t, err, "membership: "+name+" a gossip key: ")
		for _, secret := range []string{"hunter2", string(one), string(other)} {
			require.NotContains(t, err.Error(), secret)
		}
	}
	other[0] = 'x'
	require.Equal(t, byte('a'), m.keys.ring.GetPrimaryKey()[0], "keys are copied")

	o.Gossip.Keys = nil
	plain, err := New(o)
	require.NoError(t, err)
	require.Zero(t, Drive(plain).Stats().Keys)
	for _, f := range []func([]byte) error{plain.InstallKey, plain.UseKey, plain.RemoveKey} {
		require.ErrorIs(t, f(one), ErrNoEncryption)
	}
}

func TestKeyringFromManyGoroutines(t *testing.T) {
	o := optionsOf(1)
	o.Gossip.Keys = [][]byte{make([]byte, 16)}
	m, err := New(o)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range byte(20) {
		wg.Go(func() {
			key := make([]byte, 32)
			key[0] = i
			for range 20 {
				if err := m.InstallKey(key); err != nil {
					t.Error(err)
				}
				if err := m.RemoveKey(key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, m.keys.ring.GetKeys(), 1)
}

// Packets are decrypted while a key is removed that is not the last one.
func TestAKeyIsRemovedWhileOthersAreInUse(t *testing.T) {
	keys := [][]byte{make([]byte, 32), bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 24)}
	o := optionsOf(1)
	o.Gossip.Keys = keys
	m, err := New(o)
	require.NoError(t, err)
	before := m.keys.ring.GetKeys() // as memberlist does for each packet
	require.NoError(t, m.RemoveKey(keys[1]))
	require.Equal(t, keys, before, "a packet that is being decrypted")
	require.Equal(t, [][]byte{keys[0], keys[2], keys[3]}, m.keys.ring.GetKeys())
	before = m.keys.ring.GetKeys()
	require.NoError(t, m.RemoveKey(keys[3]))
	require.Equal(t, [][]byte{keys[0], keys[2], keys[3]}, before)
	require.Equal(t, [][]byte{keys[0], keys[2]}, m.keys.ring.GetKeys())
}
