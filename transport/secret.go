package transport

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret looks like wherever it is printed.
const redacted = "[redacted]"

// Secret is a text that shows itself to nobody who does not ask by name: fmt,
// slog and the encoders of the standard library see "[redacted]", and nothing
// when it is empty, whatever the verb and however deep it is buried. The zero
// value is empty. It cannot be compared with ==.
type Secret struct {
	// A function, because printers follow pointers and read the fields of
	// structs, exported or not, but print of a function only where it is.
	reveal func() string
}

// NewSecret returns a secret that holds a text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() string { return text }}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String returns "[redacted]", or nothing when the secret is empty.
func (s Secret) String() string {
	if s.reveal == nil {
		return ""
	}
	return redacted
}

// Format writes what String returns, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue returns what String does.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String does: a secret does not survive being encoded.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
