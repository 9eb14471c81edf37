package membership

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"
)

// ErrNoEncryption says that gossip was started without encryption. It cannot be
// encrypted later, because members with and without encryption cannot communicate.
var ErrNoEncryption = errors.New("membership: gossip was started without keys, it cannot be encrypted while it runs")

// Keys are gossip keys. They print, log and encode as "[redacted]", so that options can
// be printed. A single element is plain bytes, and would print.
type Keys [][]byte

// shown is "[redacted]", or "[]" when there are none.
func (k Keys) shown() string {
	if len(k) == 0 {
		return "[]"
	}
	return "[redacted]"
}

// Format writes "[redacted]" for every verb, or "[]" when there are no keys.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.shown()) }

// LogValue returns the text of Format.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.shown()) }

// MarshalText returns the text of Format: an encoding never contains the keys.
func (k Keys) MarshalText() ([]byte, error) { return []byte(k.shown()), nil }

// keyring is memberlist's keyring, with checks for the calls that make it panic.
type keyring struct {
	mu   sync.Mutex
	ring *memberlist.Keyring // nil: in clear
}

func newKeyring(keys [][]byte) (*keyring, error) {
	if len(keys) == 0 {
		return &keyring{}, nil
	}
	ring, err := memberlist.NewKeyring(keys, keys[0])
	if err != nil {
		return nil, fmt.Errorf("membership: Gossip.Keys: %w", err)
	}
	return &keyring{ring: ring}, nil
}

// InstallKey makes this member able to read gossip that is encrypted with a key of 16,
// 24 or 32 bytes. A key of another length is an error. Installing a key twice is no
// error. Without Keys among the options it returns [ErrNoEncryption], as do UseKey and
// RemoveKey. None of them blocks.
//
// To change the key of a running cluster, do three steps, each on every member before the next
// one: install the new key, use it, and remove the old key.
func (m *Membership) InstallKey(key []byte) error {
	return m.keys.do("installing", func(r *memberlist.Keyring) error { return r.AddKey(slices.Clone(key)) })
}

// UseKey makes this member encrypt with a key that is installed. Any other key is
// an error.
func (m *Membership) UseKey(key []byte) error {
	return m.keys.do("using", func(r *memberlist.Keyring) error { return r.UseKey(slices.Clone(key)) })
}

// RemoveKey makes this member forget a key. To remove the key in use is an error. To
// remove a key that is not installed is no error.
func (m *Membership) RemoveKey(key []byte) error {
	return m.keys.do("removing", func(r *memberlist.Keyring) error {
		if !holds(r, key) {
			return nil
		}
		// RemoveKey moves the keys behind this one within the array that GetKeys has returned, also to goroutines
		// that still read it. UseKey replaces the array by a copy.
		if err := r.UseKey(r.GetPrimaryKey()); err != nil {
			return err
		}
		return r.RemoveKey(key)
	})
}

// count returns the number of keys.
func (k *keyring) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring == nil {
		return 0
	}
	return len(k.ring.GetKeys())
}

func (k *keyring) do(doing string, f func(*memberlist.Keyring) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring == nil {
		return ErrNoEncryption
	}
	if err := f(k.ring); err != nil {
		return fmt.Errorf("membership: %s a gossip key: %w", doing, err)
	}
	return nil
}

// has reports whether a key is installed, and whether this member encrypts with it.
func (k *keyring) has(key []byte) (installed, used bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring == nil {
		return false, false
	}
	installed = holds(k.ring, key)
	return installed, installed && bytes.Equal(k.ring.GetPrimaryKey(), key)
}

func holds(r *memberlist.Keyring, key []byte) bool {
	return slices.ContainsFunc(r.GetKeys(), func(have []byte) bool { return bytes.Equal(have, key) })
}
