package cluster

// Keys replaces the keys that gossip is encrypted with, while the cluster runs.
// [Cluster.Keys] returns it. All methods are safe for concurrent use, and none blocks. In a
// cluster that was started without Gossip.Keys they return [membership.ErrNoEncryption].
//
// To replace the key of a running cluster, take three steps, each on every member before the
// next one begins:
//
//  1. Install the new key: every member can read it.
//  2. Use the new key: every member encrypts with it.
//  3. Remove the old key.
type Keys struct{ c *Cluster }

// Keys returns the methods that replace the keys of gossip. It is never nil, and may be
// kept.
func (c *Cluster) Keys() *Keys { return &Keys{c} }

// Install makes this member able to read gossip that is encrypted with a key of 16, 24 or 32
// bytes. A key of another length is an error. To install a key twice is no error.
func (k *Keys) Install(key []byte) error { return k.c.members.InstallKey(key) }

// Use makes this member encrypt gossip with a key that is installed. Any other key is an error.
func (k *Keys) Use(key []byte) error { return k.c.members.UseKey(key) }

// Remove makes this member forget a key. To remove the key in use is an error. To remove a
// key that is not installed is no error.
func (k *Keys) Remove(key []byte) error { return k.c.members.RemoveKey(key) }
