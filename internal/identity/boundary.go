package identity

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"vigil/internal/call"
	"vigil/internal/store"
)

// putBoundary sets the managed policy beyond which a user's or a role's permissions do not reach.
func (id *Identity) putBoundary(c *call.Call, t target, name string) error {
	return id.changeIn(c, t, keys{"iam:permissionsboundary": {name}}, func(tx store.Tx, t thing) error {
		e := t.(*entity)
		e.Boundary = name
		return attachable(tx, e.Account, name)
	})
}

func (id *Identity) deleteBoundary(c *call.Call, t target) error {
	var more keys
	if found := id.known.entity(c.Account(), t.kind, t.name); found != nil && found.Boundary != "" {
		more = keys{"iam:permissionsboundary": {found.Boundary}}
	}
	return id.change(c, t, more, func(held thing) error {
		e := held.(*entity)
		if e.Boundary == "" {
			return noSuchEntity("%s %s does not have a permissions boundary.", e.Kind.title(), e.Name)
		}
		e.Boundary = ""
		return nil
	})
}

func (id *Identity) putUserPermissionsBoundary(_ context.Context, c *call.Call, in *iam.PutUserPermissionsBoundaryInput) (*iam.PutUserPermissionsBoundaryOutput, error) {
	return &iam.PutUserPermissionsBoundaryOutput{}, id.putBoundary(c, target{user, *in.UserName}, *in.PermissionsBoundary)
}

func (id *Identity) deleteUserPermissionsBoundary(_ context.Context, c *call.Call, in *iam.DeleteUserPermissionsBoundaryInput) (*iam.DeleteUserPermissionsBoundaryOutput, error) {
	return &iam.DeleteUserPermissionsBoundaryOutput{}, id.deleteBoundary(c, target{user, *in.UserName})
}

func (id *Identity) putRolePermissionsBoundary(_ context.Context, c *call.Call, in *iam.PutRolePermissionsBoundaryInput) (*iam.PutRolePermissionsBoundaryOutput, error) {
	return &iam.PutRolePermissionsBoundaryOutput{}, id.putBoundary(c, target{role, *in.RoleName}, *in.PermissionsBoundary)
}

func (id *Identity) deleteRolePermissionsBoundary(_ context.Context, c *call.Call, in *iam.DeleteRolePermissionsBoundaryInput) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	return &iam.DeleteRolePermissionsBoundaryOutput{}, id.deleteBoundary(c, target{role, *in.RoleName})
}
