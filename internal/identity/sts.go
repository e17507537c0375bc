package identity

import (
	"context"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"vigil/internal/call"
)

// STS is the Security Token Service API, as far as Vigil has it.
func (id *Identity) STS() call.Service {
	return call.Service{
		Name:          "sts",
		EventSource:   "sts.amazonaws.com",
		InternalError: "InternalFailure",
		Operations: []call.Operation{
			call.Read("AssumeRole", id.assumeRole).Responding(),
			call.Read("AssumeRoleWithWebIdentity", id.assumeRoleWithWebIdentity).Responding().WithoutSignature(),
			call.Read("GetAccessKeyInfo", id.getAccessKeyInfo),
			call.Read("GetCallerIdentity", id.getCallerIdentity),
			call.Read("GetFederationToken", id.getFederationToken).Responding(),
			call.Read("GetSessionToken", id.getSessionToken).Responding(),
		},
	}
}

// getCallerIdentity tells callers who they are. It needs no permission.
func (id *Identity) getCallerIdentity(_ context.Context, c *call.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{
		Account: &c.Principal.Account,
		Arn:     &c.Principal.ARN,
		UserId:  &c.Principal.PrincipalID,
	}, nil
}

var keyIDForm = regexp.MustCompile(`^A(K|S)IA[A-Z2-7]{16}$`)

// getAccessKeyInfo tells which account an access key is of. Of temporary keys, which are not stored, only those in use here are known.
func (id *Identity) getAccessKeyInfo(_ context.Context, c *call.Call, in *sts.GetAccessKeyInfoInput) (*sts.GetAccessKeyInfoOutput, error) {
	if err := allowSTS(c, "sts:GetAccessKeyInfo", "*", nil); err != nil {
		return nil, err
	}
	if k := id.known.key(*in.AccessKeyId); k != nil {
		return &sts.GetAccessKeyInfoOutput{Account: &k.account}, nil
	}
	if cached, ok := id.credentials.byKey.Load(*in.AccessKeyId); ok && strings.HasPrefix(*in.AccessKeyId, "ASIA") {
		return &sts.GetAccessKeyInfoOutput{Account: &cached.(*credential).principal.Account}, nil
	}
	if !keyIDForm.MatchString(*in.AccessKeyId) {
		return nil, validation("Invalid AccessKeyId: %s", *in.AccessKeyId)
	}
	return nil, validation("Access key %s is not known.", *in.AccessKeyId)
}
