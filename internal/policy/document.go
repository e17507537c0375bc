package policy

import "slices"

// Document is a policy, compiled: what it says is decided without parsing.
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
}

// denied reports whether a Deny statement applies.
func (d *Document) denied(q *Request) bool {
	for i := range d.denies {
		s := &d.denies[i]
		if s.actions.match(q.Action) && s.principals.denies(&q.Principal) && s.resources.match(q) && s.holds(q) {
			return true
		}
	}
	return false
}

// reach is how directly the Allow statements that apply let the caller in: the most direct of them counts.
func (d *Document) reach(q *Request) reach {
	most := nobody
	for i := range d.allows {
		s := &d.allows[i]
		if !s.actions.match(q.Action) {
			continue
		}
		if r := s.principals.reach(&q.Principal); r > most && s.resources.match(q) && s.holds(q) {
			if most = r; most == direct {
				break
			}
		}
	}
	return most
}

func (s *statement) holds(q *Request) bool {
	for i := range s.conditions {
		if !s.conditions[i].holds(q) {
			return false
		}
	}
	return true
}

// actionSet is Action or NotAction.
type actionSet struct {
	patterns []pattern
	not      bool
}

func (a *actionSet) match(action string) bool {
	for i := range a.patterns {
		if a.patterns[i].match(action, nil) {
			return !a.not
		}
	}
	return a.not
}

// ActionsWithin says whether the document is about some actions only: each action that it names is one of them, or means one by its wildcards,
// and it has no NotAction. It is for services whose resources' policies can be about few.
func (d *Document) ActionsWithin(actions []string) bool {
	for _, s := range slices.Concat(d.denies, d.allows) {
		if s.actions.not {
			return false
		}
		for i := range s.actions.patterns {
			if !slices.ContainsFunc(actions, func(action string) bool { return s.actions.patterns[i].match(action, nil) }) {
				return false
			}
		}
	}
	return true
}

// resourceSet is Resource or NotResource. A key policy's Resource is "*", which means the key that has the policy.
type resourceSet struct {
	patterns []arnPattern
	not      bool
}

func (r *resourceSet) match(q *Request) bool {
	for i := range r.patterns {
		if r.patterns[i].match(q.Resource.ARN, q) {
			return !r.not
		}
	}
	return r.not
}
