package chain

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/smsx"
)

// stored is a message as it waits in a store: with what [smsx.Message] hides from
// encoders.
type stored struct {
	Template string      `json:"template"`
	Args     []storedArg `json:"args,omitempty"`
	Numbers  []string    `json:"numbers"`
	ID       string      `json:"id,omitempty"`
	NotAfter time.Time   `json:"not_after,omitzero"`
	Class    smsx.Class  `json:"class,omitempty"`
}

type storedArg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Plain returns the codec that stores messages as JSON that anybody can read who can
// read the store: numbers, arguments and so one-time codes. Prefer [Sealed].
func Plain() async.Codec[smsx.Message] { return plain{} }

type plain struct{}

func (plain) Encode(m smsx.Message) ([]byte, error) {
	s := stored{Template: m.Template, ID: m.ID, NotAfter: m.NotAfter, Class: m.Class}
	for _, a := range m.Args {
		s.Args = append(s.Args, storedArg(a))
	}
	for _, n := range m.Numbers {
		s.Numbers = append(s.Numbers, n.E164())
	}
	return json.Marshal(s)
}

func (plain) Decode(b []byte) (smsx.Message, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		// Its text would quote what it can't read.
		return smsx.Message{}, errors.New("chain: a stored message can't be read")
	}
	m := smsx.Message{Template: s.Template, ID: s.ID, NotAfter: s.NotAfter, Class: s.Class}
	for _, a := range s.Args {
		m.Args = append(m.Args, smsx.Arg(a))
	}
	for _, e164 := range s.Numbers {
		n, err := smsx.ParseNumber(e164)
		if err != nil {
			return smsx.Message{}, fmt.Errorf("chain: a stored message: %w", err)
		}
		m.Numbers = append(m.Numbers, n)
	}
	return m, nil
}

// Sealed returns the codec that encrypts messages with aead, AES-GCM for one, so that
// the store shows neither numbers nor arguments. Whoever changes the key first lets
// the queue run empty.
func Sealed(aead cipher.AEAD) async.Codec[smsx.Message] { return sealed{aead} }

type sealed struct{ aead cipher.AEAD }

func (s sealed) Encode(m smsx.Message) ([]byte, error) {
	text, err := plain{}.Encode(m)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails, by its contract
	return s.aead.Seal(nonce, nonce, text, nil), nil
}

func (s sealed) Decode(b []byte) (smsx.Message, error) {
	size := s.aead.NonceSize()
	if len(b) < size {
		return smsx.Message{}, errors.New("chain: a stored message is cut off")
	}
	text, err := s.aead.Open(nil, b[:size], b[size:], nil)
	if err != nil {
		return smsx.Message{}, fmt.Errorf("chain: a stored message can't be opened: %w", err)
	}
	return plain{}.Decode(text)
}
