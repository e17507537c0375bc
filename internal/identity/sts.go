package identity

import (
	"context"

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
			call.Read("GetCallerIdentity", id.getCallerIdentity),
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
