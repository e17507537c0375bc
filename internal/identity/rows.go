package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"vigil/internal/call"
	"vigil/internal/store"
)

// schema is the steps of the component "identity". Accounts are numbered in the order in which they were made, from 0.
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
	`ALTER TABLE identity_access_key ADD COLUMN owner TEXT NOT NULL DEFAULT ''; -- unique id of a user; '' is the root user
	CREATE TABLE identity_thing (
		id      TEXT PRIMARY KEY, -- a user's, group's, role's or policy's unique id; an ARN
		account TEXT NOT NULL,
		kind    TEXT NOT NULL,
		name    TEXT NOT NULL, -- in lower case
		body    TEXT NOT NULL, -- JSON
		UNIQUE (account, kind, name)
	);
	CREATE TABLE identity_reference (
		holder TEXT NOT NULL, -- the unique id of a user, group or role
		target TEXT NOT NULL, -- what it refers to: the ARN of a policy, or the unique id of a group
		PRIMARY KEY (holder, target)
	);
	CREATE INDEX identity_reference_target ON identity_reference (target)`,
}

// write writes a thing's row, and its references.
func write(tx store.Tx, t thing) error {
	body, err := json.Marshal(t)
	if err != nil {
		return err
	}
	p := t.at()
	if _, err := tx.Exec(`INSERT INTO identity_thing (id, account, kind, name, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, body = excluded.body`,
		t.uniqueID(), p.account, string(p.kind), p.name, string(body)); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM identity_reference WHERE holder = $1`, t.uniqueID()); err != nil {
		return err
	}
	for _, target := range t.references() {
		if _, err := tx.Exec(`INSERT INTO identity_reference (holder, target) VALUES ($1, $2)`, t.uniqueID(), target); err != nil {
			return err
		}
	}
	return nil
}

// read is the thing at a place as it is in a transaction, or nil. It is the caller's own to change.
func read[T any](tx store.Tx, p place) (*T, error) {
	var body string
	err := tx.QueryRow(`SELECT body FROM identity_thing WHERE account = $1 AND kind = $2 AND name = $3`,
		p.account, string(p.kind), p.name).Scan(&body)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := new(T)
	return t, json.Unmarshal([]byte(body), t)
}

// entityIn is a user, group or role as it is in a transaction.
func entityIn(tx store.Tx, p place, name string) (*entity, error) {
	e, err := read[entity](tx, p)
	if err == nil && e == nil {
		err = noSuch(p.kind, name)
	}
	return e, err
}

// countIn is how many things of a kind an account has.
func countIn(tx store.Tx, account string, k kind) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM identity_thing WHERE account = $1 AND kind = $2`, account, string(k)).Scan(&n)
	return n, err
}

// referredTo says whether something refers to target: the ARN of a policy, or the unique id of a group.
func referredTo(tx store.Tx, target string) (bool, error) {
	var n int
	err := tx.QueryRow(`SELECT COUNT(*) FROM identity_reference WHERE target = $1`, target).Scan(&n)
	return n > 0, err
}

// free says that nothing is at a place, or that it is taken.
func free(tx store.Tx, p place, name string) error {
	var n int
	err := tx.QueryRow(`SELECT COUNT(*) FROM identity_thing WHERE account = $1 AND kind = $2 AND name = $3`,
		p.account, string(p.kind), p.name).Scan(&n)
	if err == nil && n > 0 {
		err = exists(p.kind, name)
	}
	return err
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

// load reads all there is.
func (id *Identity) load(tx store.Tx) (*directory, error) {
	d := newDirectory()
	if err := d.loadAccounts(tx); err != nil {
		return nil, err
	}
	if err := id.loadKeys(tx, d); err != nil {
		return nil, err
	}
	return d, d.loadThings(tx)
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

func (id *Identity) loadKeys(tx store.Tx, d *directory) error {
	rows, err := tx.Query(`SELECT id, account, owner, secret, created, status FROM identity_access_key`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		k := &accessKey{}
		var wrapped []byte
		if err := rows.Scan(&k.id, &k.account, &k.owner, &wrapped, &k.created, &k.status); err != nil {
			return err
		}
		plain, err := id.config.Secrets.Unwrap(wrapped, keyContext(k.id, k.account))
		if err != nil {
			return fmt.Errorf("the secret of access key %s: %w", k.id, err)
		}
		k.secret = new(string(plain))
		d.keys[k.id] = k
	}
	return rows.Err()
}

func (d *directory) loadThings(tx store.Tx) error {
	rows, err := tx.Query(`SELECT kind, body FROM identity_thing`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k, body string
		if err := rows.Scan(&k, &body); err != nil {
			return err
		}
		t := newThing(kind(k))
		if t == nil {
			return fmt.Errorf("there is a %s, which this version of Vigil does not know", k)
		}
		if err := json.Unmarshal([]byte(body), t); err != nil {
			return err
		}
		if err := t.compile(); err != nil {
			return fmt.Errorf("%s: %w", t.arn(), err)
		}
		d.byID[t.uniqueID()], d.byName[t.at()] = t, t
	}
	return rows.Err()
}

func newThing(k kind) thing {
	switch k {
	case user, group, role:
		return new(entity)
	case managed:
		return new(managedPolicy)
	case provider:
		return new(oidcProvider)
	case alias:
		return new(accountAlias)
	}
	return nil
}
