package keycrypt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"vigil/internal/kms/keycrypt"
)

// frozenPair is a key pair as it is stored, and what was made with it: testdata/pairs_v1.json has one of each kind for
// ever. Lines are added to it, never changed.
type frozenPair struct {
	Spec       keycrypt.Spec
	ID         string // of the material
	PKCS8      []byte
	PublicKey  []byte
	Signatures []struct {
		Algorithm     keycrypt.SigningAlgorithm
		Type          keycrypt.MessageType
		Message       []byte
		Signature     []byte
		Deterministic bool // the same message has no other signature
	}
	Ciphertexts []struct {
		Algorithm  keycrypt.EncryptionAlgorithm
		Ciphertext []byte
		Plaintext  []byte
	}
	Agreements     []struct{ Peer, Secret []byte }
	Encapsulations []struct{ Ciphertext, Secret []byte }
}

func frozenPairs(t testing.TB) (pairs []frozenPair) {
	t.Helper()
	data, err := os.ReadFile("testdata/pairs_v1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &pairs); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// What an earlier version stored and made, this one reads and makes.
func TestFrozenKeyPairs(t *testing.T) {
	seen := make(map[keycrypt.Spec]bool)
	for _, f := range frozenPairs(t) {
		seen[f.Spec] = true
		m := keycrypt.New(keyID, f.PKCS8)
		imported, err := keycrypt.Import(keyID, f.Spec, f.PKCS8)
		if err != nil || imported.ID() != f.ID || m.ID() != f.ID || !bytes.Equal(imported.Secret(), f.PKCS8) {
			t.Errorf("%s: the material is another one, %v", f.Spec, err)
		}
		if public := publicKey(t, m); !bytes.Equal(public, f.PublicKey) {
			t.Errorf("%s: public key\n%x\nwas\n%x", f.Spec, public, f.PublicKey)
		}
		for _, s := range f.Signatures {
			if ok, err := m.Verify(s.Algorithm, s.Type, s.Message, s.Signature); !ok {
				t.Errorf("%s: %s %s is not verified: %v", f.Spec, s.Algorithm, s.Type, err)
			}
			signature, err := m.Sign(s.Algorithm, s.Type, s.Message)
			if err != nil || s.Deterministic != bytes.Equal(signature, s.Signature) {
				t.Errorf("%s: %s %s signature %x, was %x: %v", f.Spec, s.Algorithm, s.Type, signature, s.Signature, err)
			}
		}
		for _, c := range f.Ciphertexts {
			if plaintext, err := m.DecryptPrivate(c.Algorithm, c.Ciphertext); err != nil || !bytes.Equal(plaintext, c.Plaintext) {
				t.Errorf("%s: %s decrypts to %q, %v", f.Spec, c.Algorithm, plaintext, err)
			}
		}
		for _, a := range f.Agreements {
			if secret, err := m.Agree(a.Peer); err != nil || !bytes.Equal(secret, a.Secret) {
				t.Errorf("%s: agreed on %x, %v", f.Spec, secret, err)
			}
		}
		for _, e := range f.Encapsulations {
			if secret, err := m.Decapsulate(e.Ciphertext); err != nil || !bytes.Equal(secret, e.Secret) {
				t.Errorf("%s: decapsulated %x, %v", f.Spec, secret, err)
			}
		}
	}
	for _, spec := range pairSpecs {
		if !seen[spec] {
			t.Errorf("nothing is frozen of %s", spec)
		}
	}
}

// No byte of a signature, of a message or of a ciphertext can be changed.
func TestTamperedPairs(t *testing.T) {
	for _, f := range frozenPairs(t) {
		m := keycrypt.New(keyID, f.PKCS8)
		for _, s := range f.Signatures {
			for what, of := range map[string]*[]byte{"signature": &s.Signature, "message": &s.Message} {
				for i := 0; i < len(*of); i += 1 + len(*of)/100 { // all of the short, a hundred of the long
					(*of)[i] ^= 0x10
					if ok, _ := m.Verify(s.Algorithm, s.Type, s.Message, s.Signature); ok {
						t.Errorf("%s: %s verifies with byte %d of the %s changed", f.Spec, s.Algorithm, i, what)
					}
					(*of)[i] ^= 0x10
				}
			}
		}
		for _, c := range f.Ciphertexts {
			for i := 0; i < len(c.Ciphertext); i += 1 + len(c.Ciphertext)/100 {
				c.Ciphertext[i] ^= 1
				if plaintext, err := m.DecryptPrivate(c.Algorithm, c.Ciphertext); !errors.Is(err, keycrypt.ErrCiphertext) {
					t.Errorf("%s: %s with byte %d changed: %q, %v", f.Spec, c.Algorithm, i, plaintext, err)
				}
				c.Ciphertext[i] ^= 1
			}
			for _, wrong := range [][]byte{nil, c.Ciphertext[1:], append(bytes.Clone(c.Ciphertext), 0)} {
				if _, err := m.DecryptPrivate(c.Algorithm, wrong); !errors.Is(err, keycrypt.ErrCiphertext) {
					t.Errorf("%s: %s of %d bytes: %v", f.Spec, c.Algorithm, len(wrong), err)
				}
			}
		}
		for _, e := range f.Encapsulations {
			for i := range e.Ciphertext {
				e.Ciphertext[i] ^= 1
				if secret, err := m.Decapsulate(e.Ciphertext); err != nil || bytes.Equal(secret, e.Secret) {
					t.Errorf("%s: the secret with byte %d changed is %x, %v", f.Spec, i, secret, err)
				}
				e.Ciphertext[i] ^= 1
			}
			if _, err := m.Decapsulate(e.Ciphertext[1:]); !errors.Is(err, keycrypt.ErrCiphertext) {
				t.Errorf("%s: a short ciphertext: %v", f.Spec, err)
			}
		}
	}
}

// A key pair refuses every algorithm that is not of its kind.
func TestAlgorithmsOfOtherKinds(t *testing.T) {
	pairs := frozenPairs(t)
	signing, encryption := make(map[keycrypt.SigningAlgorithm][]byte), make(map[keycrypt.EncryptionAlgorithm]bool)
	for _, f := range pairs {
		for _, s := range f.Signatures {
			if s.Type != keycrypt.ExternalMu {
				signing[s.Algorithm] = s.Message
			}
		}
		for _, c := range f.Ciphertexts {
			encryption[c.Algorithm] = true
		}
	}
	for _, f := range pairs {
		m := keycrypt.New(keyID, f.PKCS8)
		own := make(map[any]bool)
		for _, s := range f.Signatures {
			own[s.Algorithm] = true
		}
		for _, c := range f.Ciphertexts {
			own[c.Algorithm] = true
		}
		for a, message := range signing {
			typ := keycrypt.Raw
			if a.Check(typ, message) != nil || len(message) != 20 {
				typ = keycrypt.Digest
			}
			_, signErr := m.Sign(a, typ, message)
			_, verifyErr := m.Verify(a, typ, message, []byte("signature"))
			if wrong := !own[a]; wrong != errors.Is(signErr, keycrypt.ErrAlgorithm) || wrong != errors.Is(verifyErr, keycrypt.ErrAlgorithm) {
				t.Errorf("%s: %s %s: %v, %v", f.Spec, a, typ, signErr, verifyErr)
			}
		}
		for a := range encryption {
			_, err := m.EncryptPublic(a, []byte("x"))
			_, decryptErr := m.DecryptPrivate(a, []byte("x"))
			if wrong := !own[a]; wrong != errors.Is(err, keycrypt.ErrAlgorithm) || wrong != errors.Is(decryptErr, keycrypt.ErrAlgorithm) {
				t.Errorf("%s: %s: %v, %v", f.Spec, a, err, decryptErr)
			}
		}
	}
	m := keycrypt.New(keyID, pairs[0].PKCS8)
	if _, err := m.Sign("RSASSA_PSS_SHA_1", keycrypt.Raw, nil); !errors.Is(err, keycrypt.ErrAlgorithm) {
		t.Errorf("an algorithm that there is not: %v", err)
	}
}

// The sizes that AWS KMS documents.
func TestMaxPlaintext(t *testing.T) {
	for _, v := range []struct {
		spec       keycrypt.Spec
		sha1, sha2 int
	}{{keycrypt.RSA2048, 214, 190}, {keycrypt.RSA3072, 342, 318}, {keycrypt.RSA4096, 470, 446}, {keycrypt.P256, 0, 0}} {
		if one, two := keycrypt.OAEPSHA1.MaxPlaintext(v.spec), keycrypt.OAEPSHA256.MaxPlaintext(v.spec); one != v.sha1 || two != v.sha2 {
			t.Errorf("%s: %d and %d bytes, want %d and %d", v.spec, one, two, v.sha1, v.sha2)
		}
	}
	for _, f := range frozenPairs(t) {
		for _, c := range f.Ciphertexts {
			most := c.Algorithm.MaxPlaintext(f.Spec)
			m := keycrypt.New(keyID, f.PKCS8)
			blob, err := m.EncryptPublic(c.Algorithm, make([]byte, most))
			if err != nil {
				t.Fatal(err)
			}
			if plaintext, err := m.DecryptPrivate(c.Algorithm, blob); err != nil || len(plaintext) != most {
				t.Errorf("%s: %d bytes, %v", c.Algorithm, len(plaintext), err)
			}
			if _, err := m.EncryptPublic(c.Algorithm, make([]byte, most+1)); !errors.Is(err, keycrypt.ErrPlaintextSize) {
				t.Errorf("%s: one byte more: %v", c.Algorithm, err)
			}
		}
	}
}

// Whatever a user imports, it is refused or it is a key that is stored and read again as the same.
func FuzzImport(f *testing.F) {
	for i, p := range frozenPairs(f) {
		f.Add(byte(i), p.PKCS8)
	}
	f.Fuzz(func(t *testing.T, kind byte, der []byte) {
		spec := pairSpecs[int(kind)%len(pairSpecs)]
		m, err := keycrypt.Import(keyID, spec, der)
		if err != nil {
			return
		}
		again, err := keycrypt.Import(keyID, spec, m.Secret())
		if err != nil || again.ID() != m.ID() || !bytes.Equal(publicKey(t, again), publicKey(t, m)) {
			t.Errorf("%v, imported again, is %v, %v", m, again, err)
		}
	})
}

// Whatever others send, it is refused in order.
func FuzzOthersBytes(f *testing.F) {
	pairs := frozenPairs(f)
	materials := make([]*keycrypt.Material, len(pairs))
	for i, p := range pairs {
		materials[i] = keycrypt.New(keyID, p.PKCS8)
		f.Add(byte(i), p.PublicKey)
		for _, s := range p.Signatures {
			f.Add(byte(i), s.Signature)
		}
		for _, c := range p.Ciphertexts {
			f.Add(byte(i), c.Ciphertext)
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		i := int(kind) % len(pairs)
		m := materials[i]
		for _, s := range pairs[i].Signatures {
			if _, err := m.Verify(s.Algorithm, s.Type, s.Message, data); err != nil {
				t.Error(err)
			}
		}
		for _, c := range pairs[i].Ciphertexts {
			if _, err := m.DecryptPrivate(c.Algorithm, data); err != nil && !errors.Is(err, keycrypt.ErrCiphertext) {
				t.Error(err)
			}
		}
		for range pairs[i].Agreements {
			if _, err := m.Agree(data); err != nil && !errors.Is(err, keycrypt.ErrPublicKey) {
				t.Error(err)
			}
		}
		for range pairs[i].Encapsulations {
			if _, err := m.Decapsulate(data); err != nil && !errors.Is(err, keycrypt.ErrCiphertext) {
				t.Error(err)
			}
		}
	})
}
