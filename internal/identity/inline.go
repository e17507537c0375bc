package identity

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"vigil/internal/call"
	"vigil/internal/policy"
)

// inlineQuotas are how many characters, white space not counted, the inline policies of one have together.
var inlineQuotas = map[kind]int{user: policy.MaxInlineUser, group: policy.MaxInlineGroup, role: policy.MaxInlineRole}

// malformed says what is wrong with a policy in IAM's words.
func malformed(err error) error {
	if wrong, ok := errors.AsType[*policy.MalformedError](err); ok {
		return call.Errorf("MalformedPolicyDocumentException", "%s", wrong.Message)
	}
	return err
}

// encoded is a policy's text as answers have it: percent-encoded as in RFC 3986.
func encoded(text string) *string {
	return new(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"))
}

// putInline gives a user, group or role an inline policy, in place of one that it has of that name.
func (id *Identity) putInline(c *call.Call, t target, name, text string) error {
	return id.change(c, t, nil, func(t thing) error {
		e := t.(*entity)
		if _, err := policy.ParseIdentityPolicy(text); err != nil {
			return malformed(err)
		}
		if e.Inline == nil {
			e.Inline = map[string]string{}
		}
		e.Inline[name] = text
		total := 0
		for _, text := range e.Inline {
			total += policy.Size(text)
		}
		if quota := inlineQuotas[e.Kind]; total > quota {
			return call.Errorf("LimitExceededException", "Maximum policy size of %d bytes exceeded for %s %s", quota, e.Kind, e.Name)
		}
		return nil
	})
}

// getInline returns the name of who has it as it is written there, and the policy, percent-encoded.
func (id *Identity) getInline(c *call.Call, t target, name string) (holder, text *string, err error) {
	found, err := id.find(c, t)
	if err != nil {
		return nil, nil, err
	}
	e := found.(*entity)
	plain, ok := e.Inline[name]
	if !ok {
		return nil, nil, noInline(e.Kind, name)
	}
	return &e.Name, encoded(plain), nil
}

func noInline(k kind, name string) error {
	return noSuchEntity("The %s policy with name %s cannot be found.", k, name)
}

func (id *Identity) deleteInline(c *call.Call, t target, name string) error {
	return id.change(c, t, nil, func(t thing) error {
		e := t.(*entity)
		if _, ok := e.Inline[name]; !ok {
			return noInline(e.Kind, name)
		}
		delete(e.Inline, name)
		return nil
	})
}

func (id *Identity) inlineNames(c *call.Call, t target, marker *string, maxItems *int32) ([]string, *string, error) {
	found, err := id.find(c, t)
	if err != nil {
		return nil, nil, err
	}
	shown, next, err := page(found.(*entity).policyNames(), itself, marker, maxItems)
	return append([]string{}, shown...), next, err
}

func (id *Identity) putUserPolicy(_ context.Context, c *call.Call, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	return &iam.PutUserPolicyOutput{}, id.putInline(c, target{user, *in.UserName}, *in.PolicyName, *in.PolicyDocument)
}

func (id *Identity) getUserPolicy(_ context.Context, c *call.Call, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	holder, text, err := id.getInline(c, target{user, *in.UserName}, *in.PolicyName)
	return &iam.GetUserPolicyOutput{UserName: holder, PolicyName: in.PolicyName, PolicyDocument: text}, err
}

func (id *Identity) deleteUserPolicy(_ context.Context, c *call.Call, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	return &iam.DeleteUserPolicyOutput{}, id.deleteInline(c, target{user, *in.UserName}, *in.PolicyName)
}

func (id *Identity) listUserPolicies(_ context.Context, c *call.Call, in *iam.ListUserPoliciesInput) (*iam.ListUserPoliciesOutput, error) {
	names, next, err := id.inlineNames(c, target{user, *in.UserName}, in.Marker, in.MaxItems)
	return &iam.ListUserPoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) putGroupPolicy(_ context.Context, c *call.Call, in *iam.PutGroupPolicyInput) (*iam.PutGroupPolicyOutput, error) {
	return &iam.PutGroupPolicyOutput{}, id.putInline(c, target{group, *in.GroupName}, *in.PolicyName, *in.PolicyDocument)
}

func (id *Identity) getGroupPolicy(_ context.Context, c *call.Call, in *iam.GetGroupPolicyInput) (*iam.GetGroupPolicyOutput, error) {
	holder, text, err := id.getInline(c, target{group, *in.GroupName}, *in.PolicyName)
	return &iam.GetGroupPolicyOutput{GroupName: holder, PolicyName: in.PolicyName, PolicyDocument: text}, err
}

func (id *Identity) deleteGroupPolicy(_ context.Context, c *call.Call, in *iam.DeleteGroupPolicyInput) (*iam.DeleteGroupPolicyOutput, error) {
	return &iam.DeleteGroupPolicyOutput{}, id.deleteInline(c, target{group, *in.GroupName}, *in.PolicyName)
}

func (id *Identity) listGroupPolicies(_ context.Context, c *call.Call, in *iam.ListGroupPoliciesInput) (*iam.ListGroupPoliciesOutput, error) {
	names, next, err := id.inlineNames(c, target{group, *in.GroupName}, in.Marker, in.MaxItems)
	return &iam.ListGroupPoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) putRolePolicy(_ context.Context, c *call.Call, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	return &iam.PutRolePolicyOutput{}, id.putInline(c, target{role, *in.RoleName}, *in.PolicyName, *in.PolicyDocument)
}

func (id *Identity) getRolePolicy(_ context.Context, c *call.Call, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	holder, text, err := id.getInline(c, target{role, *in.RoleName}, *in.PolicyName)
	return &iam.GetRolePolicyOutput{RoleName: holder, PolicyName: in.PolicyName, PolicyDocument: text}, err
}

func (id *Identity) deleteRolePolicy(_ context.Context, c *call.Call, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	return &iam.DeleteRolePolicyOutput{}, id.deleteInline(c, target{role, *in.RoleName}, *in.PolicyName)
}

func (id *Identity) listRolePolicies(_ context.Context, c *call.Call, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	names, next, err := id.inlineNames(c, target{role, *in.RoleName}, in.Marker, in.MaxItems)
	return &iam.ListRolePoliciesOutput{PolicyNames: names, IsTruncated: next != nil, Marker: next}, err
}
