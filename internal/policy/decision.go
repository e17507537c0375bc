package policy

import "strings"

// Reason says what a decision rests on.
type Reason int

// Reasons. The zero value denies.
const (
	// NoResourcePolicyAllows is an implicit deny: the resource's policy has no statement that allows it.
	NoResourcePolicyAllows Reason = iota
	// NoIdentityPolicyAllows is an implicit deny: the caller's identity-based policies do not include it.
	NoIdentityPolicyAllows
	// NoBoundaryAllows is an implicit deny: the caller's permissions boundary does not include it.
	NoBoundaryAllows
	// NoSessionPolicyAllows is an implicit deny: the policies that the session was made with do not include it.
	NoSessionPolicyAllows
	// OtherAccount is an implicit deny: the resource is another account's, and cannot be used from outside in this way.
	OtherAccount
	// ExplicitDeny is a Deny statement in the resource's policy. No Allow outweighs it, nor the next three.
	ExplicitDeny
	// DeniedByIdentityPolicy is a Deny statement in an identity-based policy of the caller.
	DeniedByIdentityPolicy
	// DeniedByBoundary is a Deny statement in the caller's permissions boundary.
	DeniedByBoundary
	// DeniedBySessionPolicy is a Deny statement in a policy that the session was made with.
	DeniedBySessionPolicy
	// AllowedByResourcePolicy is an Allow statement in the resource's policy.
	AllowedByResourcePolicy
	// AllowedByIdentityPolicy is what the caller's own permissions allow, or a root user's right to all of its account, where no
	// policy of the resource has to agree.
	AllowedByIdentityPolicy
	// AllowedByGrant is a grant.
	AllowedByGrant

	undecided Reason = -1
)

var reasons = [...]string{
	NoResourcePolicyAllows:  "no resource-based policy allows it",
	NoIdentityPolicyAllows:  "no identity-based policy allows it",
	NoBoundaryAllows:        "no permissions boundary allows it",
	NoSessionPolicyAllows:   "no session policy allows it",
	OtherAccount:            "it is another account's",
	ExplicitDeny:            "explicit deny",
	DeniedByIdentityPolicy:  "explicit deny in an identity-based policy",
	DeniedByBoundary:        "explicit deny in a permissions boundary",
	DeniedBySessionPolicy:   "explicit deny in a session policy",
	AllowedByResourcePolicy: "a resource-based policy allows it",
	AllowedByIdentityPolicy: "the caller's own permissions allow it",
	AllowedByGrant:          "a grant allows it",
}

func (r Reason) String() string { return reasons[r] }

// Decision is the answer to a Request. The zero Decision denies.
type Decision struct {
	Allowed bool
	Reason  Reason

	principal, action, resource string
	kind                        kind   // of the resource's policy; that of a key for none
	source                      string // the ARN of the managed policy that denies
	unnamed                     bool
	hidden                      bool // the caller must not learn whether the resource exists
}

// Denial is AWS's text for a request that was not allowed. See the IAM user guide's "Troubleshoot access denied error messages". A
// caller from another account is told nothing that depends on whether a key or a role exists.
func (d Decision) Denial() string {
	if d.principal == "" { // a web identity, which no account knows
		return "Not authorized to perform " + d.action
	}
	var b strings.Builder
	b.WriteString("User: " + d.principal + " is not authorized to perform: " + d.action)
	hidden := d.hidden && d.kind == keyPolicy
	switch {
	case d.unnamed:
		b.WriteString(" on the resource associated with this ciphertext")
	case hidden:
		b.WriteString(" on this resource")
	default:
		b.WriteString(" on resource: " + d.resource)
	}
	switch {
	case hidden:
		b.WriteString(" because the resource does not exist in this Region, no resource-based policies allow access, " +
			"or a resource-based policy explicitly denies access")
	case d.hidden && d.kind == trustPolicy: // a role that does not exist has no text of its own
	default:
		b.WriteString(d.tail())
	}
	return b.String()
}

// tail says which kind of policy it was, and, of a managed policy that denies, which.
func (d Decision) tail() string {
	explicit := func(where string) string {
		if d.source != "" {
			where += ": " + d.source
		}
		return " with an explicit deny in " + where
	}
	implicit := func(what string) string { return " because no " + what + " allows the " + d.action + " action" }
	switch {
	case d.Reason == ExplicitDeny && d.kind == trustPolicy:
		return explicit("the role trust policy")
	case d.Reason == ExplicitDeny:
		return explicit("a resource-based policy")
	case d.Reason == DeniedByIdentityPolicy:
		return explicit("an identity-based policy")
	case d.Reason == DeniedByBoundary:
		return explicit("a permissions boundary")
	case d.Reason == DeniedBySessionPolicy:
		return explicit("a session policy")
	case d.Reason == NoIdentityPolicyAllows:
		return implicit("identity-based policy")
	case d.Reason == NoBoundaryAllows:
		return implicit("permissions boundary")
	case d.Reason == NoSessionPolicyAllows:
		return implicit("session policy")
	case d.kind == trustPolicy:
		return implicit("role trust policy")
	}
	return implicit("resource-based policy")
}
