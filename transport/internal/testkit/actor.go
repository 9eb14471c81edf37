package testkit

import (
	"context"
)

// Actor does what the actions of the handler ask a cluster for. Its zero value changes
// nothing. One action may be called at a time.
type Actor struct {
	// Lifecycle is the state of the member before any action, "active" by default.
	Lifecycle string
	// OnDrain is called by Drain and Resume.
	OnDrain func(ctx context.Context) error
	// KeyError is returned by the methods for keys.
	KeyError error
	// Acts counts calls.
	Acts int
}

// LifecycleState implements the actions.
func (a *Actor) LifecycleState() string {
	if a.Lifecycle == "" {
		return "active"
	}
	return a.Lifecycle
}

// Drain implements the actions.
func (a *Actor) Drain(ctx context.Context) error {
	a.Acts++
	if a.OnDrain == nil {
		return nil
	}
	return a.OnDrain(ctx)
}

// Resume implements the actions.
func (a *Actor) Resume(ctx context.Context) error { return a.Drain(ctx) }

// Forget implements the actions.
func (a *Actor) Forget(string) bool { a.Acts++; return false }

// AcceptLoss implements the actions.
func (a *Actor) AcceptLoss(int) bool { a.Acts++; return false }

// InstallKey implements the actions.
func (a *Actor) InstallKey([]byte) (bool, error) { a.Acts++; return a.KeyError == nil, a.KeyError }

// UseKey implements the actions.
func (a *Actor) UseKey(key []byte) (bool, error) { return a.InstallKey(key) }

// RemoveKey implements the actions.
func (a *Actor) RemoveKey(key []byte) (bool, error) { return a.InstallKey(key) }
