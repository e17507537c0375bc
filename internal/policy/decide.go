package policy

import "strings"

// Reason says what a decision rests on.
type Reason int

// Reasons. The zero value denies.
const (
	// NoResourcePolicyAllows is an implicit deny: the resource's policy has no statement that allows it.
	NoResourcePolicyAllows Reason = iota
	// NoIdentityPolicyAllows is an implicit deny: the caller's own permissions do not include it.
	NoIdentityPolicyAllows
	// OtherAccount is an implicit deny: the resource is another account's, and cannot be used from outside in this way.
	OtherAccount
	// ExplicitDeny is a Deny statement in the resource's policy. No Allow outweighs it.
	ExplicitDeny
	// AllowedByResourcePolicy is an Allow statement in the resource's policy.
	AllowedByResourcePolicy
	// AllowedAsRoot is the root user's right to all of its account that has no policy of its own.
	AllowedAsRoot
)

var reasons = [...]string{
	NoResourcePolicyAllows:  "no resource-based policy allows it",
	NoIdentityPolicyAllows:  "no identity-based policy allows it",
	OtherAccount:            "it is another account's",
	ExplicitDeny:            "explicit deny",
	AllowedByResourcePolicy: "a resource-based policy allows it",
	AllowedAsRoot:           "root of the account",
}

func (r Reason) String() string { return reasons[r] }

// Decision is the answer to a Request. The zero Decision denies.
type Decision struct {
	Allowed bool
	Reason  Reason

	principal, action, resource string
	unnamed                     bool
	hidden                      bool // the caller must not learn whether the resource exists
}

// Decide answers q: an explicit deny comes first, then the resource's policy has to let the caller in, and then the caller's
// own side has to allow it, which for a root user it always does.
func Decide(q Request) Decision {
	d := Decision{
		principal: q.Principal.ARN,
		action:    q.Action,
		resource:  q.Resource.ARN,
		unnamed:   q.Resource.Unnamed,
		hidden:    !ownResource(&q),
	}
	d.Reason = decide(&q)
	d.Allowed = d.Reason == AllowedByResourcePolicy || d.Reason == AllowedAsRoot
	return d
}

func decide(q *Request) Reason {
	if q.Resource.Policy == nil {
		return decideWithoutPolicy(q)
	}
	switch q.Resource.Policy.evaluate(q) {
	case denies:
		return ExplicitDeny
	case silent:
		return NoResourcePolicyAllows
	}
	own := ownResource(q)
	switch {
	case !own && !q.Resource.CrossAccount:
		return OtherAccount
	case q.Principal.Type == typeRoot:
		return AllowedByResourcePolicy
	case q.Principal.Type == "IAMUser" && own:
		// In its own account, a user that the resource's policy names needs no identity-based policy.
		return AllowedByResourcePolicy
	}
	return NoIdentityPolicyAllows
}

// decideWithoutPolicy is for operations that name no resource, and for resources that have no policy, such as an alias:
// only the caller's own side counts, and nothing of another account can be reached.
func decideWithoutPolicy(q *Request) Reason {
	switch {
	case !ownResource(q):
		return OtherAccount
	case q.Principal.Type == typeRoot:
		return AllowedAsRoot
	}
	return NoIdentityPolicyAllows
}

func ownResource(q *Request) bool {
	return q.Resource.Account == q.Principal.Account && q.Principal.Account != ""
}

// Denial is AWS's text for a request that was not allowed. A caller from another account is told nothing that depends on
// whether the resource exists.
func (d Decision) Denial() string {
	var b strings.Builder
	b.WriteString("User: " + d.principal + " is not authorized to perform: " + d.action)
	switch {
	case d.unnamed:
		b.WriteString(" on the resource associated with this ciphertext")
	case d.hidden:
		b.WriteString(" on this resource")
	default:
		b.WriteString(" on resource: " + d.resource)
	}
	switch {
	case d.hidden:
		b.WriteString(" because the resource does not exist in this Region, no resource-based policies allow access, " +
			"or a resource-based policy explicitly denies access")
	case d.Reason == ExplicitDeny:
		b.WriteString(" with an explicit deny in a resource-based policy")
	case d.Reason == NoIdentityPolicyAllows:
		b.WriteString(" because no identity-based policy allows the " + d.action + " action")
	default:
		b.WriteString(" because no resource-based policy allows the " + d.action + " action")
	}
	return b.String()
}
