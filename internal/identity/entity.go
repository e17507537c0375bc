package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/policy"
)

// kind is what a thing of IAM is, in the word that its ARN has.
type kind string

const (
	user     kind = "user"
	group    kind = "group"
	role     kind = "role"
	managed  kind = "policy"
	provider kind = "oidc-provider"
	alias    kind = "account-alias"
)

// title is the kind in messages.
func (k kind) title() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// prefixes are what unique ids begin with, by the IAM user guide's "IAM identifiers".
var prefixes = map[kind]string{user: "AIDA", group: "AGPA", role: "AROA", managed: "ANPA"}

// place is the name that a thing has among those of its kind in its account. Names differ by more than their case.
type place struct {
	account string
	kind    kind
	name    string // in lower case
}

func placeOf(account string, k kind, name string) place {
	return place{account, k, strings.ToLower(name)}
}

// thing is what IAM keeps: one row, which is written whole. A thing that the directory has does not change; the step that commits
// an effect puts another in its place.
type thing interface {
	at() place
	uniqueID() string
	arn() string
	// references are what it needs not to be deleted: ARNs of policies, unique ids of groups.
	references() []string
	// compile parses the policies that it holds. It follows reading or changing it.
	compile() error
}

// entity is a user, a group or a role: what has permissions.
type entity struct {
	Account string
	Kind    kind
	Name    string
	Path    string // begins and ends with a slash
	ID      string
	Created int64 // in milliseconds since 1970

	Inline   map[string]string `json:",omitempty"` // policies by name
	Attached []string          `json:",omitempty"` // ARNs of managed policies, in the order in which they were attached
	Boundary string            `json:",omitempty"` // ARN of a managed policy
	Tags     tags              `json:",omitempty"`

	Groups []string `json:",omitempty"` // of a user: unique ids

	Trust       string            `json:",omitempty"` // of a role: the text of its trust policy
	TrustIDs    map[string]string `json:",omitempty"` // unique ids of the principals that it names, by ARN
	Description string            `json:",omitempty"`
	MaxSession  int32             `json:",omitempty"` // in seconds

	inline map[string]*policy.Document
	trust  *policy.Document
}

func (e *entity) at() place        { return placeOf(e.Account, e.Kind, e.Name) }
func (e *entity) uniqueID() string { return e.ID }
func (e *entity) arn() string      { return arnOf(e.Account, e.Kind, e.Path, e.Name) }

func (e *entity) references() []string {
	refs := slices.Concat(e.Attached, e.Groups)
	if e.Boundary != "" && !slices.Contains(refs, e.Boundary) {
		refs = append(refs, e.Boundary)
	}
	return refs
}

func (e *entity) compile() (err error) {
	e.inline = make(map[string]*policy.Document, len(e.Inline))
	for name, text := range e.Inline {
		if e.inline[name], err = policy.ParseIdentityPolicy(text); err != nil {
			return err
		}
	}
	if e.Kind == role {
		if e.trust, err = policy.ParseTrustPolicy(e.Trust); err == nil {
			e.trust = e.trust.WithUniqueIDs(e.TrustIDs)
		}
	}
	return err
}

// policyNames are the names of the inline policies, in order.
func (e *entity) policyNames() []string {
	names := make([]string, 0, len(e.Inline))
	for name := range e.Inline {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (e *entity) boundary() *types.AttachedPermissionsBoundary {
	if e.Boundary == "" {
		return nil
	}
	return &types.AttachedPermissionsBoundary{
		PermissionsBoundaryArn: &e.Boundary, PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy,
	}
}

// arnOf is the ARN of something of IAM, which is in no region. path begins and ends with a slash.
func arnOf(account string, k kind, path, name string) string {
	return "arn:aws:iam::" + account + ":" + string(k) + path + name
}

func timeOf(ms int64) *time.Time { return new(time.UnixMilli(ms).UTC()) }

// managedPolicy is a managed policy with its versions.
type managedPolicy struct {
	Account     string // "aws" for those that every account has
	Name        string
	Path        string
	ID          string
	Description string `json:",omitempty"`
	Created     int64
	Updated     int64
	Default     string    // the id of the default version
	Last        int       // the number of the latest version ever
	Versions    []version // the oldest first
	Tags        tags      `json:",omitempty"`

	document *policy.Document // of the default version
}

// version is one of at most five texts of a managed policy.
type version struct {
	ID      string // v1
	Text    string
	Created int64
}

func (p *managedPolicy) at() place            { return placeOf(p.Account, managed, p.Name) }
func (p *managedPolicy) uniqueID() string     { return p.ID }
func (p *managedPolicy) arn() string          { return arnOf(p.Account, managed, p.Path, p.Name) }
func (p *managedPolicy) references() []string { return nil }

func (p *managedPolicy) compile() (err error) {
	p.document, err = policy.ParseIdentityPolicy(p.version(p.Default).Text)
	return err
}

// version is the one with this id, or nil.
func (p *managedPolicy) version(id string) *version {
	for i := range p.Versions {
		if p.Versions[i].ID == id {
			return &p.Versions[i]
		}
	}
	return nil
}

// oidcProvider is a provider of web identities.
type oidcProvider struct {
	Account     string
	URL         string // without https://, as GetOpenIDConnectProvider shows it
	Created     int64
	Clients     []string `json:",omitempty"`
	Thumbprints []string `json:",omitempty"`
	Tags        tags     `json:",omitempty"`
}

func (p *oidcProvider) at() place            { return placeOf(p.Account, provider, p.URL) }
func (p *oidcProvider) uniqueID() string     { return p.arn() }
func (p *oidcProvider) arn() string          { return "arn:aws:iam::" + p.Account + ":oidc-provider/" + p.URL }
func (p *oidcProvider) references() []string { return nil }
func (p *oidcProvider) compile() error       { return nil }

// accountAlias is another name of an account.
type accountAlias struct {
	Account string
	Name    string
}

func (a *accountAlias) at() place            { return placeOf(a.Account, alias, a.Name) }
func (a *accountAlias) uniqueID() string     { return "account-alias/" + a.Name }
func (a *accountAlias) arn() string          { return "*" }
func (a *accountAlias) references() []string { return nil }
func (a *accountAlias) compile() error       { return nil }
