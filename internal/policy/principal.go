package policy

import (
	"regexp"
	"slices"
	"strings"

	"vigil/internal/arn"
)

// principalSet is Principal or NotPrincipal. An identity-based policy has none; who holds it is meant by everyone.
type principalSet struct {
	not      bool
	everyone bool     // "*" or {"AWS": "*"}
	accounts []string // ids of accounts that are named by id or by the ARN of their root
	named    []named  // all others
}

// named is a principal that is not an account.
type named struct {
	kind string // AWS, Service, Federated or CanonicalUser
	id   string // an ARN, a unique id, or a service's or provider's name
	// unique is the unique id that whoever has the ARN must have, or empty when any does.
	unique string
}

// reach is how directly a statement speaks of a caller. The less it does, the more of the caller's own policies must allow too:
// see the IAM user guide's "How AWS enforcement code logic evaluates requests", under "resource-based policies".
type reach uint8

const (
	nobody    reach = iota // not at all
	delegated              // by its account, or as a federated user by its user: all of its own policies must allow
	byRole                 // a session by its role: what bounds the session must allow
	direct                 // by its own name, or as anybody
)

// reach is for an Allow statement. An account stands for its root user; to others of the account it passes the question on to
// their own policies.
func (s *principalSet) reach(p *Principal) reach {
	if s.not {
		if s.everyone || s.hasAccount(p) || s.names(p) != nobody {
			return nobody
		}
		return direct
	}
	if s.everyone {
		return direct
	}
	if s.hasAccount(p) {
		if p.Type == typeRoot {
			return direct
		}
		return max(delegated, s.names(p))
	}
	return s.names(p)
}

// denies reports whether a Deny statement with these principals applies to p. An account there stands for all who are in it.
// NotPrincipal spares a caller only when all that it is, is listed: its account and itself, and the role or user of a session.
func (s *principalSet) denies(p *Principal) bool {
	switch {
	case !s.not:
		return s.everyone || s.hasAccount(p) || s.names(p) != nobody
	case s.everyone:
		return false
	case p.Account == "" || p.Type == typeRoot:
		return !s.hasAccount(p) && s.names(p) == nobody
	}
	return !s.hasAccount(p) || !s.hasSelf(p) || p.Issuer != "" && !s.hasIssuer(p)
}

// names is how directly the principals that are not accounts name p.
func (s *principalSet) names(p *Principal) reach {
	most := nobody
	for i := range s.named {
		most = max(most, s.named[i].reach(p))
	}
	return most
}

func (n *named) reach(p *Principal) reach {
	switch {
	case n.kind == "Service" && p.Type == typeService && n.id == p.Service,
		n.kind == "Federated" && p.Provider != "" && n.id == p.Provider,
		n.isSelf(p):
		return direct
	case !n.isIssuer(p):
		return nobody
	case p.Type == typeFederated:
		return delegated
	}
	return byRole
}

// isSelf reports whether p itself is named: a user, or a session by its own ARN.
func (n *named) isSelf(p *Principal) bool {
	if p.Issuer == "" && n.hasUniqueID(p) {
		return true
	}
	return n.kind == "AWS" && n.unique == "" && p.ARN != "" && n.id == p.ARN
}

// isIssuer reports whether the role or user that p is a session of is named.
func (n *named) isIssuer(p *Principal) bool {
	if p.Issuer == "" {
		return false
	}
	return n.hasUniqueID(p) || n.kind == "AWS" && n.unique == "" && n.id == p.Issuer
}

func (n *named) hasUniqueID(p *Principal) bool {
	return n.kind == "AWS" && p.UniqueID != "" && (n.unique == p.UniqueID || n.id == p.UniqueID)
}

func (s *principalSet) hasAccount(p *Principal) bool {
	for _, account := range s.accounts {
		if account == p.Account {
			return true
		}
	}
	return false
}

func (s *principalSet) hasSelf(p *Principal) bool {
	return slices.ContainsFunc(s.named, func(n named) bool { return n.isSelf(p) })
}

func (s *principalSet) hasIssuer(p *Principal) bool {
	if strings.HasSuffix(p.Issuer, rootSuffix) {
		return s.hasAccount(p)
	}
	return slices.ContainsFunc(s.named, func(n named) bool { return n.isIssuer(p) })
}

// rootSuffix ends the ARN of an account's root user.
const rootSuffix = ":root"

// Principals are the users, roles and sessions that the document names, by ARN or unique id, each once and in the order of the
// text. A service checks with them that they exist. Accounts, services and providers are not among them.
func (d *Document) Principals() []string {
	var all []string
	for _, s := range d.principals {
		for i := range s.named {
			if n := &s.named[i]; n.kind == "AWS" && !slices.Contains(all, n.id) {
				all = append(all, n.id)
			}
		}
	}
	return all
}

// WithUniqueIDs is the document with the users and roles that it names by ARN tied to unique ids, given by ARN: who later gets
// the name of one that was deleted is not meant. Names without an id stay as they are.
func (d *Document) WithUniqueIDs(ids map[string]string) *Document {
	tie := func(statements []statement) []statement {
		tied := slices.Clone(statements)
		for i := range tied {
			s := &tied[i].principals
			s.named = slices.Clone(s.named)
			for j := range s.named {
				s.named[j].unique = ids[s.named[j].id]
			}
		}
		return tied
	}
	tied := *d
	tied.denies, tied.allows = tie(d.denies), tie(d.allows)
	return &tied
}

// add adds a principal as the policy names it, and reports whether it is of a form that exists. Whether someone of that
// name exists is not asked. Wildcards have no place in a principal's name.
func (s *principalSet) add(kind, id string) bool {
	if kind != "AWS" {
		s.named = append(s.named, named{kind: kind, id: id})
		return principalForms[kind].MatchString(id)
	}
	switch {
	case id == "*":
		s.everyone = true
	case accountForm.MatchString(id):
		s.addAccount(id)
	case uniqueIDForm.MatchString(id):
		s.named = append(s.named, named{kind: kind, id: id})
	default:
		return s.addARN(id)
	}
	return true
}

func (s *principalSet) addARN(id string) bool {
	a, err := arn.Parse(id)
	if err != nil || !partitionForm.MatchString(a.Partition) || a.Region != "" || !accountForm.MatchString(a.Account) {
		return false
	}
	switch {
	case a.Service == "iam" && a.Resource == "root":
		s.addAccount(a.Account)
		return true
	case a.Service == "iam" && identityForm.MatchString(a.Resource), a.Service == "sts" && sessionForm.MatchString(a.Resource):
		s.named = append(s.named, named{kind: "AWS", id: id})
		return true
	}
	return false
}

func (s *principalSet) addAccount(id string) {
	if !slices.Contains(s.accounts, id) {
		s.accounts = append(s.accounts, id)
	}
}

// Forms of names, after the IAM user guide's "AWS JSON policy elements: Principal" and "IAM identifiers".
var (
	accountForm   = regexp.MustCompile(`^\d{12}$`)
	partitionForm = regexp.MustCompile(`^aws(-[a-z]+)*$`)
	uniqueIDForm  = regexp.MustCompile(`^A(ID|RO)A[A-Z0-9]{12,124}$`)
	identityForm  = regexp.MustCompile(`^(user|role)/([!-)+->@-~]+/)*[\w+=,.@-]+$`) // a path has no * and no ?
	sessionForm   = regexp.MustCompile(`^(assumed-role/[\w+=,.@-]+|federated-user)/[\w+=,.@-]+$`)

	principalForms = map[string]*regexp.Regexp{
		"Service":       regexp.MustCompile(`^([a-z0-9-]+\.)+amazonaws\.com(\.cn)?$`),
		"Federated":     regexp.MustCompile(`^(arn:aws(-[a-z]+)*:iam::\d{12}:(saml|oidc)-provider/[!-)+->@-~]+|([a-z0-9-]+\.)+[a-z]+)$`),
		"CanonicalUser": regexp.MustCompile(`^[0-9a-f]{64}$`),
	}
)

// principalKinds are the members that a Principal may have, for messages.
const principalKinds = "AWS, Service, Federated, CanonicalUser"
