package logger

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const hidden = "[secret]"

// Secret is a text that does not print: whatever formats, marshals, logs or dumps
// it gets "[secret]". Use it for passwords, keys and tokens in configurations and
// arguments; [Secret.Reveal] is the one way to the text, easy to search for in a
// review. The zero Secret holds the empty text.
//
// The text sits behind a function because reflection cannot look into one:
// printers that meet a Secret in an unexported struct field, where they may not
// call its methods, find an address.
type Secret struct{ reveal func() string }

// NewSecret returns a Secret that holds text.
func NewSecret(text string) Secret { return Secret{reveal: func() string { return text }} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Empty tells whether the text is empty, without showing it.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal compares two texts in a time that depends on their length only.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[secret]".
func (s Secret) String() string { return hidden }

// GoString returns "[secret]".
func (s Secret) GoString() string { return hidden }

// Format writes "[secret]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns "[secret]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns "[secret]"; JSON, XML, YAML and gob go this way.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// UnmarshalText takes text over, so that configurations can hold Secrets.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
