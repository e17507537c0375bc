package kms_test

import (
	"sync"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil/internal/clock"
)

func TestEverythingIsThereAfterARestart(t *testing.T) {
	at, clk := place(t), clock.NewMovable(0)
	h := openIn(t, at, clk)
	m := h.create(t, alice, awskms.CreateKeyInput{Description: new("kept"), Tags: tags("a", "b")})
	mac := h.hmac(t, alice, "HMAC_512")
	h.alias(t, alice, "alias/kept", *m.KeyId)
	blob := h.encrypt(t, alice, "alias/kept", "plain", map[string]string{"a": "b"})
	gen := must[awskms.GenerateMacOutput](t, h, alice, "GenerateMac",
		&awskms.GenerateMacInput{KeyId: mac.KeyId, MacAlgorithm: "HMAC_SHA_512", Message: []byte("x")})
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	before := asJSON(t, h.describe(t, alice, *m.KeyId))
	h.close()

	h = openIn(t, at, clk)
	if after := asJSON(t, h.describe(t, alice, "alias/kept")); after != before {
		t.Errorf("the key was\n%s\nand is\n%s", before, after)
	}
	if got := h.tags(t, m.KeyId); got != "a=b " {
		t.Errorf("tags %q", got)
	}
	h.do(t, alice, "EnableKey", &awskms.EnableKeyInput{KeyId: m.KeyId})
	dec := must[awskms.DecryptOutput](t, h, alice, "Decrypt",
		&awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})
	if string(dec.Plaintext) != "plain" {
		t.Errorf("decrypted %q", dec.Plaintext)
	}
	h.do(t, alice, "VerifyMac", &awskms.VerifyMacInput{KeyId: mac.KeyId, MacAlgorithm: "HMAC_SHA_512", Message: []byte("x"), Mac: gen.Mac})
}

// Who asks after a change was answered sees it, whoever else asks at the same time.
func TestOneReadsOnesOwnWrites(t *testing.T) {
	h := open(t)
	a, b := h.symmetric(t, alice), h.symmetric(t, alice)
	h.alias(t, alice, "alias/moving", *a.KeyId)
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					h.call(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: new("alias/moving")})
				}
			}
		})
	}
	for i := range 50 {
		to, text := []*string{a.KeyId, b.KeyId}[i%2], []string{"even", "odd"}[i%2]
		h.do(t, alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: new("alias/moving"), TargetKeyId: to})
		h.do(t, alice, "UpdateKeyDescription", &awskms.UpdateKeyDescriptionInput{KeyId: to, Description: &text})
		if m := h.describe(t, alice, "alias/moving"); *m.KeyId != *to || *m.Description != text {
			t.Errorf("step %d: the alias names %s, %q", i, *m.KeyId, *m.Description)
		}
	}
	close(stop)
	others.Wait()
}

// A call whose effect fails changes nothing, and the journal has it as that failure.
func TestAFailedEffectIsRecordedAndUndone(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	h.schedule(t, alice, m.KeyId, 7)
	err := h.try(alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags("a", "b")})
	expect(t, "TagResource", err, "KMSInvalidStateException: KEY is pending deletion.", *m.Arn)
	if n := h.count(t, "kms_tag"); n != 0 {
		t.Errorf("%d tags are left", n)
	}
	records := h.records(t, "TagResource")
	if len(records) != 1 || records[0].ErrorMessage != "KMSInvalidStateException: "+*m.Arn+" is pending deletion." {
		t.Errorf("records %s", asJSON(t, records))
	}
}
