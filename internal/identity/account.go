package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// createAccountAlias gives the account another name, in place of one that it has. No two accounts have the same.
func (id *Identity) createAccountAlias(_ context.Context, c *call.Call, in *iam.CreateAccountAliasInput) (*iam.CreateAccountAliasOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	made := &accountAlias{c.Account(), *in.AccountAlias}
	c.Effect(func(tx store.Tx) error {
		var n int
		err := tx.QueryRow(`SELECT COUNT(*) FROM identity_thing WHERE kind = $1 AND name = $2`, string(alias), made.Name).Scan(&n)
		if err != nil {
			return err
		}
		if n > 0 {
			return exists(alias, made.Name)
		}
		var old string
		err = tx.QueryRow(`SELECT name FROM identity_thing WHERE account = $1 AND kind = $2`, made.Account, string(alias)).Scan(&old)
		if err == nil {
			err = id.drop(tx, &accountAlias{made.Account, old})
		} else if err == store.ErrNoRows {
			err = nil
		}
		if err != nil {
			return err
		}
		return id.save(tx, made)
	})
	return &iam.CreateAccountAliasOutput{}, nil
}

func (id *Identity) deleteAccountAlias(_ context.Context, c *call.Call, in *iam.DeleteAccountAliasInput) (*iam.DeleteAccountAliasOutput, error) {
	t := target{alias, *in.AccountAlias}
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	found := named[*accountAlias](id.known, placeOf(c.Account(), alias, t.name))
	if found == nil {
		return nil, noSuch(alias, t.name)
	}
	c.Effect(func(tx store.Tx) error {
		now, err := again(tx, t, found)
		if err != nil {
			return err
		}
		return id.drop(tx, now)
	})
	return &iam.DeleteAccountAliasOutput{}, nil
}

func (id *Identity) listAccountAliases(_ context.Context, c *call.Call, _ *iam.ListAccountAliasesInput) (*iam.ListAccountAliasesOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	out := &iam.ListAccountAliasesOutput{AccountAliases: []string{}}
	for _, a := range all[*accountAlias](id.known, c.Account(), alias) {
		out.AccountAliases = append(out.AccountAliases, a.Name)
	}
	return out, nil
}

// getAccountSummary tells how much there is, and the quotas.
func (id *Identity) getAccountSummary(_ context.Context, c *call.Call, _ *iam.GetAccountSummaryInput) (*iam.GetAccountSummaryOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	policies := all[*managedPolicy](id.known, c.Account(), managed)
	versions := 0
	for _, p := range policies {
		versions += len(p.Versions)
	}
	summary := map[string]int{
		"Users": len(all[*entity](id.known, c.Account(), user)), "UsersQuota": quotas[user].most,
		"Groups": len(all[*entity](id.known, c.Account(), group)), "GroupsQuota": quotas[group].most,
		"Roles": len(all[*entity](id.known, c.Account(), role)), "RolesQuota": quotas[role].most,
		"Policies": len(policies), "PoliciesQuota": quotas[managed].most,
		"Providers":           len(all[*oidcProvider](id.known, c.Account(), provider)),
		"PolicyVersionsInUse": versions, "VersionsPerPolicyQuota": maxVersions,
		"PolicySizeQuota": policy.MaxManaged, "AssumeRolePolicySizeQuota": maxTrustPolicy,
		"UserPolicySizeQuota": policy.MaxInlineUser, "GroupPolicySizeQuota": policy.MaxInlineGroup, "RolePolicySizeQuota": policy.MaxInlineRole,
		"AttachedPoliciesPerUserQuota": attachQuotas[user], "AttachedPoliciesPerGroupQuota": attachQuotas[group],
		"AttachedPoliciesPerRoleQuota": attachQuotas[role], "GroupsPerUserQuota": maxGroups, "AccessKeysPerUserQuota": maxAccessKeys,
		"AccountAccessKeysPresent": min(1, len(id.known.keysOf(c.Account(), ""))), "AccountMFAEnabled": 0,
		"MFADevices": 0, "MFADevicesInUse": 0, "InstanceProfiles": 0, "ServerCertificates": 0, "AccountSigningCertificatesPresent": 0,
		"AccountPasswordPresent": 0,
	}
	out := &iam.GetAccountSummaryOutput{SummaryMap: map[string]int32{}}
	for name, n := range summary {
		out.SummaryMap[name] = int32(n)
	}
	return out, nil
}

// getAccountAuthorizationDetails shows users, groups, roles and policies with all that they may do.
func (id *Identity) getAccountAuthorizationDetails(ctx context.Context, c *call.Call, in *iam.GetAccountAuthorizationDetailsInput) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	wants := func(t types.EntityType) bool { return len(in.Filter) == 0 || slices.Contains(in.Filter, t) }
	var found []thing
	for _, k := range []struct {
		kind   kind
		filter types.EntityType
	}{{group, types.EntityTypeGroup}, {role, types.EntityTypeRole}, {user, types.EntityTypeUser}} {
		if wants(k.filter) {
			found = append(found, things(all[*entity](id.known, c.Account(), k.kind))...)
		}
	}
	if wants(types.EntityTypeLocalManagedPolicy) {
		found = append(found, things(all[*managedPolicy](id.known, c.Account(), managed))...)
	}
	if wants(types.EntityTypeAWSManagedPolicy) {
		found = append(found, things(all[*managedPolicy](id.known, awsAccount, managed))...)
	}
	slices.SortFunc(found, func(a, b thing) int { return strings.Compare(a.arn(), b.arn()) })
	shown, next, err := page(found, thing.arn, in.Marker, in.MaxItems)
	out := &iam.GetAccountAuthorizationDetailsOutput{UserDetailList: []types.UserDetail{}, GroupDetailList: []types.GroupDetail{},
		RoleDetailList: []types.RoleDetail{}, Policies: []types.ManagedPolicyDetail{}, IsTruncated: next != nil, Marker: next}
	if err != nil {
		return nil, err
	}
	var roles []string
	for _, t := range shown {
		if e, ok := t.(*entity); ok && e.Kind == role {
			roles = append(roles, e.ID)
		}
	}
	used, err := id.rolesLastUsed(ctx, c, roles...)
	for _, t := range shown {
		id.detail(out, t, c.Account(), used)
	}
	return out, err
}

func things[T thing](list []T) (all []thing) {
	for _, t := range list {
		all = append(all, t)
	}
	return all
}

// detail adds a thing to the details of an account.
func (id *Identity) detail(out *iam.GetAccountAuthorizationDetailsOutput, t thing, account string, used func(string) *types.RoleLastUsed) {
	e, ok := t.(*entity)
	if !ok {
		out.Policies = append(out.Policies, id.policyDetail(t.(*managedPolicy), account))
		return
	}
	var attached []types.AttachedPolicy
	for _, p := range id.attachedTo(e) {
		attached = append(attached, types.AttachedPolicy{PolicyArn: new(p.arn()), PolicyName: &p.Name})
	}
	var inline []types.PolicyDetail
	for _, name := range e.policyNames() {
		inline = append(inline, types.PolicyDetail{PolicyName: &name, PolicyDocument: encoded(e.Inline[name])})
	}
	switch e.Kind {
	case user:
		var groups []string
		for _, g := range id.groupsOf(e) {
			groups = append(groups, g.Name)
		}
		out.UserDetailList = append(out.UserDetailList, types.UserDetail{
			Arn: new(e.arn()), CreateDate: timeOf(e.Created), Path: &e.Path, UserId: &e.ID, UserName: &e.Name, GroupList: groups,
			AttachedManagedPolicies: attached, UserPolicyList: inline, PermissionsBoundary: e.boundary(), Tags: e.Tags.shown(),
		})
	case group:
		out.GroupDetailList = append(out.GroupDetailList, types.GroupDetail{
			Arn: new(e.arn()), CreateDate: timeOf(e.Created), Path: &e.Path, GroupId: &e.ID, GroupName: &e.Name,
			AttachedManagedPolicies: attached, GroupPolicyList: inline,
		})
	case role:
		out.RoleDetailList = append(out.RoleDetailList, types.RoleDetail{
			Arn: new(e.arn()), CreateDate: timeOf(e.Created), Path: &e.Path, RoleId: &e.ID, RoleName: &e.Name,
			AssumeRolePolicyDocument: encoded(e.Trust), AttachedManagedPolicies: attached, RolePolicyList: inline,
			PermissionsBoundary: e.boundary(), Tags: e.Tags.shown(), RoleLastUsed: used(e.ID), InstanceProfileList: []types.InstanceProfile{},
		})
	}
}

func (id *Identity) policyDetail(p *managedPolicy, account string) types.ManagedPolicyDetail {
	shown := id.policy(p, account, true)
	d := types.ManagedPolicyDetail{
		Arn: shown.Arn, AttachmentCount: shown.AttachmentCount, CreateDate: shown.CreateDate, DefaultVersionId: shown.DefaultVersionId,
		Description: shown.Description, IsAttachable: true, Path: shown.Path, PermissionsBoundaryUsageCount: shown.PermissionsBoundaryUsageCount,
		PolicyId: shown.PolicyId, PolicyName: shown.PolicyName, UpdateDate: shown.UpdateDate,
	}
	for i := range p.Versions {
		d.PolicyVersionList = append(d.PolicyVersionList, *p.Versions[i].shown(p.Versions[i].ID == p.Default, true))
	}
	return d
}
