package kms_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/kms/keycrypt"
)

// external makes a key that waits for its material.
func (h *house) external(t testing.TB, who caller, in awskms.CreateKeyInput) *types.KeyMetadata {
	t.Helper()
	in.Origin = types.OriginTypeExternal
	m := h.create(t, who, in)
	if m.KeyState != "PendingImport" || m.Enabled || m.Origin != "EXTERNAL" || m.CurrentKeyMaterialId != nil || m.ExpirationModel != "" {
		t.Errorf("a new key without material is %s", asJSON(t, m))
	}
	return m
}

// seal encrypts material as who imports it does.
func seal(t testing.TB, p *awskms.GetParametersForImportOutput, algorithm types.AlgorithmSpec, value []byte) []byte {
	t.Helper()
	public, err := x509.ParsePKIXPublicKey(p.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	hash := crypto.SHA256
	if strings.HasSuffix(string(algorithm), "SHA_1") {
		hash = crypto.SHA1
	}
	var behind []byte
	if strings.HasPrefix(string(algorithm), "RSA_AES_KEY_WRAP") {
		kek := keycrypt.Random(32)
		if behind, err = keycrypt.WrapKey(kek, value); err != nil {
			t.Fatal(err)
		}
		value = kek
	}
	sealed, err := rsa.EncryptOAEP(hash.New(), rand.Reader, public.(*rsa.PublicKey), value, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(sealed, behind...)
}

func (h *house) parameters(t testing.TB, who caller, key *string, algorithm types.AlgorithmSpec) *awskms.GetParametersForImportOutput {
	t.Helper()
	return must[awskms.GetParametersForImportOutput](t, h, who, "GetParametersForImport",
		&awskms.GetParametersForImportInput{KeyId: key, WrappingAlgorithm: algorithm, WrappingKeySpec: "RSA_2048"})
}

// imports is a request to import a value that never expires, unless the test changes that.
func (h *house) imports(t testing.TB, who caller, key *string, value []byte) *awskms.ImportKeyMaterialInput {
	t.Helper()
	algorithm := types.AlgorithmSpecRsaesOaepSha256
	if len(value) > 190 {
		algorithm = types.AlgorithmSpecRsaAesKeyWrapSha256
	}
	p := h.parameters(t, who, key, algorithm)
	return &awskms.ImportKeyMaterialInput{
		KeyId: key, ImportToken: p.ImportToken, EncryptedKeyMaterial: seal(t, p, algorithm, value),
		ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
	}
}

// imported imports a value, and returns the id of the material.
func (h *house) imported(t testing.TB, who caller, key *string, value []byte, kind types.ImportType) string {
	t.Helper()
	in := h.imports(t, who, key, value)
	in.ImportType = kind
	out := must[awskms.ImportKeyMaterialOutput](t, h, who, "ImportKeyMaterial", in)
	if out.KeyMaterialId == nil {
		return ""
	}
	return *out.KeyMaterialId
}

func (h *house) state(t testing.TB, who caller, key *string, want types.KeyState) {
	t.Helper()
	if m := h.describe(t, who, *key); m.KeyState != want || m.Enabled != (want == "Enabled") {
		t.Errorf("the key is %s (enabled: %v), want %s", m.KeyState, m.Enabled, want)
	}
}

func secret(b byte) []byte { return []byte(strings.Repeat(string(rune('a'+b)), 32)) }

// AWS's table of import: every kind of material with every way to wrap it that AWS has for it.
func TestImportEveryKind(t *testing.T) {
	h := open(t)
	pair := func(private any, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	oaep := []types.AlgorithmSpec{"RSAES_OAEP_SHA_256", "RSAES_OAEP_SHA_1"}
	aes := []types.AlgorithmSpec{"RSA_AES_KEY_WRAP_SHA_256", "RSA_AES_KEY_WRAP_SHA_1"}
	both := append(append([]types.AlgorithmSpec{}, oaep...), aes...)
	for _, v := range []struct {
		spec  types.KeySpec
		usage types.KeyUsageType
		value []byte
		ways  []types.AlgorithmSpec // with a wrapping key of 2048 bits
	}{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", keycrypt.Random(32), oaep},
		{"HMAC_224", "GENERATE_VERIFY_MAC", keycrypt.Random(28), oaep},
		{"HMAC_256", "GENERATE_VERIFY_MAC", keycrypt.Random(32), oaep},
		{"HMAC_384", "GENERATE_VERIFY_MAC", keycrypt.Random(48), oaep},
		{"HMAC_512", "GENERATE_VERIFY_MAC", keycrypt.Random(64), oaep},
		{"RSA_2048", "SIGN_VERIFY", pair(rsa.GenerateKey(rand.Reader, 2048)), aes},
		{"RSA_3072", "ENCRYPT_DECRYPT", pair(rsa.GenerateKey(rand.Reader, 3072)), aes},
		{"ECC_NIST_P256", "SIGN_VERIFY", pair(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), both},
		{"ECC_NIST_P384", "KEY_AGREEMENT", pair(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)), both},
		{"ECC_NIST_P521", "SIGN_VERIFY", pair(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), aes},
	} {
		key := h.external(t, alice, awskms.CreateKeyInput{KeySpec: v.spec, KeyUsage: v.usage})
		for _, algorithm := range both {
			in := &awskms.GetParametersForImportInput{KeyId: key.KeyId, WrappingAlgorithm: algorithm, WrappingKeySpec: "RSA_2048"}
			got, _, err := h.call(alice, "GetParametersForImport", in)
			if !contains(v.ways, algorithm) {
				refused(t, string(v.spec), err, "UnsupportedOperationException", fmt.Sprintf(
					"Wrapping algorithm %s with wrapping key spec RSA_2048 is not valid for key material of key spec %s.", algorithm, v.spec))
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			p := got.(*awskms.GetParametersForImportOutput)
			if *p.KeyId != *key.Arn || len(p.ImportToken) > 6144 ||
				p.ParametersValidTo.Sub(h.clock.Now().Add(day)).Abs() > time.Hour {
				t.Errorf("%s", asJSON(t, p))
			}
			out := must[awskms.ImportKeyMaterialOutput](t, h, alice, "ImportKeyMaterial", &awskms.ImportKeyMaterialInput{
				KeyId: key.KeyId, ImportToken: p.ImportToken, EncryptedKeyMaterial: seal(t, p, algorithm, v.value),
				ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
			})
			if *out.KeyId != *key.Arn || (out.KeyMaterialId != nil) != (v.spec == "SYMMETRIC_DEFAULT") {
				t.Errorf("%s", asJSON(t, out))
			}
		}
		m := h.describe(t, alice, *key.KeyId)
		if m.KeyState != "Enabled" || m.ExpirationModel != "KEY_MATERIAL_DOES_NOT_EXPIRE" || m.ValidTo != nil {
			t.Errorf("%s: %s", v.spec, asJSON(t, m))
		}
		for _, wrong := range [][]byte{v.value[1:], append([]byte{0}, v.value...), keycrypt.Random(len(v.value))} {
			p := h.parameters(t, alice, key.KeyId, v.ways[0])
			in := &awskms.ImportKeyMaterialInput{KeyId: key.KeyId, ImportToken: p.ImportToken,
				EncryptedKeyMaterial: seal(t, p, v.ways[0], wrong), ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE"}
			refused(t, string(v.spec)+", other material", h.try(alice, "ImportKeyMaterial", in), "IncorrectKeyMaterialException", "")
		}
	}
	// What was imported is what signs.
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key := h.external(t, alice, awskms.CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"})
	h.imported(t, alice, key.KeyId, pair(private, err), "")
	signature := must[awskms.SignOutput](t, h, alice, "Sign", &awskms.SignInput{
		KeyId: key.KeyId, Message: []byte("x"), SigningAlgorithm: "ECDSA_SHA_256"}).Signature
	digest := sha256.Sum256([]byte("x"))
	if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
		t.Error("the signature is not of the imported key")
	}
}

func contains[T comparable](all []T, one T) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// Imported material goes and comes back; only the same will do; what it encrypted is readable whenever it is there.
func TestImportedMaterialComesAndGoes(t *testing.T) {
	h := open(t)
	key := h.external(t, alice, awskms.CreateKeyInput{})
	id := h.imported(t, alice, key.KeyId, secret(0), "")
	if m := h.describe(t, alice, *key.KeyId); *m.CurrentKeyMaterialId != id {
		t.Errorf("the current material is %s, not %s", *m.CurrentKeyMaterialId, id)
	}
	blob := h.encrypt(t, alice, *key.KeyId, "x", nil)

	out, c, err := h.call(alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.(*awskms.DeleteImportedKeyMaterialOutput); *got.KeyId != *key.Arn || *got.KeyMaterialId != id {
		t.Errorf("%s", asJSON(t, got))
	}
	if got, want := string(c.ResponseElements()), fmt.Sprintf(`{"keyId":%q,"keyMaterialId":%q}`, *key.Arn, id); got != want {
		t.Errorf("responseElements %s, want %s", got, want)
	}
	h.state(t, alice, key.KeyId, "PendingImport")
	if m := h.describe(t, alice, *key.KeyId); *m.CurrentKeyMaterialId != id || m.ExpirationModel != "" {
		t.Errorf("without its material: %s", asJSON(t, m))
	}
	for what, err := range map[string]error{
		"Encrypt":     h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")}),
		"Decrypt":     h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob}),
		"DisableKey":  h.try(alice, "DisableKey", &awskms.DisableKeyInput{KeyId: key.KeyId}),
		"EnableKey":   h.try(alice, "EnableKey", &awskms.EnableKeyInput{KeyId: key.KeyId}),
		"RotateKeyOn": h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: key.KeyId}),
	} {
		expect(t, what, err, "KMSInvalidStateException: KEY is pending import.", *key.Arn)
	}
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId}) // again, without effect
	refused(t, "other material", h.try(alice, "ImportKeyMaterial", h.imports(t, alice, key.KeyId, secret(1))),
		"IncorrectKeyMaterialException", "")
	wrong := h.imports(t, alice, key.KeyId, secret(0))
	wrong.KeyMaterialId = new(strings.Repeat("0", 64))
	refused(t, "another id", h.try(alice, "ImportKeyMaterial", wrong), "IncorrectKeyMaterialException", "")

	if again := h.imported(t, alice, key.KeyId, secret(0), "EXISTING_KEY_MATERIAL"); again != id {
		t.Errorf("the same material has the id %s, and had %s", again, id)
	}
	h.state(t, alice, key.KeyId, "Enabled")
	if got := h.decrypt(t, alice, blob); string(got.Plaintext) != "x" || *got.KeyMaterialId != id {
		t.Errorf("%s", asJSON(t, got))
	}
	// Only the import itself enables a key: a disabled one that has all its material stays disabled.
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: key.KeyId})
	h.imported(t, alice, key.KeyId, secret(0), "")
	h.state(t, alice, key.KeyId, "Disabled")

	records := h.records(t, "ImportKeyMaterial")
	for _, r := range records {
		if strings.Contains(string(r.AppendJSON(nil)), string(secret(0))) {
			t.Error("a record holds the material")
		}
	}
}

func TestImportRefuses(t *testing.T) {
	h := open(t)
	key, other := h.external(t, alice, awskms.CreateKeyInput{}), h.external(t, alice, awskms.CreateKeyInput{})
	mac := h.external(t, alice, awskms.CreateKeyInput{KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"})
	now := h.clock.Now()
	for _, v := range []struct {
		name, want string
		key        *types.KeyMetadata
		change     func(*awskms.ImportKeyMaterialInput)
	}{
		{"no date", "ValidationException: A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ExpirationModel = "" }},
		{"a date that means nothing", "ValidationException: A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ValidTo = new(now.Add(day)) }},
		{"a date that has passed", "ValidationException: The validTo date must be in the future", key,
			func(in *awskms.ImportKeyMaterialInput) {
				in.ExpirationModel, in.ValidTo = "", new(now.Add(-time.Second))
			}},
		{"a date too far", "ValidationException: The validTo date must be at most 365 days in the future", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ExpirationModel, in.ValidTo = "", new(now.Add(366*day)) }},
		{"an id of new material", "ValidationException: KeyMaterialId cannot be specified when ImportType is NEW_KEY_MATERIAL.", key,
			func(in *awskms.ImportKeyMaterialInput) {
				in.ImportType, in.KeyMaterialId = "NEW_KEY_MATERIAL", new(strings.Repeat("0", 64))
			}},
		{"existing material of a key without", "IncorrectKeyMaterialException", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ImportType = "EXISTING_KEY_MATERIAL" }},
		{"the type of HMAC material", "ValidationException: ImportType, KeyMaterialId and KeyMaterialDescription are valid for symmetric encryption keys only.",
			mac, func(in *awskms.ImportKeyMaterialInput) { in.ImportType = "NEW_KEY_MATERIAL" }},
		{"another key's token", "InvalidImportTokenException", key,
			func(in *awskms.ImportKeyMaterialInput) {
				in.ImportToken = h.parameters(t, alice, other.KeyId, "RSAES_OAEP_SHA_256").ImportToken
			}},
		{"a token that was changed", "InvalidImportTokenException", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ImportToken[20] ^= 1 }},
		{"no token at all", "InvalidImportTokenException", key,
			func(in *awskms.ImportKeyMaterialInput) { in.ImportToken = []byte("x") }},
		{"another token of the key", "InvalidCiphertextException", key,
			func(in *awskms.ImportKeyMaterialInput) {
				in.ImportToken = h.parameters(t, alice, key.KeyId, "RSAES_OAEP_SHA_256").ImportToken
			}},
		{"a ciphertext that was changed", "InvalidCiphertextException", key,
			func(in *awskms.ImportKeyMaterialInput) { in.EncryptedKeyMaterial[20] ^= 1 }},
		{"a ciphertext of another algorithm", "InvalidCiphertextException", key,
			func(in *awskms.ImportKeyMaterialInput) {
				p := h.parameters(t, alice, key.KeyId, "RSAES_OAEP_SHA_256")
				in.ImportToken, in.EncryptedKeyMaterial = p.ImportToken, seal(t, p, "RSAES_OAEP_SHA_1", secret(0))
			}},
		{"31 bytes", "IncorrectKeyMaterialException", key,
			func(in *awskms.ImportKeyMaterialInput) {
				p := h.parameters(t, alice, key.KeyId, "RSAES_OAEP_SHA_256")
				in.ImportToken, in.EncryptedKeyMaterial = p.ImportToken, seal(t, p, "RSAES_OAEP_SHA_256", secret(0)[1:])
			}},
	} {
		in := h.imports(t, alice, v.key.KeyId, secret(0))
		v.change(in)
		err := h.try(alice, "ImportKeyMaterial", in)
		if err == nil || err.Error() != v.want {
			t.Errorf("%s: %v, want %s", v.name, err, v.want)
		}
		h.state(t, alice, v.key.KeyId, "PendingImport")
	}
	// A token is good for 24 hours, and each of several is.
	in, later := h.imports(t, alice, key.KeyId, secret(0)), h.imports(t, alice, key.KeyId, secret(0))
	h.clock.Advance(day - time.Hour)
	h.do(t, alice, "ImportKeyMaterial", in)
	h.clock.Advance(time.Hour + time.Minute)
	refused(t, "a token of yesterday", h.try(alice, "ImportKeyMaterial", later), "ExpiredImportTokenException", "")

	for _, in := range []*awskms.GetParametersForImportInput{
		{KeyId: key.KeyId, WrappingAlgorithm: "RSAES_PKCS1_V1_5", WrappingKeySpec: "RSA_2048"},
		{KeyId: key.KeyId, WrappingAlgorithm: "SM2PKE", WrappingKeySpec: "SM2"},
	} {
		refused(t, "GetParametersForImport", h.try(alice, "GetParametersForImport", in), "UnsupportedOperationException", fmt.Sprintf(
			"Wrapping algorithm %s with wrapping key spec %s is not valid for key material of key spec SYMMETRIC_DEFAULT.",
			in.WrappingAlgorithm, in.WrappingKeySpec))
	}
}

// The column of the state table for keys without their material, and what only keys with generated material can.
func TestImportedKeysRefuse(t *testing.T) {
	h := open(t)
	const origin = "UnsupportedOperationException: KEY origin is EXTERNAL which is not valid for this operation."
	key := h.external(t, alice, awskms.CreateKeyInput{})
	expect(t, "GetKeyRotationStatus", h.try(alice, "GetKeyRotationStatus", requests(*key.KeyId)["GetKeyRotationStatus"]), origin, *key.Arn)
	for range 2 { // without material, and with
		for _, op := range []string{"EnableKeyRotation", "DisableKeyRotation"} {
			expect(t, op, h.try(alice, op, requests(*key.KeyId)[op]), origin, *key.Arn)
		}
		h.imported(t, alice, key.KeyId, secret(0), "")
	}
	if s := h.rotation(t, alice, key.KeyId); s.KeyRotationEnabled {
		t.Errorf("%s", asJSON(t, s))
	}
	h.schedule(t, alice, key.KeyId, 7)
	for _, op := range []string{"GetParametersForImport", "ImportKeyMaterial"} {
		expect(t, op, h.try(alice, op, requests(*key.KeyId)[op]), "KMSInvalidStateException: KEY is pending deletion.", *key.Arn)
	}
	// Material can be deleted all the same, and when the deletion is cancelled the key waits for it.
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId})
	h.state(t, alice, key.KeyId, "PendingDeletion")
	h.do(t, alice, "CancelKeyDeletion", &awskms.CancelKeyDeletionInput{KeyId: key.KeyId})
	h.state(t, alice, key.KeyId, "PendingImport")
	h.imported(t, alice, key.KeyId, secret(0), "")
	h.state(t, alice, key.KeyId, "Enabled")
}

// A key with imported material is rotated to material that was imported for it, and needs all that it ever had.
func TestRotationOfImportedMaterial(t *testing.T) {
	h := open(t)
	key := h.external(t, alice, awskms.CreateKeyInput{})
	first := h.imported(t, alice, key.KeyId, secret(0), "")
	old := h.encrypt(t, alice, *key.KeyId, "old", nil)
	rotate := func() error {
		return h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: key.KeyId})
	}
	expect(t, "nothing waits", rotate(), "KMSInvalidStateException: No available key material pending rotation for the key: KEY.", *key.Arn)

	in := h.imports(t, alice, key.KeyId, secret(1))
	in.ImportType, in.KeyMaterialDescription = "NEW_KEY_MATERIAL", new("Vault: B")
	second := *must[awskms.ImportKeyMaterialOutput](t, h, alice, "ImportKeyMaterial", in).KeyMaterialId
	third := h.imports(t, alice, key.KeyId, secret(2))
	third.ImportType = "NEW_KEY_MATERIAL"
	err := h.try(alice, "ImportKeyMaterial", third)
	if err == nil || !strings.HasPrefix(err.Error(), "KMSInvalidStateException: New key material (id: ") || !strings.HasSuffix(err.Error(),
		fmt.Sprintf(") cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.", *key.KeyId, second)) {
		t.Errorf("a third: %v", err)
	}
	known := h.imports(t, alice, key.KeyId, secret(0))
	known.ImportType = "NEW_KEY_MATERIAL"
	refused(t, "known as new", h.try(alice, "ImportKeyMaterial", known), "IncorrectKeyMaterialException", "")

	states := func() (got []string) {
		for _, e := range h.rotations(t, alice, key.KeyId, "ALL_KEY_MATERIAL") {
			text := fmt.Sprintf("%s %s %s", e.KeyMaterialState, e.ImportState, e.RotationType)
			if e.KeyMaterialDescription != nil {
				text += " " + *e.KeyMaterialDescription
			}
			got = append(got, strings.Join(strings.Fields(text), " "))
		}
		return got
	}
	check := func(what string, want ...string) {
		t.Helper()
		if got := states(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("imported", "CURRENT IMPORTED", "PENDING_ROTATION IMPORTED Vault: B")
	// What waits is not needed, and can be given up.
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId, KeyMaterialId: &second})
	check("given up", "CURRENT IMPORTED")
	h.state(t, alice, key.KeyId, "Enabled")
	in = h.imports(t, alice, key.KeyId, secret(1))
	in.ImportType, in.KeyMaterialDescription = "NEW_KEY_MATERIAL", new("Vault: B")
	h.do(t, alice, "ImportKeyMaterial", in)

	expect(t, "rotated", rotate(), "", "")
	check("rotated", "NON_CURRENT IMPORTED", "CURRENT IMPORTED ON_DEMAND Vault: B")
	if n := len(h.rotations(t, alice, key.KeyId, "")); n != 1 {
		t.Errorf("%d rotations", n)
	}
	events := h.records(t, "RotateKey")
	if want := fmt.Sprintf(`{"rotationType":"ON_DEMAND","keyOrigin":"EXTERNAL","previousKeyMaterialId":"%s","currentKeyMaterialId":"%s","keyId":"%s"}`,
		first, second, *key.KeyId); len(events) != 1 || string(events[0].ServiceEventDetails) != want {
		t.Errorf("events %s, want %s", asJSON(t, events), want)
	}
	newer := h.encrypt(t, alice, *key.KeyId, "newer", nil)
	if got := h.decrypt(t, alice, newer); *got.KeyMaterialId != second {
		t.Errorf("it encrypts with %s", *got.KeyMaterialId)
	}

	// Without the first the key cannot be used at all.
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId, KeyMaterialId: &first})
	h.state(t, alice, key.KeyId, "PendingImport")
	check("without the first", "NON_CURRENT PENDING_IMPORT", "CURRENT IMPORTED ON_DEMAND Vault: B")
	err = h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")})
	expect(t, "Encrypt", err, "KMSInvalidStateException: KEY is pending import.", *key.Arn)
	h.do(t, alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId}) // the current one
	h.imported(t, alice, key.KeyId, secret(1), "")
	h.state(t, alice, key.KeyId, "PendingImport")
	h.imported(t, alice, key.KeyId, secret(0), "")
	h.state(t, alice, key.KeyId, "Enabled")
	for want, blob := range map[string][]byte{"old": old, "newer": newer} {
		if got := h.decrypt(t, alice, blob); string(got.Plaintext) != want {
			t.Errorf("decrypted %q, want %q", got.Plaintext, want)
		}
	}
	missing := strings.Repeat("0", 64)
	err = h.try(alice, "DeleteImportedKeyMaterial", &awskms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId, KeyMaterialId: &missing})
	expect(t, "unknown material", err, "NotFoundException: Key material '"+missing+"' of key 'KEY' does not exist", *key.Arn)
}

// The column of the state table for keys that wait for their material.
func TestKeysPendingImport(t *testing.T) {
	const (
		pendingImport = "KMSInvalidStateException: KEY is pending import."
		origin        = "UnsupportedOperationException: KEY origin is EXTERNAL which is not valid for this operation."
		notPending    = "KMSInvalidStateException: KEY is not pending deletion."
	)
	h := open(t)
	h.lastUse = neverUsed
	kinds := map[string]awskms.CreateKeyInput{
		"GenerateMac":        {KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"},
		"VerifyMac":          {KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"},
		"Sign":               {KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"},
		"Verify":             {KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"},
		"GetPublicKey":       {KeySpec: "RSA_2048", KeyUsage: "ENCRYPT_DECRYPT"},
		"DeriveSharedSecret": {KeySpec: "ECC_NIST_P256", KeyUsage: "KEY_AGREEMENT"},
	}
	for op, want := range map[string]string{
		"CancelKeyDeletion":                   notPending,
		"DeleteImportedKeyMaterial":           "",
		"DeriveSharedSecret":                  pendingImport,
		"DescribeKey":                         "",
		"DisableKey":                          pendingImport,
		"DisableKeyRotation":                  origin,
		"EnableKey":                           pendingImport,
		"EnableKeyRotation":                   origin,
		"Encrypt":                             pendingImport,
		"GenerateDataKey":                     pendingImport,
		"GenerateDataKeyPair":                 pendingImport,
		"GenerateDataKeyPairWithoutPlaintext": pendingImport,
		"GenerateDataKeyWithoutPlaintext":     pendingImport,
		"GenerateMac":                         pendingImport,
		"GetKeyLastUsage":                     "",
		"GetKeyPolicy":                        "",
		"GetKeyRotationStatus":                origin,
		"GetParametersForImport":              "",
		"GetPublicKey":                        pendingImport,
		"ListKeyPolicies":                     "",
		"ListKeyRotations":                    "",
		"ListResourceTags":                    "",
		"PutKeyPolicy":                        "",
		"RotateKeyOnDemand":                   pendingImport,
		"ScheduleKeyDeletion":                 "",
		"Sign":                                pendingImport,
		"TagResource":                         "",
		"UntagResource":                       "",
		"UpdateKeyDescription":                "",
		"Verify":                              pendingImport,
		"VerifyMac":                           pendingImport,
	} {
		key := h.external(t, alice, kinds[op])
		expect(t, op, h.try(alice, op, requests(*key.KeyId)[op]), want, *key.Arn)
	}
}
