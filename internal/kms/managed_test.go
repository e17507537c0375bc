package kms_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
)

// An account's key for a service is made once, and is what AWS says of such keys.
func TestManagedKeys(t *testing.T) {
	h := open(t)
	var arns sync.Map
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			arn, err := h.kms.ManagedKey(context.Background(), alice.account, alice.region, "sns")
			if err != nil {
				t.Error(err)
			}
			arns.Store(arn, true)
		})
	}
	all.Wait()
	var arn string
	arns.Range(func(one, _ any) bool {
		if arn != "" {
			t.Errorf("two keys: %s and %s", arn, one)
		}
		arn = one.(string)
		return true
	})
	m := h.describe(t, alice, "alias/aws/sns")
	if *m.Arn != arn || m.KeyManager != "AWS" || m.KeyState != "Enabled" || m.KeyUsage != "ENCRYPT_DECRYPT" ||
		*m.Description != "Default key that protects my SNS data when no other key is defined" {
		t.Errorf("%s", asJSON(t, m))
	}
	document := *must[awskms.GetKeyPolicyOutput](t, h, alice, "GetKeyPolicy", &awskms.GetKeyPolicyInput{KeyId: m.KeyId}).Policy
	for _, part := range []string{`"kms:ViaService" : "sns.us-west-2.amazonaws.com"`, `"kms:CallerAccount" : "111122223333"`, `"auto-sns-1"`} {
		if !strings.Contains(document, part) {
			t.Errorf("the policy has no %s: %s", part, document)
		}
	}
	if s := h.rotation(t, alice, m.KeyId); !s.KeyRotationEnabled || *s.RotationPeriodInDays != 365 {
		t.Errorf("%s", asJSON(t, s))
	}
	records := h.records(t, "CreateKey")
	if len(records) != 1 || records[0].EventType != "AwsServiceEvent" || len(records[0].Resources) != 2 {
		t.Errorf("records %s", asJSON(t, records))
	}
	h.clock.Advance(366 * day)
	h.rotated(t, alice, m.KeyId, 1)

	// Nobody changes it, and nobody uses it but through the service.
	for op, in := range requests(*m.Arn) {
		switch op {
		case "DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus", "GetKeyLastUsage", "GetParametersForImport", "ListKeyPolicies", "ListKeyRotations",
			"ListResourceTags", "GetPublicKey", "ListGrants", "RevokeGrant":
			continue // the account may look at it
		}
		if err := h.try(alice, op, in); err == nil || !strings.HasPrefix(err.Error(), "AccessDeniedException") {
			t.Errorf("%s: %v", op, err)
		}
	}
	refused(t, "DeleteAlias", h.try(alice, "DeleteAlias", &awskms.DeleteAliasInput{AliasName: new("alias/aws/sns")}), "NotAuthorizedException", "")

	again, err := h.kms.ManagedKey(context.Background(), alice.account, alice.region, "sns")
	if err != nil || again != arn {
		t.Errorf("again %s, %v", again, err)
	}
	for _, who := range []caller{bob, ireland} {
		if other, err := h.kms.ManagedKey(context.Background(), who.account, who.region, "sns"); err != nil || other == arn {
			t.Errorf("%v has %s, %v", who, other, err)
		}
	}
	for _, wrong := range [][3]string{{"", "us-west-2", "sns"}, {alice.account, "", "sns"}, {alice.account, "us-west-2", "a/b"}, {alice.account, "us-west-2", "ä"}} {
		if _, err := h.kms.ManagedKey(context.Background(), wrong[0], wrong[1], wrong[2]); err == nil {
			t.Errorf("%q has a key", wrong)
		}
	}
}
