package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// attachQuotas are how many managed policies one can have attached.
var attachQuotas = map[kind]int{user: 20, group: 10, role: 25}

// attachable fails unless there is a managed policy with this ARN that the account can use.
func attachable(tx store.Tx, account, name string) error {
	missing := noSuchEntity("Policy %s does not exist or is not attachable.", name)
	p, ok := policyPlace(account, name)
	if !ok {
		return missing
	}
	if p.account == awsAccount {
		if found := awsManaged[strings.ToLower(p.name)]; found == nil || found.arn() != name {
			return missing
		}
		return nil
	}
	found, err := read[managedPolicy](tx, p)
	if err == nil && (found == nil || found.arn() != name) {
		err = missing
	}
	return err
}

func (id *Identity) attach(c *call.Call, t target, name string) error {
	return id.changeIn(c, t, keys{"iam:policyarn": {name}}, func(tx store.Tx, t thing) error {
		e := t.(*entity)
		if err := attachable(tx, e.Account, name); err != nil || slices.Contains(e.Attached, name) {
			return err
		}
		if quota := attachQuotas[e.Kind]; len(e.Attached) >= quota {
			return overQuota("PoliciesPer"+e.Kind.title(), quota)
		}
		e.Attached = append(e.Attached, name)
		return nil
	})
}

func (id *Identity) detach(c *call.Call, t target, name string) error {
	return id.change(c, t, keys{"iam:policyarn": {name}}, func(t thing) error {
		e := t.(*entity)
		i := slices.Index(e.Attached, name)
		if i < 0 {
			return noSuch(managed, name)
		}
		e.Attached = slices.Delete(e.Attached, i, i+1)
		return nil
	})
}

// attached is a page of the managed policies of a user, group or role.
func (id *Identity) attached(c *call.Call, t target, prefix, marker *string, maxItems *int32) ([]types.AttachedPolicy, *string, error) {
	found, err := id.find(c, t)
	if err != nil {
		return nil, nil, err
	}
	policies := under(id.attachedTo(found.(*entity)), func(p *managedPolicy) string { return p.Path }, prefix)
	shown, next, err := page(policies, (*managedPolicy).arn, marker, maxItems)
	list := []types.AttachedPolicy{}
	for _, p := range shown {
		list = append(list, types.AttachedPolicy{PolicyArn: new(p.arn()), PolicyName: &p.Name})
	}
	return list, next, err
}

// attachedTo are the managed policies of a user, group or role, by ARN.
func (id *Identity) attachedTo(e *entity) (policies []*managedPolicy) {
	for _, name := range slices.Sorted(slices.Values(e.Attached)) {
		if p := id.known.policyWithARN(e.Account, name); p != nil {
			policies = append(policies, p)
		}
	}
	return policies
}

func (id *Identity) attachUserPolicy(_ context.Context, c *call.Call, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	return &iam.AttachUserPolicyOutput{}, id.attach(c, target{user, *in.UserName}, *in.PolicyArn)
}

func (id *Identity) detachUserPolicy(_ context.Context, c *call.Call, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	return &iam.DetachUserPolicyOutput{}, id.detach(c, target{user, *in.UserName}, *in.PolicyArn)
}

func (id *Identity) listAttachedUserPolicies(_ context.Context, c *call.Call, in *iam.ListAttachedUserPoliciesInput) (*iam.ListAttachedUserPoliciesOutput, error) {
	list, next, err := id.attached(c, target{user, *in.UserName}, in.PathPrefix, in.Marker, in.MaxItems)
	return &iam.ListAttachedUserPoliciesOutput{AttachedPolicies: list, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) attachGroupPolicy(_ context.Context, c *call.Call, in *iam.AttachGroupPolicyInput) (*iam.AttachGroupPolicyOutput, error) {
	return &iam.AttachGroupPolicyOutput{}, id.attach(c, target{group, *in.GroupName}, *in.PolicyArn)
}

func (id *Identity) detachGroupPolicy(_ context.Context, c *call.Call, in *iam.DetachGroupPolicyInput) (*iam.DetachGroupPolicyOutput, error) {
	return &iam.DetachGroupPolicyOutput{}, id.detach(c, target{group, *in.GroupName}, *in.PolicyArn)
}

func (id *Identity) listAttachedGroupPolicies(_ context.Context, c *call.Call, in *iam.ListAttachedGroupPoliciesInput) (*iam.ListAttachedGroupPoliciesOutput, error) {
	list, next, err := id.attached(c, target{group, *in.GroupName}, in.PathPrefix, in.Marker, in.MaxItems)
	return &iam.ListAttachedGroupPoliciesOutput{AttachedPolicies: list, IsTruncated: next != nil, Marker: next}, err
}

func (id *Identity) attachRolePolicy(_ context.Context, c *call.Call, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	return &iam.AttachRolePolicyOutput{}, id.attach(c, target{role, *in.RoleName}, *in.PolicyArn)
}

func (id *Identity) detachRolePolicy(_ context.Context, c *call.Call, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	return &iam.DetachRolePolicyOutput{}, id.detach(c, target{role, *in.RoleName}, *in.PolicyArn)
}

func (id *Identity) listAttachedRolePolicies(_ context.Context, c *call.Call, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	list, next, err := id.attached(c, target{role, *in.RoleName}, in.PathPrefix, in.Marker, in.MaxItems)
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: list, IsTruncated: next != nil, Marker: next}, err
}

// listEntitiesForPolicy lists who a policy is attached to, or is the boundary of: groups, roles and users, in that order.
func (id *Identity) listEntitiesForPolicy(_ context.Context, c *call.Call, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	p, err := id.findPolicy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var found []*entity
	for _, k := range []kind{group, role, user} {
		if f := in.EntityFilter; f == "" || strings.EqualFold(string(f), string(k)) {
			found = append(found, under(all[*entity](id.known, c.Account(), k), func(e *entity) string { return e.Path }, in.PathPrefix)...)
		}
	}
	found = slices.DeleteFunc(found, func(e *entity) bool { return !e.uses(p.arn(), in.PolicyUsageFilter) })
	shown, next, err := page(found, func(e *entity) string { return string(e.Kind) + "/" + e.at().name }, in.Marker, in.MaxItems)
	out := &iam.ListEntitiesForPolicyOutput{PolicyGroups: []types.PolicyGroup{}, PolicyRoles: []types.PolicyRole{}, PolicyUsers: []types.PolicyUser{},
		IsTruncated: next != nil, Marker: next}
	for _, e := range shown {
		switch e.Kind {
		case group:
			out.PolicyGroups = append(out.PolicyGroups, types.PolicyGroup{GroupId: &e.ID, GroupName: &e.Name})
		case role:
			out.PolicyRoles = append(out.PolicyRoles, types.PolicyRole{RoleId: &e.ID, RoleName: &e.Name})
		case user:
			out.PolicyUsers = append(out.PolicyUsers, types.PolicyUser{UserId: &e.ID, UserName: &e.Name})
		}
	}
	return out, err
}

// uses says whether a policy is attached to it, or is its boundary, as the filter wants it.
func (e *entity) uses(name string, filter types.PolicyUsageType) bool {
	return filter != types.PolicyUsageTypePermissionsBoundary && slices.Contains(e.Attached, name) ||
		filter != types.PolicyUsageTypePermissionsPolicy && e.Boundary == name
}
