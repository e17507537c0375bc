package kms_test

import (
	"fmt"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
)

func TestAliases(t *testing.T) {
	h := open(t)
	a, b := h.symmetric(t, alice), h.symmetric(t, alice)
	name := "alias/ExampleAlias"
	arn := alice.arn(name)
	entry := func(first, second string) string {
		return fmt.Sprintf("[111122223333 AWS::KMS::Key %s 111122223333 AWS::KMS::Key %s]", first, second)
	}

	c := h.do(t, alice, "CreateAlias", &awskms.CreateAliasInput{AliasName: &name, TargetKeyId: a.Arn})
	if g, w := fmt.Sprint(touched(c)), entry(*a.Arn, arn); g != w {
		t.Errorf("CreateAlias: resources %s, want %s", g, w)
	}
	if got := *h.describe(t, alice, name).KeyId; got != *a.KeyId {
		t.Errorf("the alias names %s, want %s", got, *a.KeyId)
	}

	h.clock.Advance(day)
	c = h.do(t, alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: &name, TargetKeyId: b.KeyId})
	if g, w := fmt.Sprint(touched(c)), entry(arn, *b.Arn); g != w {
		t.Errorf("UpdateAlias: resources %s, want %s", g, w)
	}
	if got := *h.describe(t, alice, name).KeyId; got != *b.KeyId {
		t.Errorf("the alias names %s, want %s", got, *b.KeyId)
	}
	list := must[awskms.ListAliasesOutput](t, h, alice, "ListAliases", &awskms.ListAliasesInput{}).Aliases
	if len(list) != 1 || *list[0].AliasName != name || *list[0].AliasArn != arn || *list[0].TargetKeyId != *b.KeyId ||
		!list[0].LastUpdatedDate.After(list[0].CreationDate.Add(day-1)) {
		t.Errorf("ListAliases: %s", asJSON(t, list))
	}

	c = h.do(t, alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: &name})
	if g, w := fmt.Sprint(touched(c)), entry(arn, *b.Arn); g != w {
		t.Errorf("DeleteAlias: resources %s, want %s", g, w)
	}
	err := h.try(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: &name})
	refused(t, "DescribeKey", err, "NotFoundException", "Alias "+arn+" is not found.")
	h.alias(t, alice, name, *a.KeyId) // the name is free again
}

func TestAliasesRefuse(t *testing.T) {
	h := open(t)
	sym, mac := h.symmetric(t, alice), h.hmac(t, alice, "HMAC_256")
	h.alias(t, alice, "alias/taken", *sym.KeyId)
	theirs := h.symmetric(t, bob)
	const prefix = "Alias must start with the prefix \"alias/\". " +
		"Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
	const notKeys = "Aliases must refer to keys. Not aliases"
	missing := "Alias " + alice.arn("alias/missing") + " is not found."

	for _, v := range []struct{ name, target, code, message string }{
		{"taken", *sym.KeyId, "ValidationException", prefix},
		{"alias/aws/s3", *sym.KeyId, "NotAuthorizedException", ""},
		{"alias/", *sym.KeyId, "InvalidAliasNameException", "The alias has no name after the prefix \"alias/\"."},
		{"alias/a:b", *sym.KeyId, "ValidationException", "alias/a:b contains invalid characters for an alias"},
		{"alias/new", "alias/taken", "ValidationException", notKeys},
		{"alias/new", alice.arn("alias/taken"), "ValidationException", notKeys},
		{"alias/new", "foo", "NotFoundException", "Invalid keyId 'foo'"},
		{"alias/new", missingID, "NotFoundException", "Key '" + alice.arn("key/"+missingID) + "' does not exist"},
		{"alias/new", *theirs.Arn, "AccessDeniedException", denied(alice, "kms:CreateAlias", "this resource")},
		{"alias/taken", *sym.KeyId, "AlreadyExistsException", "An alias with the name " + alice.arn("alias/taken") + " already exists"},
	} {
		err := h.try(alice, "CreateAlias", &awskms.CreateAliasInput{AliasName: &v.name, TargetKeyId: &v.target})
		refused(t, "CreateAlias "+v.name+" "+v.target, err, v.code, v.message)
	}
	for _, v := range []struct{ name, target, code, message string }{
		{"taken", *sym.KeyId, "ValidationException", prefix},
		{"alias/missing", *sym.KeyId, "NotFoundException", missing},
		{"alias/taken", "alias/taken", "ValidationException", notKeys},
		{"alias/taken", missingID, "NotFoundException", "Key '" + alice.arn("key/"+missingID) + "' does not exist"},
		{"alias/taken", *mac.KeyId, "ValidationException", "Alias " + alice.arn("alias/taken") + " cannot be moved from a key with " +
			"key spec SYMMETRIC_DEFAULT and key usage ENCRYPT_DECRYPT to one with key spec HMAC_256 and key usage GENERATE_VERIFY_MAC."},
		{"alias/taken", *theirs.Arn, "AccessDeniedException", denied(alice, "kms:UpdateAlias", "this resource")},
	} {
		err := h.try(alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: &v.name, TargetKeyId: &v.target})
		refused(t, "UpdateAlias "+v.name+" "+v.target, err, v.code, v.message)
	}
	for _, v := range []struct{ name, code, message string }{
		{"taken", "ValidationException", prefix},
		{"alias/missing", "NotFoundException", missing},
		{"alias/aws/s3", "NotAuthorizedException", ""},
	} {
		err := h.try(alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: &v.name})
		refused(t, "DeleteAlias "+v.name, err, v.code, v.message)
	}
	if got := *h.describe(t, alice, "alias/taken").KeyId; got != *sym.KeyId {
		t.Errorf("after refused calls the alias names %s", got)
	}
}

// Names are unique per account and region, not beyond.
func TestAliasesLivePerAccountAndRegion(t *testing.T) {
	h := open(t)
	for _, who := range []caller{alice, bob, alice.in("eu-west-1")} {
		m := h.symmetric(t, who)
		h.alias(t, who, "alias/same", *m.KeyId)
		if got := *h.describe(t, who, "alias/same").Arn; got != *m.Arn {
			t.Errorf("%v: the alias names %s, want %s", who, got, *m.Arn)
		}
	}
}

func TestFiftyAliasesAKey(t *testing.T) {
	h := open(t)
	full, other := h.symmetric(t, alice), h.symmetric(t, alice)
	for i := range 50 {
		h.alias(t, alice, fmt.Sprint("alias/", i), *full.KeyId)
	}
	h.alias(t, alice, "alias/other", *other.KeyId)
	limit := *full.Arn + " has 50 aliases. The limit is 50."
	err := h.try(alice, "CreateAlias", &awskms.CreateAliasInput{AliasName: new("alias/51"), TargetKeyId: full.KeyId})
	refused(t, "CreateAlias", err, "LimitExceededException", limit)
	err = h.try(alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: new("alias/other"), TargetKeyId: full.KeyId})
	refused(t, "UpdateAlias", err, "LimitExceededException", limit)
	h.do(t, alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: new("alias/7"), TargetKeyId: full.KeyId}) // it is one of the 50
	h.do(t, alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: new("alias/7")})
	h.do(t, alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: new("alias/other"), TargetKeyId: full.KeyId})
}

// Of many who want one name at the same time, one gets it.
func TestOneAliasIsMadeOnce(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	errs := make(chan error)
	for range 20 {
		go func() {
			err := h.try(alice, "CreateAlias", &awskms.CreateAliasInput{AliasName: new("alias/one"), TargetKeyId: m.KeyId})
			errs <- err
		}()
	}
	made := 0
	for range 20 {
		if err := <-errs; err == nil {
			made++
		} else {
			refused(t, "CreateAlias", err, "AlreadyExistsException", "An alias with the name "+alice.arn("alias/one")+" already exists")
		}
	}
	if made != 1 {
		t.Errorf("the alias was made %d times", made)
	}
}

// A deletion that was asked for one target does not fall on another to which the alias has moved meanwhile.
func TestAnAliasThatMovedMeanwhile(t *testing.T) {
	h := open(t)
	a, b := h.symmetric(t, alice), h.symmetric(t, alice)
	for i := range 30 {
		name := fmt.Sprint("alias/", i)
		h.alias(t, alice, name, *a.KeyId)
		errs := make(chan error, 2)
		go func() {
			err := h.try(alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: &name})
			errs <- err
		}()
		go func() {
			err := h.try(alice, "UpdateAlias", &awskms.UpdateAliasInput{AliasName: &name, TargetKeyId: b.KeyId})
			errs <- err
		}()
		for range 2 {
			if err := <-errs; err != nil && !strings.HasSuffix(err.Error(), "is not found.") {
				t.Error(err)
			}
		}
		if err := h.try(alice, "DescribeKey", &awskms.DescribeKeyInput{KeyId: &name}); err == nil {
			h.do(t, alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: &name})
		}
	}
}
