package trail

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/call"
	"vigil/internal/policy"
)

// noOrganization is why what is about an organization is refused, as CloudTrail refuses it to an account that is in none. No account here is in one.
func noOrganization() error {
	return call.Errorf("OrganizationsNotInUseException", "The account is not a member of an organization.")
}

// checkOrganization refuses trails of organizations.
func checkOrganization(organization *bool) error {
	if aws.ToBool(organization) {
		return noOrganization()
	}
	return nil
}

// RegisterOrganizationDelegatedAdmin is refused: OrganizationsNotInUseException.
func (t *Trail) RegisterOrganizationDelegatedAdmin(_ context.Context, c *call.Call, _ *cloudtrail.RegisterOrganizationDelegatedAdminInput) (*cloudtrail.RegisterOrganizationDelegatedAdminOutput, error) {
	return nil, refuseOrganization(c)
}

// DeregisterOrganizationDelegatedAdmin is refused: OrganizationsNotInUseException.
func (t *Trail) DeregisterOrganizationDelegatedAdmin(_ context.Context, c *call.Call, _ *cloudtrail.DeregisterOrganizationDelegatedAdminInput) (*cloudtrail.DeregisterOrganizationDelegatedAdminOutput, error) {
	return nil, refuseOrganization(c)
}

func refuseOrganization(c *call.Call) error {
	if err := c.Allow("cloudtrail:"+c.Operation, policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return err
	}
	return noOrganization()
}
