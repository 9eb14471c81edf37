package testkit

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clusterkit/clusterkit/transport"
)

// Tokens that tests use; no error, log or answer may show them.
const (
	ReadToken  = "read-0123456789abcdef"
	WriteToken = "write-0123456789abcdef"
	BothToken  = "both-0123456789abcdef=="
)

// Token returns a function that returns a token.
func Token(text string) func() string { return func() string { return text } }

// Tokens are the three tokens, with the scopes in their names.
func Tokens() []transport.Credential {
	return []transport.Credential{
		{Token: Token(ReadToken)},
		{Token: Token(WriteToken), Write: true},
		{Token: Token(BothToken), Read: true, Write: true},
	}
}

// NewGuard is transport.NewGuard for valid options.
func NewGuard(tb testing.TB, o transport.GuardOptions) *transport.Guard {
	tb.Helper()
	o.Logger = Quiet()
	g, err := transport.NewGuard(o)
	require.NoError(tb, err)
	return g
}

// Guarded is a handler behind a guard.
func Guarded(tb testing.TB, o transport.GuardOptions) (*transport.Handler, *transport.Guard) {
	tb.Helper()
	g := NewGuard(tb, o)
	return MakeHandler(NewCluster(tb), transport.HandlerOptions{Logger: Quiet(), Middleware: []func(http.Handler) http.Handler{g.Wrap}}), g
}
