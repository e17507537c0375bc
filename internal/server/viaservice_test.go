package server_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
)

// A key's policy lets a user's account use it through SNS only, and lets grants be made by services only.
func TestAKeyThatIsForOneService(t *testing.T) {
	h := openHouse(t)
	alice := h.user("alice", `["sns:*","kms:ListAliases"]`)
	statement := func(account, service string) string {
		return fmt.Sprintf(`,{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["kms:GenerateDataKey","kms:Decrypt"],"Resource":"*",`+
			`"Condition":{"StringEquals":{"kms:CallerAccount":%q,"kms:ViaService":"%s.%s.amazonaws.com"}}},`+
			`{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:CreateGrant","Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}}`,
			account, service, region)
	}
	topicWith := func(name, key string) *string {
		made, err := sns.NewFromConfig(h.config()).CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name, Attributes: map[string]string{"KmsMasterKeyId": key}})
		if err != nil {
			t.Fatal(err)
		}
		return made.TopicArn
	}
	key := h.key(statement(account, "sns"))
	topic := topicWith("t", key)
	if err := publish(h, *topic, "hello", alice); err != nil {
		t.Errorf("through SNS: %v", err)
	}
	found := h.records("GenerateDataKey")
	if r := found[len(found)-1]; r.UserIdentity.UserName != "alice" || r.UserIdentity.InvokedBy != "sns.amazonaws.com" || r.ErrorCode != "" {
		t.Errorf("it is recorded as %s", r.AppendJSON(nil))
	}
	denied := func(what string, err error) {
		t.Helper()
		if api := smithy.APIError(nil); !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
			t.Errorf("%s: %v", what, err)
		}
	}
	client := kms.NewFromConfig(h.config(alice))
	_, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256,
		EncryptionContext: map[string]string{"aws:sns:topicArn": *topic}})
	denied("directly", err)
	_, err = client.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: new("arn:aws:iam::" + account + ":user/alice"),
		Operations: []types.GrantOperation{types.GrantOperationDecrypt}})
	denied("a grant for a user", err)

	for name, other := range map[string]string{"another-account": statement("444455556666", "sns"), "another-service": statement(account, "logs")} {
		if err := publish(h, *topicWith(name, h.key(other)), "hello", alice); err == nil {
			t.Errorf("through SNS, with the key for %s: it is allowed", name)
		}
	}
}
