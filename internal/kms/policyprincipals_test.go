package kms_test

import (
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil/internal/kms"
)

// A policy may only name who exists, and does not mean a later user of the same name.
func TestPoliciesMeanWhoTheyNamed(t *testing.T) {
	ann := user(alice.account, "ann")
	ids := map[string]string{ann.ARN: ann.UniqueID}
	h := openWith(t, kms.Principals{
		UniqueID: func(arn string) (string, bool) { id, ok := ids[arn]; return id, ok },
		ARN:      func(string) (string, bool) { return "", false },
	})
	m := h.symmetric(t, alice)
	root := `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}`
	named := func(arn string) *string {
		return new(`{"Statement":[` + root + `,{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"kms:Encrypt","Resource":"*"}]}`)
	}
	err := h.try(alice, "PutKeyPolicy", &awskms.PutKeyPolicyInput{KeyId: m.KeyId, Policy: named(ann.ARN + "2")})
	refused(t, "an unknown user", err, "MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals.")
	h.do(t, alice, "PutKeyPolicy", &awskms.PutKeyPolicyInput{KeyId: m.KeyId, Policy: named(ann.ARN)})
	encrypt := &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")}
	if _, _, err := h.as(ann, "Encrypt", encrypt); err != nil {
		t.Error(err)
	}
	again := ann
	again.UniqueID = "AIDAANOTHER123456789"
	ids[ann.ARN] = again.UniqueID
	if _, _, err := h.as(again, "Encrypt", encrypt); code(err) != accessDenied {
		t.Errorf("a new user of the old name: %v", err)
	}
	text := *must[awskms.GetKeyPolicyOutput](t, h, alice, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId}).Policy
	if strings.Contains(text, ann.ARN) || !strings.Contains(text, ann.UniqueID) {
		t.Errorf("the policy shows %s", text)
	}
}
