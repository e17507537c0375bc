package vigil

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Key types of signed notes that Vigil knows: C2SP signed-note.
const (
	keyEd25519     = 1
	keyCosignature = 4 // timestamped Ed25519: C2SP tlog-cosignature
)

// NewVerifier makes the verifier of a key in the form NAME+ID+BASE64 of C2SP signed-note: a log's (Ed25519, type 01) or
// a witness's (timestamped Ed25519, type 04). Other types of keys are refused.
func NewVerifier(vkey string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, encoded, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) == 0 || !isKeyName(name) {
		return nil, errors.New("vigil: a verifier key is like NAME+1a2b3c4d+BASE64")
	}
	switch key[0] {
	case keyEd25519:
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("vigil: verifier key: %w", err)
		}
		return v, nil
	case keyCosignature:
		hash, err := strconv.ParseUint(id, 16, 32)
		if len(key) != 1+ed25519.PublicKeySize || len(id) != 8 || err != nil || uint32(hash) != keyHash(name, key) {
			return nil, errors.New("vigil: the verifier key's id is not that of its name and key")
		}
		return &cosigner{name, uint32(hash), ed25519.PublicKey(key[1:])}, nil
	}
	return nil, fmt.Errorf("vigil: verifier keys of type %02x are not known", key[0])
}

func isKeyName(name string) bool {
	return name != "" && utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsSpace) < 0 && !strings.Contains(name, "+")
}

// keyHash is the id of a key: C2SP signed-note, "Signatures".
func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256([]byte(name + "\n" + string(key)))
	return binary.BigEndian.Uint32(sum[:])
}

// cosigner is a witness's key.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify implements note.Verifier: sig is a time in seconds, of 8 bytes, and the signature.
func (c *cosigner) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	at := binary.BigEndian.Uint64(sig)
	return at <= 1<<63-1 && ed25519.Verify(c.key, cosignedMessage(at, text), sig[8:])
}

// cosignedMessage is what a witness signs: C2SP tlog-cosignature, "Ed25519 signed message".
func cosignedMessage(at uint64, text []byte) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
}

// cosignatureTime is the time in a witness's signature, which is preceded by the key's id in a note's line; 0 if it has none.
func cosignatureTime(line []byte) int64 {
	if len(line) != 4+8+ed25519.SignatureSize {
		return 0
	}
	return int64(binary.BigEndian.Uint64(line[4:]))
}

// CosignatureSigner signs checkpoints as a witness does, with times from now.
type CosignatureSigner struct {
	cosigner
	private ed25519.PrivateKey
	now     func() time.Time
}

// NewCosignatureSigner makes the signer of a witness of that name from a seed of 32 bytes.
func NewCosignatureSigner(name string, seed []byte, now func() time.Time) (*CosignatureSigner, error) {
	if !isKeyName(name) || len(seed) != ed25519.SeedSize {
		return nil, errors.New("vigil: a witness has a name without spaces or +, and a seed of 32 bytes")
	}
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	return &CosignatureSigner{cosigner{name, keyHash(name, append([]byte{keyCosignature}, public...)), public}, private, now}, nil
}

// VerifierKey is the witness's key as NewVerifier reads it.
func (s *CosignatureSigner) VerifierKey() string {
	return fmt.Sprintf("%s+%08x+%s", s.name, s.hash, base64.StdEncoding.EncodeToString(append([]byte{keyCosignature}, s.key...)))
}

// Sign implements note.Signer.
func (s *CosignatureSigner) Sign(text []byte) ([]byte, error) {
	at := uint64(s.now().Unix())
	return append(binary.BigEndian.AppendUint64(nil, at), ed25519.Sign(s.private, cosignedMessage(at, text))...), nil
}
