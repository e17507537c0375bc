package arn_test

import (
	"testing"

	"vigil/internal/arn"
)

func TestParse(t *testing.T) {
	for _, text := range []string{
		"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"arn:aws-cn:kms:cn-north-1:111122223333:alias/a/b",
		"arn:aws:iam::111122223333:root",
		"arn:aws:logs:us-east-1:111122223333:log-group:name:*",
	} {
		a, err := arn.Parse(text)
		if err != nil || a.String() != text {
			t.Errorf("Parse(%q) = %v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "arn", "arn:aws:kms:us-east-1:111122223333", "arn:aws:kms:us-east-1:111122223333:", "arn::kms:r:a:x", "arn:aws::r:a:x", "key/1234"} {
		if a, err := arn.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, a)
		}
	}
}

func TestParts(t *testing.T) {
	a := arn.New("kms", "us-gov-west-1", "111122223333", "alias/team/app")
	if got, want := a.String(), "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/team/app"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if a.Type() != "alias" || a.ID() != "team/app" {
		t.Errorf("type %q, id %q", a.Type(), a.ID())
	}
	if got, want := arn.Root("cn-north-1", "111122223333"), "arn:aws-cn:iam::111122223333:root"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
