package cluster

import (
	"context"

	"github.com/clusterkit/clusterkit/membership"
)

// The methods here are behind the actions of the HTTP handler. Keys are those of gossip.

func (h httpView) LifecycleState() string { return h.c.members.Local().State.String() }

func (h httpView) Drain(ctx context.Context) error { return h.c.Drain(ctx) }

func (h httpView) Resume(ctx context.Context) error { return h.c.Resume(ctx) }

func (h httpView) Forget(id string) bool { return h.c.Forget(id) }

func (h httpView) AcceptLoss(partition int) bool { return h.c.Handoff().AcceptLoss(partition) }

func (h httpView) InstallKey(key []byte) (changed bool, err error) {
	return h.changeKey(key, h.c.Keys().Install)
}

func (h httpView) UseKey(key []byte) (changed bool, err error) {
	return h.changeKey(key, h.c.Keys().Use)
}

func (h httpView) RemoveKey(key []byte) (changed bool, err error) {
	return h.changeKey(key, h.c.Keys().Remove)
}

// changeKey calls a function for a key, and reports whether that installed, chose or
// removed the key.
func (h httpView) changeKey(key []byte, change func([]byte) error) (changed bool, err error) {
	ring := membership.Drive(h.c.members)
	installed, used := ring.Key(key)
	if err := change(key); err != nil {
		return false, err
	}
	installedNow, usedNow := ring.Key(key)
	return installed != installedNow || used != usedNow, nil
}
