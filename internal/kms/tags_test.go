package kms_test

import (
	"fmt"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/policy"
)

func tags(pairs ...string) (tags []types.Tag) {
	for i := 0; i < len(pairs); i += 2 {
		tags = append(tags, types.Tag{TagKey: &pairs[i], TagValue: &pairs[i+1]})
	}
	return tags
}

func (h *house) tags(t testing.TB, key *string) string {
	t.Helper()
	text := ""
	for _, tag := range must[awskms.ListResourceTagsOutput](t, h, alice, "ListResourceTags", &awskms.ListResourceTagsInput{KeyId: key}).Tags {
		text += *tag.TagKey + "=" + *tag.TagValue + " "
	}
	return text
}

func TestTags(t *testing.T) {
	h := open(t)
	m := h.create(t, alice, awskms.CreateKeyInput{Tags: tags("b", "2", "a", "1")})
	h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags("c", "", "a", "one", "A", "case counts")})
	if got, want := h.tags(t, m.Arn), "A=case counts a=one b=2 c= "; got != want {
		t.Errorf("tags %q, want %q", got, want)
	}
	h.do(t, alice, "UntagResource", &awskms.UntagResourceInput{KeyId: m.KeyId, TagKeys: []string{"a", "never there"}})
	if got, want := h.tags(t, m.KeyId), "A=case counts b=2 c= "; got != want {
		t.Errorf("tags %q, want %q", got, want)
	}
	if got := h.tags(t, h.symmetric(t, alice).KeyId); got != "" {
		t.Errorf("another key has the tags %q", got)
	}
}

func TestTagsRefuse(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	for _, v := range []struct {
		message string
		tags    []types.Tag
	}{
		{"Duplicate tag keys", tags("a", "1", "a", "2")},
		{"Tags beginning with aws: are reserved", tags("aws:x", "1")},
	} {
		err := h.try(alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: v.tags})
		refused(t, v.message, err, "TagException", v.message)
	}
	nul := func(member string) string {
		return "1 validation error detected: Value at '" + member + "' failed to satisfy constraint: " +
			"Member must not contain the character U+0000"
	}
	err := h.try(alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags("a", "\x00")})
	refused(t, "NUL", err, "ValidationException", nul("tags"))
	err = h.try(alice, "UntagResource", &awskms.UntagResourceInput{KeyId: m.KeyId, TagKeys: []string{"\x00"}})
	refused(t, "NUL", err, "ValidationException", nul("tagKeys"))
	err = h.try(alice, "UntagResource", &awskms.UntagResourceInput{KeyId: m.KeyId, TagKeys: []string{"a", "AWS:x"}})
	refused(t, "a tag of AWS", err, "TagException", "Tags beginning with aws: are reserved")
	err = h.try(alice, "UpdateKeyDescription",
		&awskms.UpdateKeyDescriptionInput{KeyId: m.KeyId, Description: new("\x00")})
	refused(t, "NUL", err, "ValidationException", nul("description"))

	var fifty []string
	for i := range 50 {
		fifty = append(fifty, fmt.Sprint("tag", i), "v")
	}
	h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags(fifty...)})
	err = h.try(alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags("tag0", "new", "tag50", "v")})
	refused(t, "the 51st tag", err, "LimitExceededException", *m.Arn+" would have 51 tags. The limit is 50.")
	err = h.try(alice, "TagResource",
		&awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags(append(fifty, "tag50", "v")...)})
	refused(t, "51 tags", err, "TagException", "Too many tags")
	out := must[awskms.ListResourceTagsOutput](t, h, alice, "ListResourceTags", &awskms.ListResourceTagsInput{KeyId: m.KeyId})
	if len(out.Tags) != 50 || *out.Tags[0].TagValue != "v" {
		t.Errorf("the refused call left %d tags, the first with the value %s", len(out.Tags), *out.Tags[0].TagValue)
	}
	h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags("tag0", "replaced")})
}

func TestKeyPolicies(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	in := &awskms.GetKeyPolicyInput{KeyId: m.KeyId}
	got := must[awskms.GetKeyPolicyOutput](t, h, alice, "GetKeyPolicy", in)
	if *got.Policy != policy.DefaultKeyPolicy("aws", alice.account) || *got.PolicyName != "default" || *in.PolicyName != "default" {
		t.Errorf("%s", asJSON(t, got))
	}

	// A policy comes back as it was put, and holds at once.
	document := ` {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["kms:PutKeyPolicy",
		"kms:GetKeyPolicy","kms:Decrypt"],"Resource":"*"}]} `
	h.encrypt(t, alice, *m.KeyId, "x", nil)
	put := &awskms.PutKeyPolicyInput{KeyId: m.KeyId, Policy: &document}
	h.do(t, alice, "PutKeyPolicy", put)
	if *put.PolicyName != "default" {
		t.Errorf("PolicyName %q is recorded", *put.PolicyName)
	}
	got = must[awskms.GetKeyPolicyOutput](t, h, alice, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId, PolicyName: new("default")})
	if *got.Policy != document {
		t.Errorf("the policy came back as %s", *got.Policy)
	}
	err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x")})
	refused(t, "Encrypt", err, "AccessDeniedException", "User: arn:aws:iam::111122223333:root is not authorized to perform: kms:Encrypt on "+
		"resource: "+*m.Arn+" because no resource-based policy allows the kms:Encrypt action")
}

func TestKeyPoliciesRefuse(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	const lockout = "The new key policy will not allow you to update the key policy in the future."
	theirs, broken := policy.DefaultKeyPolicy("aws", bob.account), `{"Version": "2012-10-17"}`
	for _, v := range []struct {
		name, code, message string
		in                  awskms.PutKeyPolicyInput
	}{
		{"lockout", "MalformedPolicyDocumentException", lockout, awskms.PutKeyPolicyInput{Policy: &theirs}},
		{"malformed", "MalformedPolicyDocumentException", malformed(t, broken), awskms.PutKeyPolicyInput{Policy: &broken}},
		{"malformed, bypass", "MalformedPolicyDocumentException", malformed(t, broken),
			awskms.PutKeyPolicyInput{Policy: &broken, BypassPolicyLockoutSafetyCheck: true}},
		{"other name", "NotFoundException", "No such policy exists", awskms.PutKeyPolicyInput{Policy: &theirs, PolicyName: new("mine")}},
	} {
		v.in.KeyId = m.KeyId
		err := h.try(alice, "PutKeyPolicy", &v.in)
		refused(t, v.name, err, v.code, v.message)
	}
	err := h.try(alice, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId, PolicyName: new("mine")})
	refused(t, "GetKeyPolicy", err, "NotFoundException", "No such policy exists")

	// With the bypass, the caller may lock itself out.
	h.do(t, alice, "PutKeyPolicy", &awskms.PutKeyPolicyInput{KeyId: m.KeyId, Policy: &theirs, BypassPolicyLockoutSafetyCheck: true})
	if err := h.try(alice, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId}); err == nil {
		t.Error("the policy that lets nobody of the account in is not applied")
	}
	made := h.create(t, alice, awskms.CreateKeyInput{Policy: &theirs, BypassPolicyLockoutSafetyCheck: true})
	if err := h.try(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: made.KeyId}); err == nil {
		t.Error("the policy that lets nobody of the account in is not applied to the new key")
	}
}
