package identity

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
)

// Types of principals, as records name them.
const (
	typeRoot        = "Root"
	typeUser        = "IAMUser"
	typeAssumedRole = "AssumedRole"
	typeFederated   = "FederatedUser"
	typeWebIdentity = "WebIdentityUser"
)

// statusActive is the status of an access key that may sign, as in the IAM API.
const statusActive = "Active"

// errUnknown says that nobody has such credentials, or nobody any more.
var errUnknown = errors.New("identity: the credentials are not known")

// credential is what is known of credentials that are in use.
type credential struct {
	generation uint64 // of the directory that it was made from
	token      string // "" for a long-term key
	expires    time.Time
	secret     *string
	principal  call.Principal
}

// credentialCache keeps credentials that have been looked up. Only those that exist get into it, so that nobody else can fill it.
type credentialCache struct {
	byKey sync.Map // of access key ids, *credential
	size  atomic.Int64
}

const maxCredentials = 1 << 16

func (c *credentialCache) put(key string, found *credential) {
	if _, had := c.byKey.Swap(key, found); !had && c.size.Add(1) > maxCredentials {
		c.byKey.Clear()
		c.size.Store(0)
	}
}

// Lookup returns the secret and the owner of an access key that may sign: a long-term one without a session token, a temporary one
// with its own. Its error is call.ErrExpiredToken when the session is over. It waits for nothing.
func (id *Identity) Lookup(accessKeyID, sessionToken string) (secret string, p call.Principal, err error) {
	found, err := id.lookup(accessKeyID, sessionToken)
	if err != nil {
		return "", call.Principal{}, err
	}
	return *found.secret, found.principal, nil
}

func (id *Identity) lookup(accessKeyID, sessionToken string) (*credential, error) {
	generation := id.known.generation.Load()
	var found *credential
	if cached, ok := id.credentials.byKey.Load(accessKeyID); ok {
		found = cached.(*credential)
	}
	if found == nil || found.generation != generation || found.token != sessionToken {
		var err error
		if found, err = id.resolve(accessKeyID, sessionToken); err != nil {
			return nil, err
		}
		found.generation, found.token = generation, sessionToken
		id.credentials.put(accessKeyID, found)
	}
	if !found.expires.IsZero() && !id.config.Clock.Now().Before(found.expires) {
		return nil, call.ErrExpiredToken
	}
	return found, nil
}

// resolve makes a credential of what the directory and the token say.
func (id *Identity) resolve(accessKeyID, sessionToken string) (*credential, error) {
	if sessionToken != "" {
		s, err := id.openToken(sessionToken)
		if err != nil || s.Key != accessKeyID {
			return nil, errUnknown
		}
		return id.known.session(s)
	}
	return id.known.longTerm(accessKeyID)
}

// longTerm is the credential of an access key of a user or of a root user.
func (d *directory) longTerm(accessKeyID string) (*credential, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	k := d.keys[accessKeyID]
	if k == nil || k.status != statusActive {
		return nil, errUnknown
	}
	if k.owner == "" {
		return &credential{secret: k.secret, principal: rootUser(k.account, k.id)}, nil
	}
	u, ok := d.byID[k.owner].(*entity)
	if !ok {
		return nil, errUnknown
	}
	return &credential{secret: k.secret, principal: d.user(u, k.id)}, nil
}

// rootUser is the root user of an account as a principal. The ARN is of the partition aws: an account is not of a region.
func rootUser(account, accessKeyID string) call.Principal {
	return call.Principal{
		Type:        typeRoot,
		ARN:         arn.Root("", account),
		Account:     account,
		PrincipalID: account,
		AccessKeyID: accessKeyID,
	}
}

func (d *directory) user(u *entity, accessKeyID string) call.Principal {
	return call.Principal{
		Type:        typeUser,
		ARN:         u.arn(),
		Account:     u.Account,
		PrincipalID: u.ID,
		AccessKeyID: accessKeyID,
		UserName:    u.Name,
		UniqueID:    u.ID,
		Permissions: d.permissions(u),
		Tags:        u.Tags.byKey(),
	}
}

// permissions are what IAM says that a user or role may do.
func (d *directory) permissions(e *entity) *policy.Permissions {
	p := &policy.Permissions{Identity: d.sources(nil, e)}
	for _, g := range e.Groups {
		if in, ok := d.byID[g].(*entity); ok {
			p.Identity = d.sources(p.Identity, in)
		}
	}
	if e.Boundary != "" {
		p.Boundary = &policy.Source{ARN: e.Boundary, Document: nothing}
		if bound := d.policy(e.Account, e.Boundary); bound != nil {
			p.Boundary.Document = bound.document
		}
	}
	return p
}

// nothing is a policy that allows nothing.
var nothing = new(policy.Document)

// sources adds the policies of a user, group or role.
func (d *directory) sources(list []policy.Source, e *entity) []policy.Source {
	for _, name := range e.Attached {
		if p := d.policy(e.Account, name); p != nil {
			list = append(list, policy.Source{ARN: name, Document: p.document})
		}
	}
	for _, name := range e.policyNames() {
		list = append(list, policy.Source{Document: e.inline[name]})
	}
	return list
}

// byKey are the tags as a map.
func (t tags) byKey() map[string]string {
	if len(t) == 0 {
		return nil
	}
	m := make(map[string]string, len(t))
	for _, one := range t {
		m[one.Key] = one.Value
	}
	return m
}

// session is the credential of a session, whose role or user must be there still.
func (d *directory) session(s *session) (*credential, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.accounts[s.Account] {
		return nil, errUnknown
	}
	var holder *entity // nil is the root user
	if s.Holder != "" {
		var ok bool
		if holder, ok = d.byID[s.Holder].(*entity); !ok {
			return nil, errUnknown
		}
	}
	about := &call.Session{Issuer: issuer(holder, s.Account), Created: time.UnixMilli(s.Created).UTC(), SourceIdentity: s.SourceIdentity,
		FederatedProvider: s.Provider, Transitive: s.Transitive}
	c := &credential{secret: &s.Secret, expires: time.UnixMilli(s.Expires)}
	switch s.Type {
	case typeAssumedRole:
		c.principal = call.Principal{
			Type: typeAssumedRole, Account: s.Account, ARN: assumedRoleARN(holder, s.Name), PrincipalID: holder.ID + ":" + s.Name,
			UniqueID: holder.ID, Permissions: d.permissions(holder), Tags: holder.Tags.with(s.Tags).byKey(), Provider: s.Provider,
		}
	case typeFederated:
		c.principal = call.Principal{
			Type: typeFederated, Account: s.Account, ARN: federatedARN(s.Account, s.Name), PrincipalID: s.Account + ":" + s.Name,
			Permissions: &policy.Permissions{Identity: everything}, Tags: s.Tags.byKey(),
		}
		if holder != nil {
			c.principal.Permissions, c.principal.Tags = d.permissions(holder), holder.Tags.with(s.Tags).byKey()
		}
	case typeUser:
		about.Issuer = nil
		if c.principal = rootUser(s.Account, ""); holder != nil {
			c.principal = d.user(holder, "")
		}
	default:
		return nil, errUnknown
	}
	c.principal.AccessKeyID, c.principal.Session = s.Key, about
	if s.Limited {
		p := *c.principal.Permissions
		p.HasSession = true
		var err error
		if p.Session, err = d.sessionPolicies(s); err != nil {
			return nil, err
		}
		c.principal.Permissions = &p
	}
	return c, nil
}

// everything is what the root user of an account hands on to a federated user.
var everything = []policy.Source{{Document: awsManaged["administratoraccess"].document}}

func issuer(holder *entity, account string) *call.Issuer {
	if holder == nil {
		return &call.Issuer{Type: typeRoot, PrincipalID: account, ARN: arn.Root("", account), Account: account}
	}
	i := &call.Issuer{Type: typeUser, PrincipalID: holder.ID, ARN: holder.arn(), Account: account, UserName: holder.Name}
	if holder.Kind == role {
		i.Type = "Role"
	}
	return i
}

// sessionPolicies are the policies that a session was made with. A managed one counts as it is now.
func (d *directory) sessionPolicies(s *session) (list []policy.Source, err error) {
	for _, name := range s.PolicyARNs {
		if p := d.policy(s.Account, name); p != nil {
			list = append(list, policy.Source{ARN: name, Document: p.document})
		}
	}
	if s.Policy != "" {
		document, err := policy.ParseSessionPolicy(s.Policy)
		if err != nil {
			return nil, err
		}
		list = append(list, policy.Source{Document: document})
	}
	return slices.Clip(list), nil
}

// assumedRoleARN has the role's name without its path.
func assumedRoleARN(r *entity, session string) string {
	return "arn:aws:sts::" + r.Account + ":assumed-role/" + r.Name + "/" + session
}

func federatedARN(account, name string) string {
	return "arn:aws:sts::" + account + ":federated-user/" + name
}
