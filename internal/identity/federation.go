package identity

//lint:file-ignore SA1019 PackedPolicySize is deprecated, but STS answers with it still.

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"vigil/internal/call"
)

const (
	defaultUserSession = 43200 // seconds
	maxRootSession     = 3600
)

// getSessionToken makes temporary credentials of a user's or the root user's own. They are for all but IAM, and of STS but
// AssumeRole and GetCallerIdentity, as they cannot have been made with an MFA device.
func (id *Identity) getSessionToken(_ context.Context, c *call.Call, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, call.NotBuilt("An MFA device")
	}
	if c.Principal.Session != nil { // no permission is needed, but credentials of one's own
		return nil, sessionCannot("GetSessionToken")
	}
	in.DurationSeconds = userDuration(c, in.DurationSeconds)
	made, err := id.mint(&session{Type: typeUser, Account: c.Account(), Holder: c.Principal.UniqueID}, c.Time, *in.DurationSeconds, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{Credentials: made.credentials, SessionTokenSize: made.size, SessionTokenUtilization: made.utilization}, nil
}

func sessionCannot(operation string) error {
	return denied("Cannot call " + operation + " with session credentials")
}

// userDuration is how long such a session is to last, in seconds. A root user's ends after an hour, whatever it asks for.
func userDuration(c *call.Call, seconds *int32) *int32 {
	if seconds == nil {
		seconds = new(int32(defaultUserSession))
	}
	if c.Principal.Type == typeRoot {
		seconds = new(min(*seconds, maxRootSession))
	}
	return seconds
}

// getFederationToken makes credentials for someone whom the caller vouches for. They allow what both the caller's permissions
// and the session's policies do; without policies, only what the policy of a resource gives the federated user by name.
func (id *Identity) getFederationToken(_ context.Context, c *call.Call, in *sts.GetFederationTokenInput) (*sts.GetFederationTokenOutput, error) {
	if c.Principal.Session != nil {
		return nil, sessionCannot("GetFederationToken")
	}
	in.DurationSeconds = userDuration(c, in.DurationSeconds)
	s := &session{Type: typeFederated, Account: c.Account(), Holder: c.Principal.UniqueID, Name: *in.Name}
	if err := s.limit(in.Policy, in.PolicyArns); err != nil {
		return nil, err
	}
	s.Limited = true
	set, err := sessionTags(in.Tags)
	if err != nil {
		return nil, err
	}
	s.Tags = set
	name := federatedARN(c.Account(), s.Name)
	context := keys{}.requestTags(set)
	for i, action := range []string{"sts:GetFederationToken", "sts:TagSession"} {
		if i == 1 && len(set) == 0 {
			break
		}
		if err := allowSTS(c, action, name, func(key string) ([]string, bool) { v, ok := context[key]; return v, ok }); err != nil {
			return nil, err
		}
	}
	made, err := id.mint(s, c.Time, *in.DurationSeconds, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	if in.Policy == nil && len(in.PolicyArns) == 0 && len(set) == 0 {
		made.packed = new(int32(0))
	}
	return &sts.GetFederationTokenOutput{
		Credentials:      made.credentials,
		FederatedUser:    &types.FederatedUser{Arn: &name, FederatedUserId: new(c.Account() + ":" + s.Name)},
		PackedPolicySize: made.packed, SessionTokenSize: made.size, SessionTokenUtilization: made.utilization,
	}, nil
}
