package option_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/ring/option"
)

func TestErrorNamesFieldValueAndBound(t *testing.T) {
	require.EqualError(t, &option.Error{Field: "Weight", Value: 0, Bound: "between 1 and 9"}, "Weight is 0: must be between 1 and 9")
	require.EqualError(t, &option.Error{Field: "Zone", Value: "", Bound: "set"}, `Zone is "": must be set`)
}

func TestUnderPrefixesEveryOption(t *testing.T) {
	require.NoError(t, option.Under("HTTP", nil))
	plain := errors.New("no such file")
	inner := &option.Error{Field: "Addr", Value: "x", Bound: "host:port"}
	err := option.Under("HTTP", errors.Join(inner, errors.Join(plain, fmt.Errorf("wrapped: %w", inner))))
	require.EqualError(t, err, "HTTP.Addr is \"x\": must be host:port\nno such file\nwrapped: Addr is \"x\": must be host:port")
	require.Equal(t, "Addr", inner.Field, "the error given is not changed")
	require.ErrorIs(t, err, plain)
	e, ok := errors.AsType[*option.Error](option.Under("Options", option.Under("HTTP", inner)))
	require.True(t, ok)
	require.Equal(t, "Options.HTTP.Addr", e.Field)
}

func TestAllFlattens(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	require.Empty(t, option.All(nil))
	require.Equal(t, []error{a}, option.All(a))
	require.Equal(t, []error{a, b, a}, option.All(errors.Join(a, errors.Join(b, a))))
}
