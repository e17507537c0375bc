package policy

import "strings"

// Decide answers q. A Deny that applies in any policy ends the matter. Then somebody has to allow:
//
//   - What a key may be used for, and who may assume a role, is for its own policy to say. It may let a caller in directly, or by
//     its account, and then the caller's own permissions have to allow too. A grant lets in as a key policy does.
//   - On a resource of another kind, within its account, it is enough that its policy or the caller's own permissions allow.
//   - On what has no policy, and on "*", only the caller's own permissions count, and they end at the border of its account.
//
// Another account's resource needs both: its policy, and the caller's own permissions. A root user's own permissions are all.
// The caller's own permissions are identity-based policies, within the boundary, within the session's policies.
func Decide(q Request) Decision {
	d := Decision{
		principal: q.Principal.ARN,
		action:    q.Action,
		resource:  q.Resource.ARN,
		unnamed:   q.Resource.Unnamed,
		hidden:    !ownResource(&q),
	}
	if q.Principal.Type == typeService {
		d.principal = q.Principal.Service
	}
	if q.Resource.Policy != nil {
		d.kind = q.Resource.Policy.kind
	}
	d.Reason, d.source = decide(&q)
	d.Allowed = d.Reason >= AllowedByResourcePolicy
	return d
}

// decide returns why, and the ARN of the managed policy that a denial comes from.
func decide(q *Request) (why Reason, source string) {
	policy := q.Resource.Policy
	if policy != nil && policy.denied(q) {
		return ExplicitDeny, ""
	}
	if why, source = q.Permissions.denied(q); why != undecided {
		return why, source
	}
	within := ownResource(q) || standsAlone(&q.Principal)
	switch {
	case q.Resource.Granted && (within || q.Resource.CrossAccount):
		return AllowedByGrant, ""
	case policy == nil && !ownResource(q):
		return OtherAccount, ""
	case policy == nil:
		return allowedBy(AllowedByIdentityPolicy, lacks(q, delegated)), ""
	}
	in := policy.reach(q)
	switch {
	case policy.kind == resourcePolicy && ownResource(q):
		if in <= delegated {
			return allowedBy(AllowedByIdentityPolicy, lacks(q, delegated)), ""
		}
	case in == nobody:
		return NoResourcePolicyAllows, ""
	case !within && !q.Resource.CrossAccount && policy.kind == keyPolicy:
		return OtherAccount, ""
	case !within:
		in = delegated // of another account's policy, whoever it names, the caller's own account has its say
	}
	return allowedBy(AllowedByResourcePolicy, lacks(q, in)), ""
}

func allowedBy(why, lack Reason) Reason {
	if lack != undecided {
		return lack
	}
	return why
}

// lacks is which of the caller's own policies does not allow, of those that count when the resource lets it in so directly. See the IAM
// user guide's "Policy evaluation logic", on implicit denies under a resource-based policy that allows.
func lacks(q *Request, in reach) Reason {
	own := q.Permissions
	switch {
	case q.Principal.Type == typeRoot || standsAlone(&q.Principal) || in == direct:
		return undecided
	case in < byRole && !own.identityAllows(q):
		return NoIdentityPolicyAllows
	case own == nil:
		return undecided
	case own.Boundary != nil && own.Boundary.Document.reach(q) == nobody:
		return NoBoundaryAllows
	case own.HasSession && !anyAllows(own.Session, q):
		return NoSessionPolicyAllows
	}
	return undecided
}

// denied is whether one of the caller's own policies denies, and which.
func (p *Permissions) denied(q *Request) (Reason, string) {
	if p == nil {
		return undecided, ""
	}
	if s := anyDenies(p.Identity, q); s != nil {
		return DeniedByIdentityPolicy, s.ARN
	}
	if s := p.Boundary; s != nil && s.Document.denied(q) {
		return DeniedByBoundary, s.ARN
	}
	if s := anyDenies(p.Session, q); s != nil {
		return DeniedBySessionPolicy, s.ARN
	}
	return undecided, ""
}

// identityAllows is the identity-based policies' answer. A federated user of a root user has that user's, which allows all.
func (p *Permissions) identityAllows(q *Request) bool {
	who := &q.Principal
	if who.Type == typeFederated && strings.HasSuffix(who.Issuer, rootSuffix) {
		return true
	}
	return p != nil && anyAllows(p.Identity, q)
}

func anyAllows(sources []Source, q *Request) bool {
	for i := range sources {
		if sources[i].Document.reach(q) != nobody {
			return true
		}
	}
	return false
}

func anyDenies(sources []Source, q *Request) *Source {
	for i := range sources {
		if sources[i].Document.denied(q) {
			return &sources[i]
		}
	}
	return nil
}

func ownResource(q *Request) bool {
	return q.Resource.Account == q.Principal.Account && q.Principal.Account != ""
}

// standsAlone reports whether p is of no account, so that only the resource's policy speaks of it: a service, or who has but a web
// identity.
func standsAlone(p *Principal) bool { return p.Account == "" }
