// Package seal is who guards the root key.
//
// A Seal is a key, or a device with a key, outside the database. It wraps one key, the root, which lies in the database and
// exists in the clear only in memory. From the root a key is derived for each purpose, and that key wraps what belongs to the
// purpose: the key material of the KMS, the secrets of access keys. So a copy of the database is worth nothing without its seal,
// and changing the seal means wrapping one key again.
//
//	seal ──wraps──> root ──HKDF──> key of a purpose ──wraps──> secrets
//
// All encryption is AES-256-GCM with random 96-bit nonces, from the standard library in the form that its FIPS 140-3 module
// approves. Nothing of this package prints a key, whatever the verb.
package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"vigil/internal/store"
)

// Seal guards the root key.
type Seal interface {
	// Name is the kind of the seal, such as "file". The database remembers it.
	Name() string
	// Wrap encrypts a data-encryption key.
	Wrap(dek []byte) ([]byte, error)
	// Unwrap decrypts what Wrap made. It returns an error that is ErrOtherKey if another key wrapped it.
	Unwrap(blob []byte) ([]byte, error)
}

// ErrOtherKey says that a blob was wrapped by a key that is not the one at hand.
var ErrOtherKey = errors.New("it was wrapped by another key")

// schema is the steps of the component "seal". The table has at most one row, of id 1.
var schema = []string{
	`CREATE TABLE seal_root (
		id      BIGINT PRIMARY KEY,
		seal    TEXT NOT NULL,
		wrapped BYTEA NOT NULL
	)`,
}

// Unseal loads the root of the database db, which s must have wrapped. A database that has no root yet is given one. A database
// that has a root is never given another, as all that is wrapped under the old one would be lost.
func Unseal(ctx context.Context, db store.DB, s Seal) (*Root, error) {
	if err := db.Migrate(ctx, "seal", schema...); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	var root *Root
	err := db.View(ctx, func(tx store.Tx) (err error) {
		root, err = load(tx, s)
		return err
	})
	if err != nil || root != nil {
		return root, err
	}
	err = db.Update(ctx, func(tx store.Tx) (err error) {
		// Another process may have been first.
		if root, err = load(tx, s); err == nil && root == nil {
			root, err = create(tx, s)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return root, nil
}

// load returns nil if there is no root.
func load(tx store.Tx, s Seal) (*Root, error) {
	var name string
	var wrapped []byte
	switch err := tx.QueryRow(`SELECT seal, wrapped FROM seal_root WHERE id = 1`).Scan(&name, &wrapped); {
	case errors.Is(err, store.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("seal: %w", err)
	}
	if name != s.Name() {
		return nil, fmt.Errorf("seal: the root key of this database is guarded by a %s seal, not by a %s seal", name, s.Name())
	}
	key, err := s.Unwrap(wrapped)
	if errors.Is(err, ErrOtherKey) {
		return nil, fmt.Errorf("seal: this database belongs to another root key than the one given. "+
			"Without its own, nothing in it can be decrypted: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("seal: the root key of this database cannot be unwrapped: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("seal: the root key of this database has %d bytes, not %d", len(key), keySize)
	}
	return newRoot(key), nil
}

func create(tx store.Tx, s Seal) (*Root, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	wrapped, err := s.Wrap(key)
	if err != nil {
		return nil, fmt.Errorf("seal: the new root key cannot be wrapped: %w", err)
	}
	if _, err := tx.Exec(`INSERT INTO seal_root (id, seal, wrapped) VALUES (1, $1, $2)`, s.Name(), wrapped); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return newRoot(key), nil
}
