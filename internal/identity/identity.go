// Package identity is who there is: accounts with their root users, users, groups, roles, policies, access keys and sessions. It
// answers the IAM and STS APIs, and Vigil's own operation by which an account is made.
//
//   - entity.go     what there is; rows.go is its form in the database, directory.go the same in memory
//   - target.go     from what a call names to the thing, and may they? A handler then says what it changes
//   - user.go, group.go, role.go, accesskey.go, inline.go, managed.go, attach.go, boundary.go, tags.go, oidc.go, account.go   IAM
//   - principal.go  from credentials to who has them and what they may
//   - token.go, assume.go, federation.go, webidentity.go   STS: sessions, how they are made
//
// Everything is in memory, behind the database by nothing: a key that an effect has committed works before its call is
// answered, and what a policy that was taken away allowed is denied. Sessions are not stored: a session token holds, sealed, all that
// there is to know of its session but the permissions, which are those of its role or user at the moment of each call.
package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"regexp"
	"strings"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

// Wrapper keeps secrets: what it wraps with a context can be unwrapped only with the same context.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(blob, context []byte) ([]byte, error)
}

// Config is what Identity needs.
type Config struct {
	DB      store.DB
	Clock   clock.Clock
	Secrets Wrapper // for the secrets of access keys, and for session tokens
	// LastUses finds the last recorded uses of access keys and of roles, by their ids (AKIA…, AROA…). What was never used is not among the
	// answers. Without it, GetAccessKeyLastUsed is not there, and a role's RoleLastUsed is empty.
	LastUses func(ctx context.Context, ids ...string) (map[string]Use, error)
	// Dial connects to providers of web identities; nil is a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the certificate authorities that vouch for those providers; nil are the system's.
	Roots *x509.CertPool
}

// Identity knows who there is. It may be used by many goroutines.
type Identity struct {
	config      Config
	known       *directory
	credentials credentialCache
	issuers     keySets
}

// New migrates the tables and loads what they hold.
func New(ctx context.Context, config Config) (*Identity, error) {
	if err := config.DB.Migrate(ctx, "identity", schema...); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	id := &Identity{config: config}
	id.issuers.init(config)
	err := config.DB.View(ctx, func(tx store.Tx) (err error) {
		id.known, err = id.load(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return id, nil
}

// Operator is the account that was made first, whose root user may make others; it is empty when there is none yet.
func (id *Identity) Operator() string {
	id.known.mu.RLock()
	defer id.known.mu.RUnlock()
	return id.known.operator
}

// UniqueID is the unique id of the user or role that has an ARN now.
func (id *Identity) UniqueID(name string) (unique string, ok bool) {
	account, resource, ok := iamResource(name)
	k, rest, _ := strings.Cut(resource, "/")
	if !ok || k != string(user) && k != string(role) {
		return "", false
	}
	found := id.known.entity(account, kind(k), rest[strings.LastIndexByte(rest, '/')+1:])
	if found == nil || found.arn() != name {
		return "", false
	}
	return found.ID, true
}

// iamResource splits the ARN of something of IAM.
func iamResource(name string) (account, resource string, ok bool) {
	rest, ok := strings.CutPrefix(name, "arn:aws:iam::")
	account, resource, _ = strings.Cut(rest, ":")
	return account, resource, ok
}

// ARN is the ARN that the user or role with a unique id has now.
func (id *Identity) ARN(unique string) (name string, ok bool) {
	found := withID[*entity](id.known, unique)
	if found == nil || found.Kind == group {
		return "", false
	}
	return found.arn(), true
}

// accountForm is the form of an account's id: twelve digits.
var accountForm = regexp.MustCompile(`^\d{12}$`)

// NewAccount prepares an account with an access key of its root user. Neither exists before effect is committed; effect fails with
// AlreadyExistsException when there is such an account. It may run only once.
func (id *Identity) NewAccount(account string) (credentials Credentials, effect func(store.Tx) error, err error) {
	if !accountForm.MatchString(account) {
		return Credentials{}, nil, call.Errorf("ValidationException", "The account ID %q is not 12 digits.", account)
	}
	credentials = newCredentials(account)
	created := id.config.Clock.Now()
	k := &accessKey{id: credentials.AccessKeyID, account: account, secret: credentials.secret, status: statusActive, created: created.UnixMilli()}
	wrapped, err := id.wrapKey(k)
	if err != nil {
		return Credentials{}, nil, fmt.Errorf("identity: %w", err)
	}
	effect = func(tx store.Tx) error {
		if err := insertAccount(tx, account, created); err != nil {
			return err
		}
		tx.OnCommit(func() { id.known.addAccount(account) })
		return id.insertKey(tx, k, wrapped)
	}
	return credentials, effect, nil
}

func (d *directory) addAccount(account string) {
	d.change(func() {
		if d.operator == "" {
			d.operator = account
		}
		d.accounts[account] = true
	})
}
