package policy

import (
	"regexp"
	"slices"

	"vigil/internal/arn"
)

// principalSet is Principal or NotPrincipal.
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

// allows reports whether an Allow statement with these principals speaks of p itself. An account stands for its root user; to
// others of the account it only passes the question on to their identity-based policies.
func (s *principalSet) allows(p *Principal) bool {
	if s.not {
		return !s.everyone && !s.hasAccount(p) && !s.hasARN(p)
	}
	if p.Type == typeRoot {
		return s.everyone || s.hasAccount(p)
	}
	return s.everyone || s.hasARN(p)
}

// mayDeny reports whether a Deny statement with these principals applies to p. An account there stands for all who are in
// it. NotPrincipal spares a user only when both the user and its account are listed.
func (s *principalSet) mayDeny(p *Principal) bool {
	if s.not {
		return !s.everyone && (!s.hasAccount(p) || p.Type != typeRoot && !s.hasARN(p))
	}
	return s.everyone || s.hasAccount(p) || s.hasARN(p)
}

func (s *principalSet) hasAccount(p *Principal) bool {
	for _, account := range s.accounts {
		if account == p.Account {
			return true
		}
	}
	return false
}

func (s *principalSet) hasARN(p *Principal) bool {
	for i := range s.named {
		if n := &s.named[i]; n.kind == "AWS" && n.id == p.ARN {
			return true
		}
	}
	return false
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

// Principals are the users, roles and sessions that the document names, by ARN or unique id, each once and in the order of the text. A service
// checks with them that they exist. Accounts, services and providers are not among them.
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

// WithUniqueIDs is the document with the users and roles that it names by ARN tied to unique ids, given by ARN: who later gets the name of
// one that was deleted is not meant. Names without an id stay as they are.
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
