// Package identity is who there is: accounts, their root users and access keys. It answers the STS API's GetCallerIdentity,
// and Vigil's own operation by which an account is made.
//
// Everything is in memory, behind the database by nothing: a key that an effect has committed works before its call is
// answered.
package identity

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"sync/atomic"
	"time"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
)

// schema is the step of the component "identity". Accounts are numbered in the order in which they were made, from 0.
var schema = []string{
	`CREATE TABLE identity_account (
		id      TEXT PRIMARY KEY,
		number  BIGINT NOT NULL UNIQUE,
		created BIGINT NOT NULL
	);
	CREATE TABLE identity_access_key (
		id      TEXT PRIMARY KEY,
		account TEXT NOT NULL REFERENCES identity_account (id),
		secret  BYTEA NOT NULL,
		created BIGINT NOT NULL,
		status  TEXT NOT NULL
	)`,
}

// statusActive is the status of an access key that may sign, as in the IAM API.
const statusActive = "Active"

// Wrapper keeps secrets: what it wraps with a context can be unwrapped only with the same context.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(blob, context []byte) ([]byte, error)
}

// Config is what Identity needs.
type Config struct {
	DB      store.DB
	Clock   clock.Clock
	Secrets Wrapper // for the secrets of access keys
}

// Identity knows who there is. It may be used by many goroutines.
type Identity struct {
	config Config
	known  atomic.Pointer[directory]
}

// directory is one state of all that is known. It does not change: the step that commits an effect replaces it.
type directory struct {
	operator string // the account made first
	accounts map[string]bool
	keys     map[string]*accessKey // the active ones, by id
}

type accessKey struct {
	secret    *string // a pointer, so that printing what holds it does not print it
	principal call.Principal
}

// New migrates the tables and loads what they hold.
func New(ctx context.Context, config Config) (*Identity, error) {
	if err := config.DB.Migrate(ctx, "identity", schema...); err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	id := &Identity{config: config}
	err := config.DB.View(ctx, func(tx store.Tx) error {
		d, err := id.load(tx)
		id.known.Store(d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return id, nil
}

// Lookup returns the secret and the owner of an access key that may sign. It does not wait for anything.
func (id *Identity) Lookup(accessKeyID string) (secret string, p call.Principal, ok bool) {
	key := id.known.Load().keys[accessKeyID]
	if key == nil {
		return "", call.Principal{}, false
	}
	return *key.secret, key.principal, true
}

// Operator is the account that was made first, whose root user may make others; it is empty when there is none yet.
func (id *Identity) Operator() string { return id.known.Load().operator }

// accountForm is the form of an account's id: twelve digits.
var accountForm = regexp.MustCompile(`^\d{12}$`)

// NewAccount prepares an account with an access key of its root user. Neither exists before effect is committed; effect fails with
// AlreadyExistsException when there is such an account. It may run only once.
func (id *Identity) NewAccount(account string) (credentials Credentials, effect func(store.Tx) error, err error) {
	if !accountForm.MatchString(account) {
		return Credentials{}, nil, call.Errorf("ValidationException", "The account ID %q is not 12 digits.", account)
	}
	credentials = newCredentials(account)
	secret := credentials.SecretAccessKey()
	wrapped, err := id.config.Secrets.Wrap([]byte(secret), keyContext(credentials.AccessKeyID, account))
	if err != nil {
		return Credentials{}, nil, fmt.Errorf("identity: %w", err)
	}
	created := id.config.Clock.Now()
	effect = func(tx store.Tx) error {
		if err := insertAccount(tx, account, created); err != nil {
			return err
		}
		if err := insertAccessKey(tx, credentials.AccessKeyID, account, wrapped, created); err != nil {
			return err
		}
		tx.OnCommit(func() { id.add(account, credentials) })
		return nil
	}
	return credentials, effect, nil
}

// add makes an account known, with the first key of its root user.
func (id *Identity) add(account string, c Credentials) {
	old := id.known.Load()
	d := &directory{operator: old.operator, accounts: maps.Clone(old.accounts), keys: maps.Clone(old.keys)}
	if d.operator == "" {
		d.operator = account
	}
	d.accounts[account] = true
	d.keys[c.AccessKeyID] = &accessKey{c.secret, rootUser(account, c.AccessKeyID)}
	id.known.Store(d)
}

// rootUser is the root user of an account as a principal. The ARN is of the partition aws: an account is not of a region.
func rootUser(account, accessKeyID string) call.Principal {
	return call.Principal{
		Type:        "Root",
		ARN:         arn.Root("", account),
		Account:     account,
		PrincipalID: account,
		AccessKeyID: accessKeyID,
	}
}

func insertAccount(tx store.Tx, account string, created time.Time) error {
	var taken, number int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM identity_account WHERE id = $1`, account).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return alreadyExists(account)
	}
	if err := tx.QueryRow(`SELECT COALESCE(MAX(number) + 1, 0) FROM identity_account`).Scan(&number); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO identity_account (id, number, created) VALUES ($1, $2, $3)`, account, number, created.UnixMilli())
	return err
}

func alreadyExists(account string) error {
	return call.Errorf("AlreadyExistsException", "An account with the ID %s already exists.", account)
}

func insertAccessKey(tx store.Tx, id, account string, wrapped []byte, created time.Time) error {
	_, err := tx.Exec(`INSERT INTO identity_access_key (id, account, secret, created, status) VALUES ($1, $2, $3, $4, $5)`,
		id, account, wrapped, created.UnixMilli(), statusActive)
	return err
}

// keyContext binds a wrapped secret to its row.
func keyContext(accessKeyID, account string) []byte {
	return []byte("access key " + accessKeyID + " of " + account)
}

func (id *Identity) load(tx store.Tx) (*directory, error) {
	d := &directory{accounts: make(map[string]bool), keys: make(map[string]*accessKey)}
	if err := d.loadAccounts(tx); err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT id, account, secret FROM identity_access_key WHERE status = $1`, statusActive)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, account string
		var wrapped []byte
		if err := rows.Scan(&key, &account, &wrapped); err != nil {
			return nil, err
		}
		plain, err := id.config.Secrets.Unwrap(wrapped, keyContext(key, account))
		if err != nil {
			return nil, fmt.Errorf("the secret of access key %s: %w", key, err)
		}
		secret := string(plain)
		d.keys[key] = &accessKey{&secret, rootUser(account, key)}
	}
	return d, rows.Err()
}

func (d *directory) loadAccounts(tx store.Tx) error {
	rows, err := tx.Query(`SELECT id FROM identity_account ORDER BY number`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var account string
		if err := rows.Scan(&account); err != nil {
			return err
		}
		if d.operator == "" {
			d.operator = account
		}
		d.accounts[account] = true
	}
	return rows.Err()
}
