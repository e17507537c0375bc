package identity

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
)

// roleTracking is for how long AWS knows that a role was used. See RoleLastUsed in the IAM API reference.
const roleTracking = 400 * 24 * time.Hour

// Use is the last use of an access key, or of a role by one of its sessions.
type Use struct {
	Time    time.Time
	Service string // kms
	Region  string
}

// rolesLastUsed finds when roles were last used, by their unique ids. A role that was not is shown with an empty RoleLastUsed.
func (id *Identity) rolesLastUsed(ctx context.Context, c *call.Call, roles ...string) (func(role string) *types.RoleLastUsed, error) {
	var uses map[string]Use
	var err error
	if id.config.LastUses != nil && len(roles) > 0 {
		uses, err = id.config.LastUses(ctx, roles...)
	}
	return func(role string) *types.RoleLastUsed {
		use, ok := uses[role]
		if !ok || c.Time.Sub(use.Time) > roleTracking {
			return &types.RoleLastUsed{}
		}
		return &types.RoleLastUsed{LastUsedDate: new(use.Time.Truncate(time.Second)), Region: &use.Region}
	}, err
}
