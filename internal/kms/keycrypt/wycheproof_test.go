package keycrypt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"filippo.io/mldsa"
	"github.com/c2sp/wycheproof"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Project Wycheproof's vectors: valid ones, and those that implementations are known to get wrong. This test is inside
// the package because most of them have a public key only, and material has both.

const vectorKey = "1234abcd-12ab-34cd-56ef-1234567890ab"

// hexBytes is a member that is written in hexadecimal digits.
type hexBytes []byte

func (b *hexBytes) UnmarshalJSON(data []byte) (err error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*b, err = hex.DecodeString(text)
	return err
}

// vector is a case of any of the files, and group what its cases share.
type vector struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`
	Result  string `json:"result"` // valid, invalid, acceptable
	Flags   []string

	Msg, Sig, Ct, Label, Key, Tag, Ctx, Mu, Seed, Ek, C, K hexBytes

	Public, Private string // PEM
	Shared          hexBytes
}

type group struct {
	Tests []vector

	PublicKeyDer    hexBytes
	PrivateKeyPkcs8 hexBytes
	PrivateSeed     hexBytes
	PublicKey       json.RawMessage
	KeySize         int
	TagSize         int
	Sha, MgfSha     string
	SLen            int
}

// each runs a test for each of a file's cases, and fails if there are none.
func each(t *testing.T, file string, do func(*testing.T, *group, *vector)) {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, file+"_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ TestGroups []group }
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(file, err)
	}
	n := 0
	for _, g := range all.TestGroups {
		for _, v := range g.Tests {
			do(t, &g, &v)
			n++
			if t.Failed() {
				t.Fatalf("%s, case %d: %s %v", file, v.ID, v.Comment, v.Flags)
			}
		}
	}
	if n == 0 {
		t.Fatalf("%s has no cases", file)
	}
}

// agrees fails if a case ended otherwise than it must. "acceptable" may end either way.
func agrees(t *testing.T, v *vector, ok bool) {
	if v.Result == "valid" && !ok || v.Result == "invalid" && ok {
		t.Errorf("it is %s, and was accepted: %v", v.Result, ok)
	}
}

func publicOf(t *testing.T, g *group) any {
	key, err := x509.ParsePKIXPublicKey(g.PublicKeyDer)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func verified(t *testing.T, pair signer, a SigningAlgorithm, v *vector) bool {
	ok, err := pair.verify(a, Raw, v.Msg, v.Sig)
	if err != nil {
		t.Error(err)
	}
	return ok
}

func TestWycheproofRSASignatures(t *testing.T) {
	for file, a := range map[string]SigningAlgorithm{
		"rsa_signature_2048_sha256": PKCS1SHA256, "rsa_signature_2048_sha384": PKCS1SHA384, "rsa_signature_2048_sha512": PKCS1SHA512,
		"rsa_signature_3072_sha256": PKCS1SHA256, "rsa_signature_3072_sha384": PKCS1SHA384, "rsa_signature_3072_sha512": PKCS1SHA512,
		"rsa_signature_4096_sha256": PKCS1SHA256, "rsa_signature_4096_sha384": PKCS1SHA384, "rsa_signature_4096_sha512": PKCS1SHA512,
		"rsa_pss_2048_sha256_mgf1_32": PSSSHA256, "rsa_pss_2048_sha384_mgf1_48": PSSSHA384,
		"rsa_pss_3072_sha256_mgf1_32": PSSSHA256, "rsa_pss_4096_sha256_mgf1_32": PSSSHA256,
		"rsa_pss_4096_sha384_mgf1_48": PSSSHA384, "rsa_pss_4096_sha512_mgf1_64": PSSSHA512,
	} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			agrees(t, v, verified(t, rsaPair{&rsa.PrivateKey{PublicKey: *publicOf(t, g).(*rsa.PublicKey)}}, a, v))
		})
	}
	// Salts of another length than the hash are valid PSS, but none of AWS KMS.
	for _, file := range []string{"rsa_pss_2048_sha256_mgf1_0", "rsa_pss_4096_sha512_mgf1_32"} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			a := map[string]SigningAlgorithm{"SHA-256": PSSSHA256, "SHA-512": PSSSHA512}[g.Sha]
			if verified(t, rsaPair{&rsa.PrivateKey{PublicKey: *publicOf(t, g).(*rsa.PublicKey)}}, a, v) && v.Result != "invalid" {
				t.Errorf("a salt of %d bytes is accepted", g.SLen)
			}
		})
	}
}

// PKCS #1 v1.5 signatures are deterministic: those that are made are the published ones.
func TestWycheproofRSASigning(t *testing.T) {
	for _, file := range []string{"rsa_pkcs1_2048_sig_gen", "rsa_pkcs1_3072_sig_gen", "rsa_pkcs1_4096_sig_gen"} {
		signed := 0
		each(t, file, func(t *testing.T, g *group, v *vector) {
			a, ok := map[string]SigningAlgorithm{"SHA-256": PKCS1SHA256, "SHA-384": PKCS1SHA384, "SHA-512": PKCS1SHA512}[g.Sha]
			if !ok {
				return
			}
			m, err := Import(vectorKey, map[int]Spec{2048: RSA2048, 3072: RSA3072, 4096: RSA4096}[g.KeySize], g.PrivateKeyPkcs8)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := m.Sign(a, Raw, v.Msg)
			if err != nil || !bytes.Equal(signature, v.Sig) {
				t.Errorf("signature %x, %v", signature, err)
			}
			signed++
		})
		if signed == 0 {
			t.Errorf("%s: nothing to sign with the hashes of AWS KMS", file)
		}
	}
}

func TestWycheproofRSADecryption(t *testing.T) {
	for file, v := range map[string]struct {
		spec Spec
		a    EncryptionAlgorithm
	}{
		"rsa_oaep_2048_sha1_mgf1sha1":     {RSA2048, OAEPSHA1},
		"rsa_oaep_2048_sha256_mgf1sha256": {RSA2048, OAEPSHA256},
		"rsa_oaep_3072_sha256_mgf1sha256": {RSA3072, OAEPSHA256},
		"rsa_oaep_4096_sha256_mgf1sha256": {RSA4096, OAEPSHA256},
	} {
		var m *Material
		each(t, file, func(t *testing.T, g *group, c *vector) {
			var err error
			if m == nil {
				if m, err = Import(vectorKey, v.spec, g.PrivateKeyPkcs8); err != nil {
					t.Fatal(err)
				}
			}
			plaintext, err := m.DecryptPrivate(v.a, c.Ct)
			if err != nil && !errors.Is(err, ErrCiphertext) {
				t.Error(err)
			}
			if len(c.Label) > 0 && c.Result == "valid" { // AWS KMS has no label
				if err == nil {
					t.Error("a ciphertext with a label decrypts")
				}
				return
			}
			agrees(t, c, err == nil)
			if err == nil && !bytes.Equal(plaintext, c.Msg) {
				t.Errorf("plaintext %x", plaintext)
			}
		})
	}
}

func TestWycheproofECDSA(t *testing.T) {
	for file, a := range map[string]SigningAlgorithm{
		"ecdsa_secp256r1_sha256": ECDSASHA256, "ecdsa_secp384r1_sha384": ECDSASHA384, "ecdsa_secp521r1_sha512": ECDSASHA512,
	} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			agrees(t, v, verified(t, ecdsaPair{&ecdsa.PrivateKey{PublicKey: *publicOf(t, g).(*ecdsa.PublicKey)}}, a, v))
		})
	}
	each(t, "ecdsa_secp256k1_sha256", func(t *testing.T, g *group, v *vector) {
		point, ok := parsePoint(oidSecp256k1, g.PublicKeyDer)
		if !ok {
			t.Fatal("not a public key of secp256k1")
		}
		public, err := secp256k1.ParsePubKey(point)
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, v, verified(t, secp256k1Pair{public: public}, ECDSASHA256, v))
	})
}

func TestWycheproofEd25519(t *testing.T) {
	each(t, "ed25519", func(t *testing.T, g *group, v *vector) {
		key := slices.Concat(make(ed25519.PrivateKey, 32), ed25519.PrivateKey(publicOf(t, g).(ed25519.PublicKey)))
		agrees(t, v, verified(t, ed25519Pair{key}, Ed25519, v))
	})
}

func TestWycheproofECDH(t *testing.T) {
	for file, spec := range map[string]Spec{"ecdh_secp256r1_pem": P256, "ecdh_secp384r1_pem": P384, "ecdh_secp521r1_pem": P521} {
		each(t, file, func(t *testing.T, _ *group, v *vector) {
			private, _ := pem.Decode([]byte(v.Private))
			public, _ := pem.Decode([]byte(v.Public))
			if private == nil || public == nil {
				t.Fatal("not PEM")
			}
			m, err := Import(vectorKey, spec, private.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			shared, err := m.Agree(public.Bytes)
			if err != nil && !errors.Is(err, ErrPublicKey) {
				t.Error(err)
			}
			agrees(t, v, err == nil)
			if err == nil && !bytes.Equal(shared, v.Shared) {
				t.Errorf("secret %x", shared)
			}
		})
	}
}

func TestWycheproofHMAC(t *testing.T) {
	for file, hash := range map[string]crypto.Hash{
		"hmac_sha224": crypto.SHA224, "hmac_sha256": crypto.SHA256, "hmac_sha384": crypto.SHA384, "hmac_sha512": crypto.SHA512,
	} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			if g.TagSize != 8*hash.Size() { // AWS KMS shortens no MAC
				return
			}
			agrees(t, v, New(vectorKey, v.Key).VerifyMAC(hash, v.Msg, v.Tag))
		})
	}
}

// μ is FIPS 204, 6.2, step 6.
func μ(public, context, message []byte) []byte {
	tr := sha3.SumSHAKE256(public, 64)
	return sha3.SumSHAKE256(slices.Concat(tr, []byte{0, byte(len(context))}, context, message), 64)
}

func TestWycheproofMLDSAVerification(t *testing.T) {
	for file, spec := range map[string]Spec{"mldsa_44_verify": MLDSA44, "mldsa_65_verify": MLDSA65, "mldsa_87_verify": MLDSA87} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			var encoded hexBytes
			if err := json.Unmarshal(g.PublicKey, &encoded); err != nil {
				t.Fatal(err)
			}
			public, err := mldsa.NewPublicKey(mldsaKinds[spec].parameters, encoded)
			if err != nil {
				agrees(t, v, false)
				return
			}
			if len(v.Ctx) == 0 { // AWS KMS has no context
				agrees(t, v, verified(t, mldsaPair{kind: spec, public: public}, MLDSAShake256, v))
			}
			if len(v.Ctx) <= 255 {
				agrees(t, v, verifyMu(spec, encoded, μ(encoded, v.Ctx, v.Msg), v.Sig))
			}
		})
	}
}

func TestWycheproofMLDSAKeys(t *testing.T) {
	for file, spec := range map[string]Spec{"mldsa_44_sign_seed": MLDSA44, "mldsa_65_sign_seed": MLDSA65, "mldsa_87_sign_seed": MLDSA87} {
		each(t, file, func(t *testing.T, g *group, v *vector) {
			private := []byte(g.PrivateKeyPkcs8)
			if private == nil { // some have the seed only
				private, _ = marshalSeed(mldsaKinds[spec].oid, g.PrivateSeed)
			}
			m, err := Import(vectorKey, spec, private)
			if err != nil {
				agrees(t, v, false)
				return
			}
			if len(v.Mu) != 64 || v.Result != "valid" {
				return
			}
			if ok, err := m.Verify(MLDSAShake256, ExternalMu, v.Mu, v.Sig); !ok {
				t.Error("the signature of μ is refused", err)
			}
			if len(v.Ctx) > 0 || len(v.Msg) == 0 {
				return
			}
			if ok, err := m.Verify(MLDSAShake256, Raw, v.Msg, v.Sig); !ok {
				t.Error("the signature of the message is refused", err)
			}
		})
	}
}

func TestWycheproofMLKEM(t *testing.T) {
	for file, spec := range map[string]Spec{
		"mlkem_512": MLKEM512, "mlkem_768": MLKEM768, "mlkem_1024": MLKEM1024,
		"mlkem_512_keygen_seed": MLKEM512, "mlkem_768_keygen_seed": MLKEM768, "mlkem_1024_keygen_seed": MLKEM1024,
	} {
		each(t, file, func(t *testing.T, _ *group, v *vector) {
			pair, err := newMLKEM(spec, v.Seed)
			if err != nil {
				agrees(t, v, false)
				return
			}
			if v.Result == "valid" && !bytes.Equal(pair.(mlkemPair).Bytes(), v.Ek) {
				t.Error("another encapsulation key")
			}
			if v.K == nil {
				return
			}
			secret, err := pair.(encapsulator).decapsulate(v.C)
			agrees(t, v, err == nil && bytes.Equal(secret, v.K))
		})
	}
}
