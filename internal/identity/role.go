package identity

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

const (
	defaultMaxSession = 3600 // seconds, when CreateRole does not say how long a session may be
	maxTrustPolicy    = 8192 // characters without white space, which is as much as AWS raises the quota to
)

func (id *Identity) createRole(_ context.Context, c *call.Call, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	e, err := id.newEntity(c, role, *in.RoleName, in.Path, in.PermissionsBoundary, in.Tags)
	if err != nil {
		return nil, err
	}
	if e.TrustIDs, err = id.checkTrust(*in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	if in.MaxSessionDuration == nil {
		in.MaxSessionDuration = new(int32(defaultMaxSession))
	}
	e.Trust, e.MaxSession = *in.AssumeRolePolicyDocument, *in.MaxSessionDuration
	if in.Description != nil {
		e.Description = *in.Description
	}
	c.Effect(id.insert(e))
	return &iam.CreateRoleOutput{Role: e.role(true)}, nil
}

// role is the role as the API shows it. Lists leave out what Get has beside.
func (e *entity) role(whole bool) *types.Role {
	r := &types.Role{
		Arn: new(e.arn()), CreateDate: timeOf(e.Created), Path: &e.Path, RoleId: &e.ID, RoleName: &e.Name,
		AssumeRolePolicyDocument: encoded(e.Trust), MaxSessionDuration: &e.MaxSession,
	}
	if e.Description != "" {
		r.Description = &e.Description
	}
	if whole {
		r.PermissionsBoundary, r.Tags = e.boundary(), e.Tags.shown()
	}
	return r
}

func (id *Identity) getRole(ctx context.Context, c *call.Call, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	found, err := id.find(c, target{role, *in.RoleName})
	if err != nil {
		return nil, err
	}
	r := found.(*entity).role(true)
	used, err := id.rolesLastUsed(ctx, c, *r.RoleId)
	r.RoleLastUsed = used(*r.RoleId)
	return &iam.GetRoleOutput{Role: r}, err
}

func (id *Identity) listRoles(_ context.Context, c *call.Call, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	found, next, err := id.entities(c, role, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{Roles: []types.Role{}, IsTruncated: next != nil, Marker: next}
	for _, e := range found {
		out.Roles = append(out.Roles, *e.role(false))
	}
	return out, nil
}

// updateRole sets the description and how long a session may be; what it is not given gets its default, as with AWS.
func (id *Identity) updateRole(_ context.Context, c *call.Call, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	return &iam.UpdateRoleOutput{}, id.change(c, target{role, *in.RoleName}, nil, func(t thing) error {
		e := t.(*entity)
		if in.Description != nil {
			e.Description = *in.Description
		}
		if e.MaxSession = defaultMaxSession; in.MaxSessionDuration != nil {
			e.MaxSession = *in.MaxSessionDuration
		}
		return nil
	})
}

func (id *Identity) updateRoleDescription(_ context.Context, c *call.Call, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	var changed entity
	if found := id.known.entity(c.Account(), role, *in.RoleName); found != nil {
		changed = *found
		changed.Description = *in.Description
	}
	return &iam.UpdateRoleDescriptionOutput{Role: changed.role(true)}, id.change(c, target{role, *in.RoleName}, nil, func(t thing) error {
		t.(*entity).Description = *in.Description
		return nil
	})
}

func (id *Identity) updateAssumeRolePolicy(_ context.Context, c *call.Call, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	t := target{role, *in.RoleName}
	if _, err := id.find(c, t); err != nil {
		return nil, err
	}
	ids, err := id.checkTrust(*in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	return &iam.UpdateAssumeRolePolicyOutput{}, id.change(c, t, nil, func(t thing) error {
		e := t.(*entity)
		e.Trust, e.TrustIDs = *in.PolicyDocument, ids
		return nil
	})
}

// checkTrust returns the unique ids of the users and roles that a trust policy names by ARN, all of which must exist. The ids hold:
// who gets the name of one that was deleted is not trusted.
func (id *Identity) checkTrust(text string) (ids map[string]string, err error) {
	document, err := policy.ParseTrustPolicy(text)
	if err != nil {
		return nil, malformed(err)
	}
	if policy.Size(text) > maxTrustPolicy {
		return nil, overQuota("ACLSizePerRole", maxTrustPolicy)
	}
	ids = map[string]string{}
	for _, name := range document.Principals() {
		if strings.HasPrefix(name, "arn:aws:sts:") {
			continue // a session need not be there yet
		}
		if unique, ok := id.UniqueID(name); ok {
			ids[name] = unique
		} else if _, ok := id.ARN(name); !ok {
			return nil, call.Errorf("MalformedPolicyDocumentException", "Invalid principal in policy: \"AWS\":%q", name)
		}
	}
	return ids, nil
}

// deleteRole deletes a role that has no policies any more. Its sessions end with it.
func (id *Identity) deleteRole(_ context.Context, c *call.Call, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return &iam.DeleteRoleOutput{}, id.deleteEntity(c, target{role, *in.RoleName}, nil)
}
