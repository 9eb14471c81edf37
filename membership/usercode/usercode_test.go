package usercode_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/membership/usercode"
)

var errUser = errors.New("no such host")

func TestErrorsAreReturned(t *testing.T) {
	for _, how := range []func(func() error) error{usercode.Call, usercode.Await} {
		require.NoError(t, how(func() error { return nil }))
		require.Equal(t, errUser, how(func() error { return errUser }))
	}
}

func TestAPanicIsAnError(t *testing.T) {
	for _, how := range []func(func() error) error{usercode.Call, usercode.Await} {
		err := how(func() error { panic("made up") })
		require.EqualError(t, err, "panic: made up")
		failed, ok := errors.AsType[*usercode.Error](err)
		require.True(t, ok)
		require.Equal(t, "made up", failed.Panic)
		require.Contains(t, failed.Stack, "usercode_test.go")
	}
}

// panic(nil) is a panic with a value of package runtime, and not a call that ends its goroutine.
func TestAPanicWithNil(t *testing.T) {
	require.ErrorContains(t, usercode.Await(func() error { panic(nil) }), "panic: panic called with nil")
}

func TestACallThatEndsItsGoroutine(t *testing.T) {
	err := usercode.Await(func() error { runtime.Goexit(); return nil })
	require.EqualError(t, err, "the call ended its goroutine with runtime.Goexit: it must return")
	failed, ok := errors.AsType[*usercode.Error](err)
	require.True(t, ok)
	require.Nil(t, failed.Panic)
}
