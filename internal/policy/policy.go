// Package policy decides: may this principal do this to that? It is pure, and says why.
//
// It follows the IAM user guide's "policy evaluation logic" and the KMS developer guide's rule that a key policy is the root of
// trust of its key: nobody, the owner's root user included, may use a key unless its key policy lets them.
//
// decide.go is the order of evaluation. A policy's text is parsed (json.go, parse.go) into a Document, whose statements say
// who (principal.go), what (pattern.go) and when (condition.go and its operators).
package policy

// Types of principals, as a record's userIdentity names them.
const (
	typeRoot      = "Root"
	typeFederated = "FederatedUser"
	typeService   = "AWSService"
)

// Principal is who asks.
type Principal struct {
	Type     string // as in a record's userIdentity: Root, IAMUser, AssumedRole, FederatedUser, WebIdentityUser, AWSService
	ARN      string // as GetCallerIdentity says it: arn:aws:sts::111122223333:assumed-role/Admin/alice
	Account  string // empty for a service, and for who has only a web identity
	UniqueID string // of the user or the role: AIDA… or AROA…; empty for a root user
	Issuer   string // of a role's session the role's ARN, of a federated user the ARN of its user or of its account's root; else empty
	Service  string // of an AWSService: logs.us-east-1.amazonaws.com
	Provider string // who vouches for a web identity, and for the sessions made of it: an OIDC provider's ARN, or a name such as accounts.google.com
}

// Permissions are the caller's own side: what its account's IAM says of it. They do not change once they are in use.
// A root user, a service and a web identity have none, and nil is right for them. Of anybody else, nil allows nothing.
type Permissions struct {
	Identity   []Source // all identity-based policies: attached, inline, and those of the user's groups
	Boundary   *Source  // the permissions boundary, or nil
	HasSession bool     // the session was made with policies, which then bound what it may do
	Session    []Source // those policies: any of them may allow
}

// Source is a policy of IAM.
type Source struct {
	ARN      string // of a managed policy; empty for an inline one
	Document *Document
}

// Resource is what is asked for.
type Resource struct {
	ARN     string // "*" for operations that name none, such as ListKeys
	Account string // whose it is; for "*", the caller's
	// Policy is its resource policy, or nil for a resource that has none. How far it reaches follows from how it was parsed:
	// a key policy and a role's trust policy must let the caller in; another resource's adds to what IAM allows.
	Policy *Document
	// Granted says that a grant gives the caller the action. A Deny still outweighs it.
	Granted bool
	// CrossAccount says that the operation can be used on a resource of another account at all.
	CrossAccount bool
	// Unnamed says that the caller did not name the resource (Decrypt without a KeyId), which changes the text of a denial.
	Unnamed bool
}

// Context gives the request's value of a condition key, or ok false when the request has no such key. The name is in lower
// case: "kms:encryptioncontext:app". A key with many values gives them all; one that is there without any counts as missing.
// It is asked only for keys that a statement of the caller's action names. What it returns stays as it is until the decision
// is made. A nil Context has no keys.
type Context func(key string) (values []string, ok bool)

// Request is one question.
type Request struct {
	Principal   Principal
	Permissions *Permissions
	Action      string // kms:Encrypt
	Resource    Resource
	Context     Context
}
