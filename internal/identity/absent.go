package identity

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
)

// What nobody has here: passwords, certificates, keys of other kinds, devices, instance profiles. Clients that delete a user or a role,
// such as Terraform, ask for them first, and are told so.

func (id *Identity) listInstanceProfilesForRole(_ context.Context, c *call.Call, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	_, err := id.find(c, target{role, *in.RoleName})
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: []types.InstanceProfile{}}, err
}

// ofUser fails unless the user that a call names, or the caller, is there and the caller may ask.
func (id *Identity) ofUser(c *call.Call, name *string) error {
	_, err := id.keyHolder(c, name)
	return err
}

func (id *Identity) listMFADevices(_ context.Context, c *call.Call, in *iam.ListMFADevicesInput) (*iam.ListMFADevicesOutput, error) {
	return &iam.ListMFADevicesOutput{MFADevices: []types.MFADevice{}}, id.ofUser(c, in.UserName)
}

func (id *Identity) listVirtualMFADevices(_ context.Context, c *call.Call, _ *iam.ListVirtualMFADevicesInput) (*iam.ListVirtualMFADevicesOutput, error) {
	return &iam.ListVirtualMFADevicesOutput{VirtualMFADevices: []types.VirtualMFADevice{}}, id.allow(c, "*", nil, nil)
}

func (id *Identity) listSSHPublicKeys(_ context.Context, c *call.Call, in *iam.ListSSHPublicKeysInput) (*iam.ListSSHPublicKeysOutput, error) {
	return &iam.ListSSHPublicKeysOutput{SSHPublicKeys: []types.SSHPublicKeyMetadata{}}, id.ofUser(c, in.UserName)
}

func (id *Identity) listServiceSpecificCredentials(_ context.Context, c *call.Call, in *iam.ListServiceSpecificCredentialsInput) (*iam.ListServiceSpecificCredentialsOutput, error) {
	return &iam.ListServiceSpecificCredentialsOutput{ServiceSpecificCredentials: []types.ServiceSpecificCredentialMetadata{}}, id.ofUser(c, in.UserName)
}

func (id *Identity) listSigningCertificates(_ context.Context, c *call.Call, in *iam.ListSigningCertificatesInput) (*iam.ListSigningCertificatesOutput, error) {
	return &iam.ListSigningCertificatesOutput{Certificates: []types.SigningCertificate{}}, id.ofUser(c, in.UserName)
}

func (id *Identity) getLoginProfile(_ context.Context, c *call.Call, in *iam.GetLoginProfileInput) (*iam.GetLoginProfileOutput, error) {
	return nil, id.noLoginProfile(c, in.UserName)
}

func (id *Identity) deleteLoginProfile(_ context.Context, c *call.Call, in *iam.DeleteLoginProfileInput) (*iam.DeleteLoginProfileOutput, error) {
	return nil, id.noLoginProfile(c, in.UserName)
}

func (id *Identity) noLoginProfile(c *call.Call, name *string) error {
	whose, err := id.keyHolder(c, name)
	if err != nil {
		return err
	}
	if whose.user == nil {
		return noSuchEntity("Login Profile for the root user cannot be found.")
	}
	return noSuchEntity("Login Profile for User %s cannot be found.", whose.user.Name)
}
