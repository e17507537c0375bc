package kms

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/policy"
	"vigil/internal/store"
)

const maxAliases = 50 // of a key

// aliasRef is where an alias is. The name begins with alias/.
type aliasRef struct{ account, region, name string }

func (r aliasRef) arn() arn.ARN { return arn.New("kms", r.region, r.account, r.name) }

// CreateAlias gives a key a name that no other key of the account and region has.
func (k *KMS) CreateAlias(ctx context.Context, c *call.Call, in *kms.CreateAliasInput) (*kms.CreateAliasOutput, error) {
	if *in.AliasName == "alias/" { // a prefix and no name; the other operations have no error of their own for it
		return nil, call.Errorf("InvalidAliasNameException", "The alias has no name after the prefix \"alias/\".")
	}
	alias, err := aliasFor(c, *in.AliasName)
	if err != nil {
		return nil, err
	}
	if err := checkAliasTarget(*in.TargetKeyId); err != nil {
		return nil, err
	}
	key, err := k.authorize(ctx, c, in.TargetKeyId, manage("kms:CreateAlias"))
	c.Touch(keyType, alias.arn())
	if err != nil {
		return nil, err
	}
	if err := allowAlias(c, "kms:CreateAlias", alias); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := key.stillChangeable(tx); err != nil {
			return err
		}
		if _, err := targetOf(tx, alias); err == nil {
			return call.Errorf("AlreadyExistsException", "An alias with the name %s already exists", alias.arn())
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		if err := roomForAlias(tx, key); err != nil {
			return err
		}
		now := toMillis(c.Time)
		tx.OnCommit(func() { k.keys.forget(key.ref) })
		_, err := tx.Exec(`INSERT INTO kms_alias (account, region, name, key_id, created, updated) VALUES ($1, $2, $3, $4, $5, $5)`,
			alias.account, alias.region, alias.name, key.ref.id, now)
		return err
	})
	c.Responded("keyId", key.text)
	return &kms.CreateAliasOutput{}, nil
}

// UpdateAlias has an alias name another key, of the same type and usage.
func (k *KMS) UpdateAlias(ctx context.Context, c *call.Call, in *kms.UpdateAliasInput) (*kms.UpdateAliasOutput, error) {
	alias, err := aliasFor(c, *in.AliasName)
	if err != nil {
		return nil, err
	}
	if err := checkAliasTarget(*in.TargetKeyId); err != nil {
		return nil, err
	}
	current, err := k.ownTarget(ctx, alias)
	if err != nil {
		return nil, err
	}
	c.Touch(keyType, alias.arn())
	key, err := k.authorize(ctx, c, in.TargetKeyId, manage("kms:UpdateAlias"))
	if err != nil {
		return nil, err
	}
	if err := allowAlias(c, "kms:UpdateAlias", alias); err != nil {
		return nil, err
	}
	old := &question{ctx: ctx, k: k, c: c, a: manage("kms:UpdateAlias"), of: current} // which the record does not name
	if err := c.Allow(old.a.action, current.resource(), old.value); err != nil {
		return nil, err
	}
	if current.usage != key.usage || keyFamily(current.spec) != keyFamily(key.spec) {
		return nil, call.Errorf("ValidationException", "Alias %s cannot be moved from a key with key spec %s and key usage %s "+
			"to one with key spec %s and key usage %s.", alias.arn(), current.spec, current.usage, key.spec, key.usage)
	}
	c.Effect(func(tx store.Tx) error {
		if err := key.stillChangeable(tx); err != nil {
			return err
		}
		if current.ref != key.ref {
			if err := roomForAlias(tx, key); err != nil {
				return err
			}
		}
		tx.OnCommit(func() { k.keys.forget(key.ref) })
		return k.changeAlias(tx, alias, current, `UPDATE kms_alias SET key_id = $5, updated = $6
			WHERE account = $1 AND region = $2 AND name = $3 AND key_id = $4`, key.ref.id, toMillis(c.Time))
	})
	c.Responded("keyId", key.text)
	return &kms.UpdateAliasOutput{}, nil
}

// DeleteAlias takes a name away. Its key stays as it is.
func (k *KMS) DeleteAlias(ctx context.Context, c *call.Call, in *kms.DeleteAliasInput) (*kms.DeleteAliasOutput, error) {
	alias, err := aliasFor(c, *in.AliasName)
	if err != nil {
		return nil, err
	}
	key, err := k.ownTarget(ctx, alias)
	if err != nil {
		return nil, err
	}
	c.Touch(keyType, alias.arn())
	if err := k.allow(ctx, c, key, key.text, manage("kms:DeleteAlias")); err != nil {
		return nil, err
	}
	if err := allowAlias(c, "kms:DeleteAlias", alias); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		return k.changeAlias(tx, alias, key,
			`DELETE FROM kms_alias WHERE account = $1 AND region = $2 AND name = $3 AND key_id = $4`)
	})
	c.Responded("keyId", key.text)
	return &kms.DeleteAliasOutput{}, nil
}

// ListAliases lists the aliases of the account and region by name, or those of one key.
func (k *KMS) ListAliases(ctx context.Context, c *call.Call, in *kms.ListAliasesInput) (*kms.ListAliasesOutput, error) {
	if err := allowAny(c, "kms:ListAliases", in); err != nil {
		return nil, err
	}
	var id string // of the key whose aliases are wanted
	if in.KeyId != nil {
		ref, err := k.ownKey(ctx, c, *in.KeyId)
		if err != nil {
			return nil, err
		}
		id = ref.id
	}
	page := paging.New(in.Limit, 50, 100, c.Operation, c.Account(), c.Region, id)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	query := `SELECT name, key_id, created, updated FROM kms_alias
		WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`
	args := []any{c.Account(), c.Region, after, page.Limit + 1}
	if id != "" {
		query = `SELECT name, key_id, created, updated FROM kms_alias
			WHERE account = $1 AND region = $2 AND key_id = $5 AND name > $3 ORDER BY name LIMIT $4`
		args = append(args, id)
	}
	aliases, err := list(ctx, k.db, func(row store.Scanner) (types.AliasListEntry, error) {
		var name, keyID string
		var created, updated int64
		err := row.Scan(&name, &keyID, &created, &updated)
		return types.AliasListEntry{
			AliasArn:        new(aliasRef{c.Account(), c.Region, name}.arn().String()),
			AliasName:       &name,
			CreationDate:    new(fromMillis(created)),
			LastUpdatedDate: new(fromMillis(updated)),
			TargetKeyId:     &keyID,
		}, err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	aliases, next := paging.Cut(page, aliases, func(a types.AliasListEntry) string { return *a.AliasName })
	return &kms.ListAliasesOutput{Aliases: aliases, NextMarker: next, Truncated: next != nil}, nil
}

// aliasFor is an alias of the caller's account and region, if it may have that name.
func aliasFor(c *call.Call, name string) (aliasRef, error) {
	rest, ok := strings.CutPrefix(name, "alias/")
	switch {
	case !ok:
		return aliasRef{}, call.Errorf("ValidationException", "Alias must start with the prefix \"alias/\". "+
			"Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	case strings.HasPrefix(rest, "aws/"):
		return aliasRef{}, call.Errorf("NotAuthorizedException", "") // they belong to keys that services of AWS make
	case rest == "" || !isAliasName(name): // the model of the API lets a colon through, which AWS KMS refuses here
		return aliasRef{}, call.Errorf("ValidationException", "%s contains invalid characters for an alias", name)
	}
	return aliasRef{c.Account(), c.Region, name}, nil
}

// isAliasName reports whether name has the form of an alias's: alias/ and letters, digits, underscores, hyphens and
// slashes.
func isAliasName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '/' || c == '_' || c == '-') {
			return false
		}
	}
	return strings.HasPrefix(name, "alias/")
}

func checkAliasTarget(name string) error {
	if strings.HasPrefix(name, "alias/") || strings.HasPrefix(name, "arn:") && strings.Contains(name, ":alias/") {
		return call.Errorf("ValidationException", "Aliases must refer to keys. Not aliases")
	}
	return nil
}

// allowAlias asks for permission on the alias itself, which has no policy of its own.
func allowAlias(c *call.Call, action string, alias aliasRef) error {
	return c.Allow(action, policy.Resource{ARN: alias.arn().String(), Account: alias.account}, nil)
}

// ownTarget is the key that an alias of the caller's account names.
func (k *KMS) ownTarget(ctx context.Context, alias aliasRef) (*key, error) {
	id, err := k.target(ctx, alias)
	if err == nil {
		var found *key
		if found, err = k.load(ctx, keyRef{alias.account, alias.region, id}); err == nil {
			return found, nil
		}
	}
	if errors.Is(err, store.ErrNoRows) { // no alias, or a key that was destroyed with it a moment ago
		return nil, noSuchAlias(alias)
	}
	return nil, err
}

// ownKey is a key of the caller's account, for an operation that asks no permission on the key itself.
func (k *KMS) ownKey(ctx context.Context, c *call.Call, name string) (keyRef, error) {
	ref, err := k.resolve(ctx, c, name, access{})
	if err != nil {
		return keyRef{}, err
	}
	if ref.account != c.Account() {
		return keyRef{}, noSuchKey(ref)
	}
	_, err = k.load(ctx, ref)
	if errors.Is(err, store.ErrNoRows) {
		return keyRef{}, noSuchKey(ref)
	}
	return ref, err
}

// keyFamily tells the types of keys between which an alias does not move: symmetric, asymmetric and HMAC.
func keyFamily(spec types.KeySpec) string {
	switch {
	case spec == types.KeySpecSymmetricDefault:
		return "symmetric"
	case strings.HasPrefix(string(spec), "HMAC_"):
		return "HMAC"
	}
	return "asymmetric"
}

func noSuchAlias(alias aliasRef) error {
	return call.Errorf("NotFoundException", "Alias %s is not found.", alias.arn())
}

// targetOf is the id of the key that an alias names. Its error is store.ErrNoRows when there is no such alias.
func targetOf(tx store.Tx, alias aliasRef) (id string, err error) {
	err = tx.QueryRow(`SELECT key_id FROM kms_alias WHERE account = $1 AND region = $2 AND name = $3`,
		alias.account, alias.region, alias.name).Scan(&id)
	return id, err
}

func aliasesOf(tx store.Tx, ref keyRef) (names []string, err error) {
	rows, err := tx.Query(`SELECT name FROM kms_alias WHERE account = $1 AND region = $2 AND key_id = $3`, ref.account, ref.region, ref.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func roomForAlias(tx store.Tx, of *key) error {
	var count int
	err := tx.QueryRow(`SELECT COUNT(*) FROM kms_alias WHERE account = $1 AND region = $2 AND key_id = $3`,
		of.ref.account, of.ref.region, of.ref.id).Scan(&count)
	if err == nil && count >= maxAliases {
		err = call.Errorf("LimitExceededException", "%s has %d aliases. The limit is %d.", of.text, count, maxAliases)
	}
	return err
}

// changeAlias runs a statement on an alias whose first four parameters are its account, region, name and target. The
// caller's permissions were asked for that target: an alias that has moved meanwhile is no longer the one that was
// meant.
func (k *KMS) changeAlias(tx store.Tx, alias aliasRef, target *key, statement string, args ...any) error {
	args = append([]any{alias.account, alias.region, alias.name, target.ref.id}, args...)
	changed, err := tx.Exec(statement, args...)
	if err == nil && changed == 0 {
		err = noSuchAlias(alias)
	}
	tx.OnCommit(func() {
		k.aliases.forget(alias)
		k.keys.forget(target.ref)
	})
	return err
}
