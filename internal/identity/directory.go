package identity

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"vigil/internal/store"
)

// directory is all that is known, in memory, behind the database by nothing.
type directory struct {
	// generation counts the changes. What was made of the directory, such as someone's permissions, is good for as long as the
	// count stays.
	generation atomic.Uint64

	mu       sync.RWMutex
	operator string // the account made first
	accounts map[string]bool
	keys     map[string]*accessKey
	byID     map[string]thing
	byName   map[place]thing
}

// accessKey is a long-term key. It does not change either.
type accessKey struct {
	id      string
	account string
	owner   string  // the unique id of a user, or "" for the root user
	secret  *string // a pointer, so that printing what holds it does not print it
	status  string
	created int64
}

func newDirectory() *directory {
	d := &directory{accounts: map[string]bool{}, keys: map[string]*accessKey{}, byID: map[string]thing{}, byName: map[place]thing{}}
	for _, p := range awsManaged {
		d.byID[p.ID], d.byName[p.at()] = p, p
	}
	return d
}

// change makes a change known.
func (d *directory) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
	d.generation.Add(1)
}

func (d *directory) put(t thing) {
	d.change(func() {
		if old := d.byID[t.uniqueID()]; old != nil {
			delete(d.byName, old.at())
		}
		d.byID[t.uniqueID()], d.byName[t.at()] = t, t
	})
}

func (d *directory) remove(t thing) {
	d.change(func() {
		delete(d.byID, t.uniqueID())
		delete(d.byName, t.at())
	})
}

func (d *directory) hasAccount(account string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.accounts[account]
}

// named is the thing at a place, or the zero T.
func named[T thing](d *directory, p place) T {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, _ := d.byName[p].(T)
	return t
}

// entity is a user, group or role of that name, or nil.
func (d *directory) entity(account string, k kind, name string) *entity {
	return named[*entity](d, placeOf(account, k, name))
}

// withID is the thing with a unique id, or the zero T.
func withID[T thing](d *directory, id string) T {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, _ := d.byID[id].(T)
	return t
}

// all are an account's things of a kind whose path begins with prefix, by name.
func all[T thing](d *directory, account string, k kind) (found []T) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for p, t := range d.byName {
		if p.account == account && p.kind == k {
			found = append(found, t.(T))
		}
	}
	slices.SortFunc(found, func(a, b T) int { return cmp.Compare(a.at().name, b.at().name) })
	return found
}

// policyWithARN is a managed policy, of the account or of those that every account has, or nil.
func (d *directory) policyWithARN(account, arn string) *managedPolicy {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.policy(account, arn)
}

// policy is policyWithARN for who has the lock.
func (d *directory) policy(account, arn string) *managedPolicy {
	p, ok := policyPlace(account, arn)
	if !ok {
		return nil
	}
	found, _ := d.byName[p].(*managedPolicy)
	if found == nil || found.arn() != arn {
		return nil
	}
	return found
}

// policyPlace is where a managed policy with this ARN would be, and whether one of the account's can have it.
func policyPlace(account, arn string) (place, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::")
	owner, resource, _ := strings.Cut(rest, ":")
	if !ok || owner != account && owner != awsAccount || !strings.HasPrefix(resource, "policy/") {
		return place{}, false
	}
	return placeOf(owner, managed, resource[strings.LastIndexByte(resource, '/')+1:]), true
}

// keysOf are the access keys of a user, or of the root user when owner is "", the oldest first.
func (d *directory) keysOf(account, owner string) (keys []*accessKey) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, k := range d.keys {
		if k.account == account && k.owner == owner {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b *accessKey) int { return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id)) })
	return keys
}

func (d *directory) key(id string) *accessKey {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[id]
}

// save writes a thing, new or changed, and makes it known once that is durable.
func (id *Identity) save(tx store.Tx, t thing) error {
	if err := t.compile(); err != nil {
		return err
	}
	if err := write(tx, t); err != nil {
		return err
	}
	tx.OnCommit(func() { id.known.put(t) })
	return nil
}

// drop deletes a thing.
func (id *Identity) drop(tx store.Tx, t thing) error {
	for _, statement := range []string{
		`DELETE FROM identity_reference WHERE holder = $1`,
		`DELETE FROM identity_thing WHERE id = $1`,
	} {
		if _, err := tx.Exec(statement, t.uniqueID()); err != nil {
			return err
		}
	}
	tx.OnCommit(func() { id.known.remove(t) })
	return nil
}
