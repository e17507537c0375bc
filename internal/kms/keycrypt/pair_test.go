package keycrypt_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"testing"

	"vigil/internal/kms/keycrypt"
)

var pairSpecs = []keycrypt.Spec{
	keycrypt.RSA2048, keycrypt.RSA3072, keycrypt.RSA4096, keycrypt.P256, keycrypt.P384, keycrypt.P521, keycrypt.P256K1,
	keycrypt.Edwards25519, keycrypt.SM2, keycrypt.MLDSA44, keycrypt.MLDSA65, keycrypt.MLDSA87,
	keycrypt.MLKEM512, keycrypt.MLKEM768, keycrypt.MLKEM1024,
}

// A key that is made is the same key after it was stored and loaded, and after it was imported.
func TestKeysSurviveStorage(t *testing.T) {
	for _, spec := range pairSpecs {
		t.Run(string(spec), func(t *testing.T) {
			t.Parallel()
			m := generate(t, spec)
			loaded := keycrypt.New(keyID, m.Secret())
			imported, err := keycrypt.Import(keyID, spec, m.Secret())
			if err != nil {
				t.Fatal(err)
			}
			public := publicKey(t, m)
			for name, other := range map[string]*keycrypt.Material{"loaded": loaded, "imported": imported} {
				if got, err := other.Spec(); err != nil || got != spec {
					t.Errorf("%s: kind %q, %v", name, got, err)
				}
				if other.ID() != m.ID() || !bytes.Equal(other.Secret(), m.Secret()) {
					t.Errorf("the %s material is another one", name)
				}
				if !bytes.Equal(publicKey(t, other), public) {
					t.Errorf("the %s material has another public key", name)
				}
			}
			for _, wrong := range pairSpecs {
				if _, err := keycrypt.Import(keyID, wrong, m.Secret()); wrong != spec && !errors.Is(err, keycrypt.ErrMaterial) {
					t.Errorf("imported as %s: %v", wrong, err)
				}
			}
		})
	}
}

// The public key of each kind has the algorithm identifier and the size that its standard says.
func TestPublicKeyForm(t *testing.T) {
	for _, v := range []struct {
		spec  keycrypt.Spec
		oids  string // algorithm, and its parameters if they are an identifier
		bytes int    // of the bit string
	}{
		{keycrypt.P256, "1.2.840.10045.2.1 1.2.840.10045.3.1.7", 65},
		{keycrypt.P384, "1.2.840.10045.2.1 1.3.132.0.34", 97},
		{keycrypt.P521, "1.2.840.10045.2.1 1.3.132.0.35", 133},
		{keycrypt.P256K1, "1.2.840.10045.2.1 1.3.132.0.10", 65},
		{keycrypt.SM2, "1.2.840.10045.2.1 1.2.156.10197.1.301", 65},
		{keycrypt.Edwards25519, "1.3.101.112", 32},
		{keycrypt.MLDSA44, "2.16.840.1.101.3.4.3.17", 1312},
		{keycrypt.MLDSA65, "2.16.840.1.101.3.4.3.18", 1952},
		{keycrypt.MLDSA87, "2.16.840.1.101.3.4.3.19", 2592},
		{keycrypt.MLKEM512, "2.16.840.1.101.3.4.4.1", 800},
		{keycrypt.MLKEM768, "2.16.840.1.101.3.4.4.2", 1184},
		{keycrypt.MLKEM1024, "2.16.840.1.101.3.4.4.3", 1568},
	} {
		var key struct {
			Algorithm struct {
				ID         asn1.ObjectIdentifier
				Parameters asn1.ObjectIdentifier `asn1:"optional"`
			}
			Key asn1.BitString
		}
		if rest, err := asn1.Unmarshal(publicKey(t, generate(t, v.spec)), &key); err != nil || len(rest) > 0 {
			t.Errorf("%s: %v", v.spec, err)
			continue
		}
		oids := key.Algorithm.ID.String()
		if key.Algorithm.Parameters != nil {
			oids += " " + key.Algorithm.Parameters.String()
		}
		if oids != v.oids || len(key.Key.Bytes) != v.bytes {
			t.Errorf("%s: %s, %d bytes; want %s, %d", v.spec, oids, len(key.Key.Bytes), v.oids, v.bytes)
		}
	}
}

// The standard library reads the public and the private key of every kind that it has.
func TestStandardKinds(t *testing.T) {
	for _, spec := range []keycrypt.Spec{keycrypt.RSA2048, keycrypt.P256, keycrypt.P384, keycrypt.P521, keycrypt.Edwards25519} {
		private, public, err := keycrypt.GeneratePair(spec)
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.ParsePKCS8PrivateKey(private)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		parsed, err := x509.ParsePKIXPublicKey(public)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		equal := false
		switch key := key.(type) {
		case *rsa.PrivateKey:
			equal = key.PublicKey.Equal(parsed)
		case *ecdsa.PrivateKey:
			equal = key.PublicKey.Equal(parsed)
		case ed25519.PrivateKey:
			equal = key.Public().(ed25519.PublicKey).Equal(parsed)
		}
		if !equal {
			t.Errorf("%s: the public key is not the private one's", spec)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	rsa1024, err := rsa.GenerateMultiPrimeKey(nil, 3, 2048) //lint:ignore SA1019 others make such keys
	if err != nil {
		t.Fatal(err)
	}
	three, err := x509.MarshalPKCS8PrivateKey(rsa1024)
	if err != nil {
		t.Fatal(err)
	}
	k1 := generate(t, keycrypt.P256K1).Secret()
	for name, v := range map[string]struct {
		spec  keycrypt.Spec
		value []byte
	}{
		"symmetric, 31 bytes":      {keycrypt.SymmetricDefault, make([]byte, 31)},
		"symmetric, 33 bytes":      {keycrypt.SymmetricDefault, make([]byte, 33)},
		"symmetric, none":          {keycrypt.SymmetricDefault, nil},
		"HMAC of another size":     {keycrypt.HMAC512, make([]byte, 32)},
		"no DER":                   {keycrypt.RSA2048, []byte("-----BEGIN PRIVATE KEY-----")},
		"nothing":                  {keycrypt.P256, nil},
		"three primes":             {keycrypt.RSA2048, three},
		"bytes behind the key":     {keycrypt.P256K1, append(bytes.Clone(k1), 0)},
		"a key cut short":          {keycrypt.P256K1, k1[:len(k1)-1]},
		"a kind that there is not": {"RSA_1024", k1},
		"a public key":             {keycrypt.P256K1, publicKey(t, keycrypt.New(keyID, k1))},
	} {
		if m, err := keycrypt.Import(keyID, v.spec, v.value); !errors.Is(err, keycrypt.ErrMaterial) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if _, err := keycrypt.GenerateKey(keyID, "RSA_1024"); err == nil {
		t.Error("a key of a kind that there is not was made")
	}
}

// However a private key was written, importing it gives one material.
func TestImportIsCanonical(t *testing.T) {
	m := generate(t, keycrypt.P256)
	key, err := x509.ParsePKCS8PrivateKey(m.Secret())
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey)) // names its curve, which PKCS #8 need not
	if err != nil {
		t.Fatal(err)
	}
	var outer struct {
		Version   int
		Algorithm asn1.RawValue
		Key       []byte
	}
	if _, err := asn1.Unmarshal(m.Secret(), &outer); err != nil {
		t.Fatal(err)
	}
	outer.Key = sec1
	other, err := asn1.Marshal(outer)
	if err != nil || bytes.Equal(other, m.Secret()) {
		t.Fatal("not another way to write the key", err)
	}
	if imported, err := keycrypt.Import(keyID, keycrypt.P256, other); err != nil || imported.ID() != m.ID() {
		t.Errorf("%v, %v; want %v", imported, err, m)
	}
}

// Material of one kind refuses what another does, without panicking.
func TestMaterialRefusesOtherKinds(t *testing.T) {
	secret, kem := keycrypt.Generate(keyID, 32), generate(t, keycrypt.MLKEM512)
	for _, m := range []*keycrypt.Material{secret, kem} {
		if _, err := m.Sign(keycrypt.Ed25519, keycrypt.Raw, []byte("x")); err == nil {
			t.Errorf("%v signs", m)
		}
		if _, err := m.Verify(keycrypt.Ed25519, keycrypt.Raw, []byte("x"), []byte("x")); err == nil {
			t.Errorf("%v verifies", m)
		}
		if _, err := m.EncryptPublic(keycrypt.OAEPSHA1, []byte("x")); err == nil {
			t.Errorf("%v encrypts", m)
		}
		if _, err := m.DecryptPrivate(keycrypt.OAEPSHA1, []byte("x")); err == nil {
			t.Errorf("%v decrypts", m)
		}
		if _, err := m.Agree([]byte("x")); err == nil {
			t.Errorf("%v agrees", m)
		}
	}
	if _, err := secret.PublicKey(); err == nil {
		t.Error("a secret has a public key")
	}
	if _, _, err := secret.Encapsulate(); err == nil {
		t.Error("a secret encapsulates")
	}
	if _, err := kem.Encrypt(keyARN, []byte("x"), nil); err == nil {
		t.Error("a key pair encrypts as a symmetric key")
	}
}

func generate(t testing.TB, spec keycrypt.Spec) *keycrypt.Material {
	t.Helper()
	m, err := keycrypt.GenerateKey(keyID, spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func publicKey(t testing.TB, m *keycrypt.Material) []byte {
	t.Helper()
	der, err := m.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return der
}
