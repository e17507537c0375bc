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

// RevokeGrant takes a grant away, for who looks after its key.
func (k *KMS) RevokeGrant(ctx context.Context, c *call.Call, in *kms.RevokeGrantInput) (*kms.RevokeGrantOutput, error) {
	a := access{action: "kms:RevokeGrant", crossAccount: true}
	key, err := k.authorize(ctx, c, in.KeyId, a.with(in))
	if err != nil {
		return nil, err
	}
	g, err := k.grantOf(ctx, key.ref, *in.GrantId)
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	k.endGrant(c, g)
	return &kms.RevokeGrantOutput{}, nil
}

// RetireGrant takes a grant away, for its retiring principal, for its grantee if the grant lets it, and for the account in
// which it was made or whose the key is. The grant is named by its token, or by its id and its key.
func (k *KMS) RetireGrant(ctx context.Context, c *call.Call, in *kms.RetireGrantInput) (*kms.RetireGrantOutput, error) {
	ref, id, err := k.grantToRetire(ctx, c, in)
	if err != nil {
		return nil, err
	}
	g, err := k.grantOf(ctx, ref, id)
	if err != nil {
		return nil, err
	}
	c.Touch(keyType, g.key.arn())
	c.Note("grantId", g.id)
	if err := k.allowRetiring(ctx, c, g); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	k.endGrant(c, g)
	return &kms.RetireGrantOutput{}, nil
}

func (k *KMS) grantToRetire(ctx context.Context, c *call.Call, in *kms.RetireGrantInput) (of keyRef, id string, err error) {
	switch byID := in.GrantId != nil && in.KeyId != nil; {
	case in.GrantToken != nil && (in.GrantId != nil || in.KeyId != nil), in.GrantToken == nil && !byID:
		return keyRef{}, "", call.Errorf("ValidationException", "You must specify either GrantToken, or both GrantId and KeyId.")
	case byID:
		of, err = k.resolve(ctx, c, *in.KeyId, access{action: "kms:RetireGrant", crossAccount: true})
		return of, *in.GrantId, err
	}
	of, id, err = k.openGrantToken(*in.GrantToken)
	if err == nil && of.region != c.Region {
		err = noSuchGrant(id)
	}
	return of, id, err
}

// allowRetiring: a key policy has no say in it, and the policies of those whom the grant does not name are not enough
// unless their account has the right.
func (k *KMS) allowRetiring(ctx context.Context, c *call.Call, g *grant) error {
	by := g.retiring.covers(c)
	for _, op := range g.operations {
		if op == types.GrantOperationRetireGrant {
			by = max(by, g.grantee.covers(c))
		}
	}
	if c.Account() == g.issuer || c.Account() == g.key.account {
		by = max(by, delegated) // which is all to a root user
	}
	key, err := k.load(ctx, g.key)
	if err != nil {
		return err
	}
	q := &question{ctx: ctx, k: k, c: c, a: access{action: "kms:RetireGrant"}.with(g), of: key}
	r := policy.Resource{ARN: key.text, Account: key.ref.account, CrossAccount: true}
	switch by {
	case covered:
		r.Granted = true
	case delegated:
		r.Account = c.Account()
	}
	return c.Allow(q.a.action, r, q.value)
}

// endGrant is the effect of taking a grant away.
func (k *KMS) endGrant(c *call.Call, g *grant) {
	c.Effect(func(tx store.Tx) error {
		deleted, err := tx.Exec(`DELETE FROM kms_grant WHERE account = $1 AND region = $2 AND key_id = $3 AND id = $4`,
			g.key.account, g.key.region, g.key.id, g.id)
		if err == nil && deleted == 0 {
			err = noSuchGrant(g.id)
		}
		tx.OnCommit(func() { k.grants.forget(granteeRef{g.key, g.grantee.name}) })
		return err
	})
	c.Responded("keyId", g.key.arn().String())
}

// grantOf is a key's grant with that id.
func (k *KMS) grantOf(ctx context.Context, of keyRef, id string) (g *grant, err error) {
	if err := checkGrantID(id); err != nil {
		return nil, err
	}
	err = k.db.View(ctx, func(tx store.Tx) error {
		g, err = scanGrant(tx.QueryRow(`SELECT `+grantColumns+` FROM kms_grant
			WHERE account = $1 AND region = $2 AND key_id = $3 AND id = $4`, of.account, of.region, of.id, id))
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, noSuchGrant(id)
	}
	return g, err
}

func checkGrantID(id string) error {
	if len(id) != grantIDSize || !isHex(id) {
		return call.Errorf("InvalidGrantIdException", "The grant ID %s is not valid.", id)
	}
	return nil
}

func noSuchGrant(id string) error {
	return call.Errorf("NotFoundException", "Grant ID %s not found", id)
}

// ListGrants lists a key's grants by id: all of them, or those of one grantee, or one.
func (k *KMS) ListGrants(ctx context.Context, c *call.Call, in *kms.ListGrantsInput) (*kms.ListGrantsOutput, error) {
	a := access{action: "kms:ListGrants", crossAccount: true}
	key, err := k.authorize(ctx, c, in.KeyId, a.with(in))
	if err != nil {
		return nil, err
	}
	if in.GranteePrincipal != nil && in.GranteeServicePrincipal != nil {
		return nil, call.Errorf("ValidationException", "GranteePrincipal and GranteeServicePrincipal cannot both be specified.")
	}
	var id, grantee string
	if in.GrantId != nil {
		if id = *in.GrantId; checkGrantID(id) != nil {
			return nil, checkGrantID(id)
		}
	}
	for _, name := range []*string{in.GranteePrincipal, in.GranteeServicePrincipal} {
		if name != nil {
			grantee = *name
		}
	}
	page := paging.New(in.Limit, 50, 100, c.Operation, key.text, id, grantee)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	where := `WHERE account = $1 AND region = $2 AND key_id = $3 AND id > $4`
	args := []any{key.ref.account, key.ref.region, key.ref.id, after, page.Limit + 1}
	if id != "" {
		where, args = where+` AND id = $6`, append(args, id)
	}
	if grantee != "" {
		where += ` AND grantee = $` + string(rune('1'+len(args)))
		args = append(args, grantee)
	}
	grants, err := list(ctx, k.db, scanGrant, `SELECT `+grantColumns+` FROM kms_grant `+where+` ORDER BY id LIMIT $5`, args...)
	if err != nil {
		return nil, err
	}
	grants, next := paging.Cut(page, grants, func(g *grant) string { return g.id })
	return &kms.ListGrantsOutput{Grants: k.entries(grants), NextMarker: next, Truncated: next != nil}, nil
}

// ListRetirableGrants lists the grants of the region that a principal of the caller's account may retire, by id, whosever
// the keys are.
func (k *KMS) ListRetirableGrants(ctx context.Context, c *call.Call, in *kms.ListRetirableGrantsInput) (
	*kms.ListRetirableGrantsOutput, error) {
	if err := allowAny(c, "kms:ListRetirableGrants", in); err != nil {
		return nil, err
	}
	var retiring string
	switch {
	case (in.RetiringPrincipal == nil) == (in.RetiringServicePrincipal == nil):
		return nil, call.Errorf("ValidationException", "You must specify either RetiringPrincipal or RetiringServicePrincipal.")
	case in.RetiringPrincipal == nil:
		retiring = *in.RetiringServicePrincipal
	default:
		retiring = *in.RetiringPrincipal
		who, err := arn.Parse(retiring)
		if err != nil || !principalForm.MatchString(retiring) {
			return nil, invalidPrincipal(retiring)
		}
		if who.Account != c.Account() {
			return nil, call.Errorf("AccessDeniedException", "The retiring principal %s is not in account %s.", retiring, c.Account())
		}
	}
	page := paging.New(in.Limit, 50, 100, c.Operation, c.Account(), c.Region, retiring)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	where := `WHERE retiring = $1 AND region = $2 AND id > $3`
	args := []any{retiring, c.Region, after, page.Limit + 1}
	if in.RetiringPrincipal == nil { // a service is in no account: the caller sees its own account's
		where, args = where+` AND issuer = $5`, append(args, c.Account())
	}
	grants, err := list(ctx, k.db, scanGrant, `SELECT `+grantColumns+` FROM kms_grant `+where+` ORDER BY id LIMIT $4`, args...)
	if err != nil {
		return nil, err
	}
	grants, next := paging.Cut(page, grants, func(g *grant) string { return g.id })
	return &kms.ListRetirableGrantsOutput{Grants: k.entries(grants), NextMarker: next, Truncated: next != nil}, nil
}

// entries are grants as the lists show them. Who was deleted since is shown by the unique id, as AWS KMS does.
func (k *KMS) entries(grants []*grant) []types.GrantListEntry {
	entries := make([]types.GrantListEntry, len(grants))
	for i, g := range grants {
		shown := *g
		shown.grantee, shown.retiring = k.shown(g.grantee), k.shown(g.retiring)
		entries[i] = shown.entry()
	}
	return entries
}

func (k *KMS) shown(p party) party {
	if p.uniqueID == "" || strings.HasPrefix(p.name, "A") {
		return p
	}
	if id, _ := k.uniqueID(p.name); id != p.uniqueID {
		p.name = p.uniqueID
	}
	return p
}
