package kms_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil/internal/clock"
	"vigil/internal/kms"
)

func (h *house) expires(t testing.TB, who caller, key *string, value []byte, at time.Time) {
	t.Helper()
	in := h.imports(t, who, key, value)
	in.ExpirationModel, in.ValidTo = "", &at
	h.do(t, who, "ImportKeyMaterial", in)
	if in.ExpirationModel != "KEY_MATERIAL_EXPIRES" {
		t.Errorf("the default is recorded as %q", in.ExpirationModel)
	}
}

// Imported material is destroyed when it expires, also while nothing runs, and the journal says so in the same commit.
func TestImportedMaterialExpires(t *testing.T) {
	at, clk := place(t), clock.NewMovable(0)
	h := openIn(t, at, clk)
	key, mac := h.external(t, alice, awskms.CreateKeyInput{}), h.external(t, alice, awskms.CreateKeyInput{
		KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"})
	h.expires(t, alice, key.KeyId, secret(0), clk.Now().Add(10*day))
	h.expires(t, alice, mac.KeyId, secret(1), clk.Now().Add(20*day))
	blob := h.encrypt(t, alice, *key.KeyId, "x", nil)
	m := h.describe(t, alice, *key.KeyId)
	if m.ExpirationModel != "KEY_MATERIAL_EXPIRES" || m.ValidTo.Sub(clk.Now().Add(10*day)).Abs() > time.Hour {
		t.Errorf("%s", asJSON(t, m))
	}
	e := h.rotations(t, alice, key.KeyId, "ALL_KEY_MATERIAL")[0]
	if e.ExpirationModel != "KEY_MATERIAL_EXPIRES" || !e.ValidTo.Equal(*m.ValidTo) || e.ImportState != "IMPORTED" {
		t.Errorf("%s", asJSON(t, e))
	}
	if got := h.expiring(t); len(got) != 2 || got[0].Account != alice.account || got[0].Region != alice.region {
		t.Errorf("expiring: %+v", got)
	}

	clk.Advance(11 * day)
	eventually(t, "the material has expired", func() bool { return h.describe(t, alice, *key.KeyId).KeyState == "PendingImport" })
	err := h.try(alice, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob})
	expect(t, "Decrypt", err, "KMSInvalidStateException: KEY is pending import.", *key.Arn)
	h.state(t, alice, mac.KeyId, "Enabled")
	if got := h.expiring(t); len(got) != 1 || got[0].KeyID != *mac.KeyId {
		t.Errorf("expiring: %+v", got)
	}
	h.close()
	clk.Advance(10 * day)
	h = openIn(t, at, clk)
	eventually(t, "the other has too", func() bool { return h.describe(t, alice, *mac.KeyId).KeyState == "PendingImport" })

	events := h.records(t, "DeleteExpiredKeyMaterial")
	if len(events) != 2 {
		t.Fatalf("%d DeleteExpiredKeyMaterial events", len(events))
	}
	for i, want := range []string{
		fmt.Sprintf(`{"keyId":"%s","keyMaterialId":"%s"}`, *key.KeyId, *m.CurrentKeyMaterialId), fmt.Sprintf(`{"keyId":"%s"}`, *mac.KeyId),
	} {
		r := events[i]
		if string(r.ServiceEventDetails) != want || r.EventType != "AwsServiceEvent" || r.AWSRegion != "us-west-2" || len(r.Resources) != 1 {
			t.Errorf("event %d: %s", i, r.AppendJSON(nil))
		}
	}
	// Brought back, without an end now.
	h.imported(t, alice, key.KeyId, secret(0), "")
	if got := h.decrypt(t, alice, blob); string(got.Plaintext) != "x" {
		t.Errorf("decrypted %q", got.Plaintext)
	}
	clk.Advance(400 * day)
	if got := h.decrypt(t, alice, blob); string(got.Plaintext) != "x" {
		t.Errorf("decrypted %q", got.Plaintext)
	}
}

// A new date takes the place of the old one.
func TestReimportMovesTheExpiry(t *testing.T) {
	h := open(t)
	key, witness := h.external(t, alice, awskms.CreateKeyInput{}), h.external(t, alice, awskms.CreateKeyInput{})
	h.expires(t, alice, key.KeyId, secret(0), h.clock.Now().Add(10*day))
	h.expires(t, alice, key.KeyId, secret(0), h.clock.Now().Add(30*day))
	h.expires(t, alice, witness.KeyId, secret(0), h.clock.Now().Add(20*day))
	h.clock.Advance(21 * day)
	eventually(t, "the witness has expired", func() bool { return h.describe(t, alice, *witness.KeyId).KeyState == "PendingImport" })
	h.state(t, alice, key.KeyId, "Enabled")
	h.clock.Advance(10 * day)
	eventually(t, "the key has expired", func() bool { return h.describe(t, alice, *key.KeyId).KeyState == "PendingImport" })
}

// Material that has not been used expires without harm.
func TestPendingMaterialExpires(t *testing.T) {
	h := open(t)
	key := h.external(t, alice, awskms.CreateKeyInput{})
	h.imported(t, alice, key.KeyId, secret(0), "")
	in := h.imports(t, alice, key.KeyId, secret(1))
	in.ImportType, in.ExpirationModel, in.ValidTo = "NEW_KEY_MATERIAL", "", new(h.clock.Now().Add(day))
	h.do(t, alice, "ImportKeyMaterial", in)
	h.clock.Advance(2 * day)
	eventually(t, "it has expired", func() bool { return len(h.rotations(t, alice, key.KeyId, "ALL_KEY_MATERIAL")) == 1 })
	if n := len(h.records(t, "DeleteExpiredKeyMaterial")); n != 1 {
		t.Errorf("%d DeleteExpiredKeyMaterial events", n)
	}
	h.state(t, alice, key.KeyId, "Enabled")
	err := h.try(alice, "RotateKeyOnDemand", &awskms.RotateKeyOnDemandInput{KeyId: key.KeyId})
	expect(t, "RotateKeyOnDemand", err, "KMSInvalidStateException: No available key material pending rotation for the key: KEY.", *key.Arn)
}

func (h *house) expiring(t testing.TB) []kms.Expiration {
	t.Helper()
	all, err := h.kms.Expiring(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return all
}
