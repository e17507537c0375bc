package kms

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/policy"
	"vigil/internal/store"
)

const (
	policyName    = "default" // the only name of a key policy
	maxPolicySize = 32 << 10  // bytes
)

// GetKeyPolicy returns the text of a key's policy, as it was put.
func (k *KMS) GetKeyPolicy(ctx context.Context, c *call.Call, in *kms.GetKeyPolicyInput) (*kms.GetKeyPolicyOutput, error) {
	if in.PolicyName == nil {
		in.PolicyName = new(policyName)
	}
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:GetKeyPolicy"))
	if err != nil {
		return nil, err
	}
	if err := checkPolicyName(*in.PolicyName); err != nil {
		return nil, err
	}
	var document string
	err = k.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT policy FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
			key.ref.account, key.ref.region, key.ref.id).Scan(&document)
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, noSuchKey(key.ref)
	}
	if err != nil {
		return nil, err
	}
	document, err = k.shownPolicy(ctx, key.ref, document)
	if err != nil {
		return nil, err
	}
	return &kms.GetKeyPolicyOutput{Policy: &document, PolicyName: new(policyName)}, nil
}

// PutKeyPolicy replaces a key's policy, in whatever state the key is. Unless the caller asks for it, the
// new policy must let them replace it again.
func (k *KMS) PutKeyPolicy(ctx context.Context, c *call.Call, in *kms.PutKeyPolicyInput) (*kms.PutKeyPolicyOutput, error) {
	if in.PolicyName == nil {
		in.PolicyName = new(policyName)
	}
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:PutKeyPolicy").with(in))
	if err != nil {
		return nil, err
	}
	if err := checkPolicyName(*in.PolicyName); err != nil {
		return nil, err
	}
	if err := k.checkPolicy(c, key, *in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	anyState := func(types.KeyState) error { return nil }
	put := k.change(key.ref, anyState, `UPDATE kms_key SET policy = $4 WHERE account = $1 AND region = $2 AND id = $3`, *in.Policy)
	c.Effect(func(tx store.Tx) error {
		if err := put(tx); err != nil {
			return err
		}
		return k.putPrincipals(tx, key.ref, *in.Policy)
	})
	c.Responded("keyId", key.text)
	return &kms.PutKeyPolicyOutput{}, nil
}

// ListKeyPolicies lists the names of a key's policies, of which there is one.
func (k *KMS) ListKeyPolicies(ctx context.Context, c *call.Call, in *kms.ListKeyPoliciesInput) (*kms.ListKeyPoliciesOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:ListKeyPolicies"))
	if err != nil {
		return nil, err
	}
	page := paging.New(in.Limit, 100, 1000, c.Operation, key.text)
	if _, err := pageAfter(page, in.Marker); err != nil {
		return nil, err
	}
	return &kms.ListKeyPoliciesOutput{PolicyNames: []string{policyName}}, nil
}

func checkPolicyName(name string) error {
	if name != policyName {
		return call.Errorf("NotFoundException", "No such policy exists")
	}
	return nil
}

// initialPolicy is the policy of a new key: the one that the caller gives, or the default, which lets the account in.
func (k *KMS) initialPolicy(c *call.Call, made *key, in *kms.CreateKeyInput) (string, error) {
	if in.Policy == nil {
		return policy.DefaultKeyPolicy(made.arn.Partition, made.ref.account), nil
	}
	return *in.Policy, k.checkPolicy(c, made, *in.Policy, in.BypassPolicyLockoutSafetyCheck)
}

// checkPolicy refuses a policy that does not parse or is too long, and, unless bypass is set, one under which the
// caller could not put another: the key would be out of everybody's reach.
func (k *KMS) checkPolicy(c *call.Call, of *key, text string, bypass bool) error {
	if len(text) > maxPolicySize {
		return call.Errorf("LimitExceededException", "The key policy has %d bytes. The limit is %d.", len(text), maxPolicySize)
	}
	document, err := policy.ParseKeyPolicy(text)
	if malformed := (*policy.MalformedError)(nil); errors.As(err, &malformed) {
		return call.Errorf("MalformedPolicyDocumentException", "%s", malformed)
	}
	if err != nil {
		return err
	}
	for _, name := range document.Principals() {
		if !k.exists(name) {
			return call.Errorf("MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals.")
		}
	}
	if bypass {
		return nil
	}
	r := of.resource()
	r.Policy = document
	if c.Allow("kms:PutKeyPolicy", r, (&question{c: c, a: manage("kms:PutKeyPolicy"), of: of}).value) != nil {
		return call.Errorf("MalformedPolicyDocumentException",
			"The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}
