package policy

// Document is a policy of a resource, compiled: what it says is decided without parsing or allocating.
// It does not change, and may be used by many goroutines.
type Document struct {
	kind       kind
	principals []principalSet // of all statements
	// The statements that can have an effect, in the order of the text.
	denies, allows []statement
}

// statement is one Statement that has all of its elements. In each pair of an element and its Not-, one is given.
type statement struct {
	sid        string
	principals principalSet
	actions    actionSet
	resources  resourceSet
	conditions []condition
	// unevaluated says that whether the statement applies depends on what is not evaluated yet: a condition or a variable.
	unevaluated bool
}

// verdict is what one policy says of a request.
type verdict int

const (
	silent verdict = iota
	allows
	denies
)

// evaluate asks the Deny statements first: one that applies ends the matter.
func (d *Document) evaluate(q *Request) verdict {
	for i := range d.denies {
		s := &d.denies[i]
		if s.actions.match(q.Action) && s.principals.mayDeny(&q.Principal) && s.resources.mayMatch(q.Resource.ARN) {
			return denies
		}
	}
	for i := range d.allows {
		s := &d.allows[i]
		if !s.unevaluated && s.actions.match(q.Action) && s.principals.allows(&q.Principal) && s.resources.match(q.Resource.ARN) {
			return allows
		}
	}
	return silent
}

// actionSet is Action or NotAction.
type actionSet struct {
	patterns []pattern
	not      bool
}

func (a *actionSet) match(action string) bool {
	for i := range a.patterns {
		if a.patterns[i].match(action) {
			return !a.not
		}
	}
	return a.not
}

// resourceSet is Resource or NotResource. A key policy's Resource is "*", which means the key that has the policy.
type resourceSet struct {
	patterns []arnPattern
	not      bool
	variable bool // a pattern has a policy variable, whose value is not known
}

func (r *resourceSet) match(resource string) bool {
	for i := range r.patterns {
		if r.patterns[i].match(resource) {
			return !r.not
		}
	}
	return r.not
}

// mayMatch is match, but for a pattern with a variable it says that it could.
func (r *resourceSet) mayMatch(resource string) bool { return r.variable || r.match(resource) }

// DefaultKeyPolicy is the text of the policy that a key has when its maker gives none, as GetKeyPolicy returns it. It lets the
// account in, so that the account's own IAM policies decide. The KMS developer guide describes it under "default key policy".
func DefaultKeyPolicy(partition, account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:` + partition + `:iam::` + account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}
