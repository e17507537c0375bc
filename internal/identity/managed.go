package identity

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

const maxVersions = 5 // of a managed policy

// checkManaged refuses a text that cannot be a managed policy's.
func checkManaged(text string) error {
	if _, err := policy.ParseIdentityPolicy(text); err != nil {
		return malformed(err)
	}
	if policy.Size(text) > policy.MaxManaged {
		return overQuota("PolicySize", policy.MaxManaged)
	}
	return nil
}

func (id *Identity) createPolicy(_ context.Context, c *call.Call, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	path, err := pathOf(in.Path)
	if err != nil {
		return nil, err
	}
	set, err := tagsOf(in.Tags)
	if err != nil {
		return nil, err
	}
	now := c.Time.UnixMilli()
	p := &managedPolicy{
		Account: c.Account(), Name: *in.PolicyName, Path: path, ID: newID(managed), Created: now, Updated: now, Tags: set,
		Default: "v1", Last: 1, Versions: []version{{ID: "v1", Text: *in.PolicyDocument, Created: now}},
	}
	if in.Description != nil {
		p.Description = *in.Description
	}
	if err := id.allow(c, p.arn(), nil, keys{}.requestTags(set)); err != nil {
		return nil, err
	}
	if err := checkManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error { return id.create(tx, p, p.Name) })
	return &iam.CreatePolicyOutput{Policy: id.policy(p, p.Account, true)}, nil
}

// policy is a managed policy as the API shows it to an account. Lists leave out what Get has beside.
func (id *Identity) policy(p *managedPolicy, account string, whole bool) *types.Policy {
	attached, bounding := id.uses(p, account)
	shown := &types.Policy{
		Arn: new(p.arn()), AttachmentCount: &attached, CreateDate: timeOf(p.Created), DefaultVersionId: &p.Default, IsAttachable: true,
		Path: &p.Path, PermissionsBoundaryUsageCount: &bounding, PolicyId: &p.ID, PolicyName: &p.Name, UpdateDate: timeOf(p.Updated),
	}
	if whole {
		shown.Tags = p.Tags.shown()
		if p.Description != "" {
			shown.Description = &p.Description
		}
	}
	return shown
}

// uses counts what a policy is attached to in an account, and what it is the boundary of.
func (id *Identity) uses(p *managedPolicy, account string) (attached, bounding int32) {
	name := p.arn()
	for _, k := range []kind{user, group, role} {
		for _, e := range all[*entity](id.known, account, k) {
			if slices.Contains(e.Attached, name) {
				attached++
			}
			if e.Boundary == name {
				bounding++
			}
		}
	}
	return attached, bounding
}

func (id *Identity) findPolicy(c *call.Call, name string) (*managedPolicy, error) {
	found, err := id.find(c, target{managed, name})
	if err != nil {
		return nil, err
	}
	return found.(*managedPolicy), nil
}

func (id *Identity) getPolicy(_ context.Context, c *call.Call, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	p, err := id.findPolicy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: id.policy(p, c.Account(), true)}, nil
}

func (id *Identity) listPolicies(_ context.Context, c *call.Call, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	if err := id.allow(c, "*", nil, nil); err != nil {
		return nil, err
	}
	var found []*managedPolicy
	if in.Scope != types.PolicyScopeTypeLocal {
		found = all[*managedPolicy](id.known, awsAccount, managed)
	}
	if in.Scope != types.PolicyScopeTypeAws {
		found = append(found, all[*managedPolicy](id.known, c.Account(), managed)...)
	}
	found = under(found, func(p *managedPolicy) string { return p.Path }, in.PathPrefix)
	found = slices.DeleteFunc(found, func(p *managedPolicy) bool {
		attached, bounding := id.uses(p, c.Account())
		return in.OnlyAttached && attached == 0 ||
			in.PolicyUsageFilter == types.PolicyUsageTypePermissionsPolicy && attached == 0 ||
			in.PolicyUsageFilter == types.PolicyUsageTypePermissionsBoundary && bounding == 0
	})
	slices.SortFunc(found, func(a, b *managedPolicy) int { return strings.Compare(a.arn(), b.arn()) })
	shown, next, err := page(found, (*managedPolicy).arn, in.Marker, in.MaxItems)
	out := &iam.ListPoliciesOutput{Policies: []types.Policy{}, IsTruncated: next != nil, Marker: next}
	for _, p := range shown {
		out.Policies = append(out.Policies, *id.policy(p, c.Account(), false))
	}
	return out, err
}

// deletePolicy deletes a policy that nothing uses and that has only its default version.
func (id *Identity) deletePolicy(_ context.Context, c *call.Call, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	t := target{managed, *in.PolicyArn}
	found, err := id.find(c, t)
	if err != nil {
		return nil, err
	}
	if found.at().account == awsAccount {
		return nil, noSuch(managed, t.name)
	}
	c.Effect(func(tx store.Tx) error {
		now, err := again(tx, t, found)
		if err != nil {
			return err
		}
		used, err := referredTo(tx, t.name)
		switch {
		case err != nil:
			return err
		case used:
			return conflict("Cannot delete a policy attached to entities.")
		case len(now.(*managedPolicy).Versions) > 1:
			return conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. " +
				"The default version is deleted with the policy.")
		}
		return id.drop(tx, now)
	})
	return &iam.DeletePolicyOutput{}, nil
}

func (id *Identity) createPolicyVersion(_ context.Context, c *call.Call, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	t := target{managed, *in.PolicyArn}
	p, err := id.findPolicy(c, t.name)
	if err != nil {
		return nil, err
	}
	if err := checkManaged(*in.PolicyDocument); err != nil {
		return nil, err
	}
	made := version{ID: "v" + strconv.Itoa(p.Last+1), Text: *in.PolicyDocument, Created: c.Time.UnixMilli()}
	err = id.change(c, t, nil, func(t thing) error {
		p := t.(*managedPolicy)
		if len(p.Versions) >= maxVersions {
			return call.Errorf("LimitExceededException", "A managed policy can have up to 5 versions. Before you create a new version, "+
				"you must delete an existing version.")
		}
		p.Last++
		if made.ID != "v"+strconv.Itoa(p.Last) { // another call came first
			return call.Errorf("ConcurrentModificationException", "The policy %s was changed at the same time. Try again.", p.arn())
		}
		p.Versions = append(p.Versions, made)
		p.Updated = made.Created
		if in.SetAsDefault {
			p.Default = made.ID
		}
		return nil
	})
	return &iam.CreatePolicyVersionOutput{PolicyVersion: made.shown(in.SetAsDefault, false)}, err
}

// shown is the version as the API shows it, with its text or without.
func (v *version) shown(isDefault, text bool) *types.PolicyVersion {
	shown := &types.PolicyVersion{CreateDate: timeOf(v.Created), IsDefaultVersion: isDefault, VersionId: &v.ID}
	if text {
		shown.Document = encoded(v.Text)
	}
	return shown
}

func noVersion(p *managedPolicy, id string) error {
	return noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.arn(), id)
}

func (id *Identity) getPolicyVersion(_ context.Context, c *call.Call, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	p, err := id.findPolicy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	v := p.version(*in.VersionId)
	if v == nil {
		return nil, noVersion(p, *in.VersionId)
	}
	return &iam.GetPolicyVersionOutput{PolicyVersion: v.shown(v.ID == p.Default, true)}, nil
}

// listPolicyVersions lists the newest version first.
func (id *Identity) listPolicyVersions(_ context.Context, c *call.Call, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	p, err := id.findPolicy(c, *in.PolicyArn)
	if err != nil {
		return nil, err
	}
	order := map[string]string{} // of the version's id in the list, which is at most five long
	for i := range p.Versions {
		order[p.Versions[i].ID] = strconv.Itoa(len(p.Versions) - i)
	}
	versions := slices.Clone(p.Versions)
	slices.Reverse(versions)
	shown, next, err := page(versions, func(v version) string { return order[v.ID] }, in.Marker, in.MaxItems)
	out := &iam.ListPolicyVersionsOutput{Versions: []types.PolicyVersion{}, IsTruncated: next != nil, Marker: next}
	for _, v := range shown {
		out.Versions = append(out.Versions, *v.shown(v.ID == p.Default, false))
	}
	return out, err
}

func (id *Identity) deletePolicyVersion(_ context.Context, c *call.Call, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	return &iam.DeletePolicyVersionOutput{}, id.change(c, target{managed, *in.PolicyArn}, nil, func(t thing) error {
		p := t.(*managedPolicy)
		switch {
		case p.version(*in.VersionId) == nil:
			return noVersion(p, *in.VersionId)
		case p.Default == *in.VersionId:
			return conflict("Cannot delete the default version of a policy.")
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(v version) bool { return v.ID == *in.VersionId })
		p.Updated = c.Time.UnixMilli()
		return nil
	})
}

func (id *Identity) setDefaultPolicyVersion(_ context.Context, c *call.Call, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	return &iam.SetDefaultPolicyVersionOutput{}, id.change(c, target{managed, *in.PolicyArn}, nil, func(t thing) error {
		p := t.(*managedPolicy)
		if p.version(*in.VersionId) == nil {
			return noVersion(p, *in.VersionId)
		}
		p.Default, p.Updated = *in.VersionId, c.Time.UnixMilli()
		return nil
	})
}
