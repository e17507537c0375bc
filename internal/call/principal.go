package call

import (
	"strings"
	"time"

	"vigil/internal/policy"
)

// Principal is who signed a request. Credentials are looked up once and then shared by many calls: it is not changed after.
type Principal struct {
	Type        string // as in a record's userIdentity: Root, IAMUser, AssumedRole, FederatedUser, WebIdentityUser, AWSService
	ARN         string // as GetCallerIdentity says it
	Account     string
	PrincipalID string // aws:userid: AIDA…, AROA…:session, 111122223333:name, or the account's id for root
	AccessKeyID string
	UserName    string // IAM users only; in the record also who has a web identity
	UniqueID    string // of the user or the role: AIDA… or AROA…; empty for root
	Permissions *policy.Permissions
	Session     *Session          // nil for long-term credentials
	Tags        map[string]string // aws:PrincipalTag: the user's or role's tags, under those of the session
	// Service is the service that makes the call: of Type AWSService the caller itself, otherwise the one that calls in the name
	// of the principal. The record's invokedBy.
	Service string
	// Provider is who vouches for a web identity: the ARN of the OIDC provider, or a name such as accounts.google.com.
	Provider string
	// SourceARN is the resource for which an AWSService calls, such as a trail. aws:SourceArn and aws:SourceAccount.
	SourceARN string
}

const typeService = "AWSService"

// policy is the principal as policies speak of it.
func (p *Principal) policy() policy.Principal {
	who := policy.Principal{Type: p.Type, ARN: p.ARN, Account: p.Account, UniqueID: p.UniqueID, Provider: p.Provider}
	if p.Session != nil && p.Session.Issuer != nil {
		who.Issuer = p.Session.Issuer.ARN
	}
	if p.Type == typeService {
		who.Service = p.Service
	}
	return who
}

// via is the service that calls in the principal's name, or empty for a direct call.
func (p *Principal) via() string {
	if p.Type == typeService {
		return ""
	}
	return p.Service
}

// tag is the value of a tag, whose key is in lower case.
func (p *Principal) tag(key string) (string, bool) {
	for name, value := range p.Tags {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return "", false
}

// Session is what temporary credentials know of how they were made.
type Session struct {
	Issuer         *Issuer   // the role, or the federated user's user or account; nil for GetSessionToken
	Created        time.Time // creationDate, and aws:TokenIssueTime
	MFA            bool      // aws:MultiFactorAuthPresent
	MFATime        time.Time // when the device was asked, for aws:MultiFactorAuthAge; zero without MFA
	SourceIdentity string    // as AssumeRole was told; may be empty
	Transitive     []string  // keys of the tags that go on to the sessions that this one makes
	// FederatedProvider vouched for the identity that the session was made for: the ARN of the OIDC provider or its name. Empty for others.
	FederatedProvider   string
	FederatedAttributes map[string]string // webIdFederationData.attributes; may be nil
}

// Issuer is a record's sessionIssuer: whose permissions a session has.
type Issuer struct {
	Type        string // Role, IAMUser or Root
	PrincipalID string // AROA…, AIDA… or the account's id
	ARN         string
	Account     string
	UserName    string // the name of the role or the user
}
