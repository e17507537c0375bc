// Package policy decides: may this principal do this to that? It is pure, and says why.
//
// It follows the IAM user guide's "policy evaluation logic" and the KMS developer guide's rule that a key policy is the root of
// trust of its key: nobody, the owner's root user included, may use a key unless its key policy lets them.
//
// decide.go is the order of evaluation; each kind of policy that it asks has a file: resourcepolicy.go is the first.
//
// What is not evaluated yet fails closed. Conditions, and policy variables in Resource, are parsed and kept, but their truth is
// not asked: an Allow statement that has one never applies, and a Deny statement that has one always applies. Principals
// without an identity-based policy that could be asked (IAM users, sessions) get only what a policy of the resource
// gives a user by name.
package policy

// Principal is who asks.
type Principal struct {
	Type    string // as in a record's userIdentity: Root
	ARN     string // arn:aws:iam::111122223333:root
	Account string
}

// Resource is what is asked for.
type Resource struct {
	ARN     string    // "*" for operations that name none, such as ListKeys
	Account string    // whose it is; for "*", the caller's
	Policy  *Document // its resource policy, or nil for a resource that has none
	// CrossAccount says that the operation can be used on a resource of another account at all.
	CrossAccount bool
	// Unnamed says that the caller did not name the resource (Decrypt without a KeyId), which changes the text of a denial.
	Unnamed bool
}

// Context holds the condition keys of the request, by name: "kms:CallerAccount" and so on.
type Context map[string][]string

// Request is one question.
type Request struct {
	Principal Principal
	Action    string // kms:Encrypt
	Resource  Resource
	Context   Context
}
