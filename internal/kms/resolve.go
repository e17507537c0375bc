package kms

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// access is what an operation needs of a key: the permission, and how the key may be named. The KMS developer guide
// lists both for each operation under "AWS KMS permissions".
type access struct {
	action       string // kms:Encrypt
	crossAccount bool   // a key of another account can be used
	aliases      bool   // the key can be named by its alias
	in           any    // the operation's input, from which conditions are answered; may be nil
	recipient    *recipient
}

// with gives the operation's input, a pointer, for the conditions of policies and the constraints of grants. It is looked
// at when one of them asks.
func (a access) with(in any) access {
	a.in = in
	return a
}

// from gives the attested environment that asks, or nil, for the conditions of policies.
func (a access) from(r *recipient) access {
	a.recipient = r
	return a
}

// manage is the access of operations that look after keys: by key id or key ARN, of one's own account.
func manage(action string) access { return access{action: action} }

// use is the access of cryptographic operations and DescribeKey: by any name, of any account.
func use(action string) access { return access{action: action, crossAccount: true, aliases: true} }

// authorize finds the key that the caller names, puts it into the record, and asks whether the caller has that access
// to it. A key id or an alias name means one of the caller's own account.
func (k *KMS) authorize(ctx context.Context, c *call.Call, name *string, a access, grantTokens ...string) (*key, error) {
	ref, err := k.resolve(ctx, c, *name, a)
	if err != nil {
		return nil, err
	}
	found, err := k.load(ctx, ref)
	if errors.Is(err, store.ErrNoRows) {
		return nil, hideOr(c, a, ref.arn(), noSuchKey(ref))
	}
	if err != nil {
		return nil, err
	}
	return found, k.allow(ctx, c, found, *name, a, grantTokens...)
}

// allow puts a key into the record, and asks whether the caller has that access to it: first the policies, and if they
// do not give it, the key's grants. Named is what the caller calls the key, and empty if the caller does not name it.
func (k *KMS) allow(ctx context.Context, c *call.Call, of *key, named string, a access, grantTokens ...string) error {
	c.Touch(keyType, of.arn)
	if err := k.checkGrantTokens(grantTokens); err != nil {
		return err
	}
	q := &question{ctx: ctx, k: k, c: c, a: a, of: of, named: named}
	r := of.resource()
	r.CrossAccount, r.Unnamed = a.crossAccount, named == ""
	if err := c.Allow(a.action, r, q.value); err != nil {
		return q.granted(r, err)
	}
	return nil
}

// resolve turns a name into the place of a key, which need not exist.
func (k *KMS) resolve(ctx context.Context, c *call.Call, name string, a access) (keyRef, error) {
	switch {
	case strings.HasPrefix(name, "alias/"):
		return k.resolveAlias(ctx, c, aliasRef{c.Account(), c.Region, name}, a)
	case strings.HasPrefix(name, "arn:"):
		return k.resolveARN(ctx, c, name, a)
	case isKeyID(name):
		return keyRef{c.Account(), c.Region, name}, nil
	}
	return keyRef{}, invalidKeyID(name)
}

func (k *KMS) resolveARN(ctx context.Context, c *call.Call, name string, a access) (keyRef, error) {
	target, ok := parseARN(name)
	if !ok {
		return keyRef{}, invalidKeyID(name)
	}
	isAlias := target.Type() == "alias"
	switch {
	case isAlias && !a.aliases:
		return keyRef{}, aliasNotSupported()
	case target.Region != c.Region:
		return keyRef{}, call.Errorf("NotFoundException", "Invalid arn %s", target.Region)
	case isAlias:
		return k.resolveAlias(ctx, c, aliasRef{target.Account, target.Region, target.Resource}, a)
	case target.Type() != "key":
		return keyRef{}, invalidKeyID(name)
	case !isKeyID(target.ID()):
		return keyRef{}, call.Errorf("NotFoundException", "Invalid keyId %s", target.ID())
	}
	return keyRef{target.Account, target.Region, target.ID()}, nil
}

func (k *KMS) resolveAlias(ctx context.Context, c *call.Call, alias aliasRef, a access) (keyRef, error) {
	if !a.aliases {
		return keyRef{}, aliasNotSupported()
	}
	id, err := "", store.ErrNoRows
	if isAliasName(alias.name) { // what cannot be a name is not looked for
		id, err = k.target(ctx, alias)
	}
	if errors.Is(err, store.ErrNoRows) {
		return keyRef{}, hideOr(c, a, alias.arn(), noSuchAlias(alias))
	}
	return keyRef{alias.account, alias.region, id}, err
}

// hideOr is the answer when something does not exist: its owner is told so, and anybody else what they would be told if
// it existed and they might not use it.
func hideOr(c *call.Call, a access, what arn.ARN, notFound error) error {
	if what.Account == c.Account() {
		return notFound
	}
	r := policy.Resource{ARN: what.String(), Account: what.Account, CrossAccount: a.crossAccount}
	return cmp.Or(c.Allow(a.action, r, conditionsOf(c, a)), notFound)
}

// allowAny asks for a permission that is not about a key, such as kms:ListKeys. In is the operation's input.
func allowAny(c *call.Call, action string, in any) error {
	return allowAnyAccess(c, access{action: action}.with(in))
}

func allowAnyAccess(c *call.Call, a access) error {
	return c.Allow(a.action, policy.Resource{ARN: "*", Account: c.Account()}, conditionsOf(c, a))
}

// load is a key from the cache, or else from the database. Its error is store.ErrNoRows when there is none.
func (k *KMS) load(ctx context.Context, ref keyRef) (*key, error) {
	return k.keys.get(ref, func() (found *key, err error) {
		err = k.db.View(ctx, func(tx store.Tx) error {
			found, err = k.read(tx, ref)
			return err
		})
		return found, err
	})
}

// target is the id of the key that an alias names. Its error is store.ErrNoRows when there is no such alias.
func (k *KMS) target(ctx context.Context, alias aliasRef) (string, error) {
	return k.aliases.get(alias, func() (id string, err error) {
		err = k.db.View(ctx, func(tx store.Tx) error {
			id, err = targetOf(tx, alias)
			return err
		})
		return id, err
	})
}

// parseARN reads the ARN of a key or of an alias, or of something of the service that is neither.
func parseARN(text string) (arn.ARN, bool) {
	a, err := arn.Parse(text)
	return a, err == nil && a.Service == "kms" && a.Partition == arn.Partition(a.Region) && isAccountID(a.Account)
}

func isAccountID(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 12
}

func aliasNotSupported() error {
	return call.Errorf("InvalidArnException", "Key Aliases are not supported for this operation.")
}

func invalidKeyID(name string) error {
	return call.Errorf("NotFoundException", "Invalid keyId '%s'", name)
}

// isKeyID reports whether s has the form of a key's id: a UUID, or mrk- and 32 hexadecimal digits.
func isKeyID(s string) bool {
	digits, multiRegion := strings.CutPrefix(s, "mrk-")
	if multiRegion {
		return len(digits) == 32 && isHex(digits)
	}
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
