package kms

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// grant lets somebody use one key for some operations. It does not change. See the KMS developer guide's "Grants in
// AWS KMS".
type grant struct {
	key         keyRef
	id          string // 64 hexadecimal digits
	name        string // may be empty
	grantee     party
	retiring    party  // the zero party if there is none
	issuer      string // the account in which it was made
	operations  []types.GrantOperation
	constraints types.GrantConstraints
	created     time.Time
}

// party is a principal of a grant.
type party struct {
	name     string // an ARN, or a service's name
	uniqueID string // of the user or role that had the ARN when the grant was made; empty where that is not known
}

func (p party) isService() bool { return p.name != "" && !strings.HasPrefix(p.name, "arn:") }

// reach is how a grant's principal covers a caller.
type reach int

const (
	notCovered reach = iota
	delegated        // by its account: the caller's own policies must allow too
	covered
)

// covers reports how p stands for who: itself, a role for its sessions, or an account for its root user and, if their own
// policies allow, for all others in it.
func (p party) covers(c *call.Call) reach {
	who := &c.Principal
	issuer := roleOf(who)
	switch {
	case p.name == "":
		return notCovered
	case p.isService():
		if who.Type == typeService && who.Service == p.name {
			return covered
		}
	case p.name == arn.Root(c.Region, who.Account):
		if who.Type == "Root" {
			return covered
		}
		return delegated
	case p.name == who.ARN || p.name == issuer:
		if p.uniqueID == "" || p.uniqueID == who.UniqueID {
			return covered
		}
	}
	return notCovered
}

// roleOf is the ARN of the role that the caller is a session of, or empty.
func roleOf(who *call.Principal) string {
	if who.Session == nil || who.Session.Issuer == nil || who.Session.Issuer.Type != "Role" {
		return ""
	}
	return who.Session.Issuer.ARN
}

// granteeNames are the names under which a grant may mean the caller.
func granteeNames(c *call.Call) []string {
	who := &c.Principal
	if who.Type == typeService {
		return []string{who.Service}
	}
	names := []string{who.ARN}
	if role := roleOf(who); role != "" {
		names = append(names, role)
	}
	if root := arn.Root(c.Region, who.Account); root != who.ARN && who.Account != "" {
		names = append(names, root)
	}
	return names
}

// granteeRef names the grants of a key that have one grantee: what the cache keeps together.
type granteeRef struct {
	key     keyRef
	grantee string
}

// maxCachedGrants is how many grantees of keys are kept at hand, those who have no grant included.
const maxCachedGrants = 50_000

// grantsTo are the grants of a key with that grantee.
func (k *KMS) grantsTo(ctx context.Context, ref granteeRef) (*grantList, error) {
	return k.grants.get(ref, func() (*grantList, error) {
		var grants []*grant
		err := k.db.View(ctx, func(tx store.Tx) (err error) {
			grants, err = queryGrants(tx, `WHERE account = $1 AND region = $2 AND key_id = $3 AND grantee = $4`,
				ref.key.account, ref.key.region, ref.key.id, ref.grantee)
			return err
		})
		return newGrantList(grants), err
	})
}

// granted asks the grants of the key, once its policy does not allow: it returns nil if one gives the caller the action,
// and no policy denies it. Otherwise it returns denied.
func (q *question) granted(r policy.Resource, denied error) error {
	operation := types.GrantOperation(strings.TrimPrefix(q.a.action, "kms:"))
	if q.of == nil || !slices.Contains(grantOperations(q.of.spec, q.of.usage, q.of.origin), operation) {
		return denied
	}
	most := notCovered
	for _, name := range granteeNames(q.c) {
		grants, err := q.k.grantsTo(q.ctx, granteeRef{q.of.ref, name})
		if err != nil {
			return err
		}
		for g := range grants.candidates(operation, q.context) {
			if by := g.grantee.covers(q.c); by > most && g.gives(q, operation) {
				most = by
			}
			if most == covered {
				break
			}
		}
	}
	if most == notCovered {
		return denied
	}
	r.Granted = true
	if err := q.c.Allow(q.a.action, r, q.value); err != nil || most == covered {
		return err
	}
	// The account was given it, and has to let the caller have it: its policies speak, and the key's has been heard.
	return q.c.Allow(q.a.action, policy.Resource{ARN: r.ARN, Account: q.c.Account()}, q.value)
}

// gives reports whether the grant is for the operation, and its constraints hold.
func (g *grant) gives(q *question, operation types.GrantOperation) bool {
	if !slices.Contains(g.operations, operation) {
		return false
	}
	if source := g.constraints.SourceArn; source != nil && byService(q.c) && *source != q.c.Principal.SourceARN {
		return false
	}
	switch operation {
	case types.GrantOperationDescribeKey, types.GrantOperationGetPublicKey:
		return true
	case types.GrantOperationCreateGrant:
		in, ok := q.a.in.(*kms.CreateGrantInput)
		return ok && g.givesGrant(in)
	}
	return holds(&g.constraints, q.context())
}

// holds reports whether an encryption context is as the constraints want it.
func holds(c *types.GrantConstraints, context map[string]string) bool {
	if c.EncryptionContextEquals != nil && !maps.Equal(c.EncryptionContextEquals, context) {
		return false
	}
	return includes(context, c.EncryptionContextSubset)
}

// includes reports whether all has each pair of some.
func includes(all, some map[string]string) bool {
	for name, value := range some {
		if other, ok := all[name]; !ok || other != value {
			return false
		}
	}
	return true
}

// givesGrant reports whether a grantee may make a grant out of this one: with no operation that it lacks, and no
// constraint laxer than its own.
func (g *grant) givesGrant(in *kms.CreateGrantInput) bool {
	for _, op := range in.Operations {
		if !slices.Contains(g.operations, op) {
			return false
		}
	}
	child := in.Constraints
	if child == nil {
		child = &types.GrantConstraints{}
	}
	own := &g.constraints
	if own.SourceArn != nil && (child.SourceArn == nil || *child.SourceArn != *own.SourceArn) {
		return false
	}
	if own.EncryptionContextEquals != nil {
		return child.EncryptionContextEquals != nil && maps.Equal(own.EncryptionContextEquals, child.EncryptionContextEquals)
	}
	return includes(constrainedContext(child), own.EncryptionContextSubset)
}

// grantOperations are the operations that a grant for a key of this kind may hold.
func grantOperations(spec types.KeySpec, usage types.KeyUsageType, origin types.OriginType) []types.GrantOperation {
	if spec != types.KeySpecSymmetricDefault {
		if usage == types.KeyUsageTypeEncryptDecrypt {
			return publicEncryptionGrants
		}
		return grantsByUsage[usage]
	}
	if origin == types.OriginTypeAwsCloudhsm || origin == types.OriginTypeExternalKeyStore {
		return storeGrants
	}
	return symmetricGrants
}

var (
	everyKeyGrants = []types.GrantOperation{"CreateGrant", "RetireGrant", "DescribeKey"}

	storeGrants = grantSet("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")

	symmetricGrants = append(slices.Clone(storeGrants), "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext")

	publicEncryptionGrants = grantSet("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GetPublicKey")

	grantsByUsage = map[types.KeyUsageType][]types.GrantOperation{
		types.KeyUsageTypeSignVerify:        grantSet("Sign", "Verify", "GetPublicKey"),
		types.KeyUsageTypeKeyAgreement:      grantSet("DeriveSharedSecret", "GetPublicKey"),
		types.KeyUsageTypeGenerateVerifyMac: grantSet("GenerateMac", "VerifyMac"),
		"ENCAPSULATE_DECAPSULATE":           grantSet("Encapsulate", "Decapsulate", "GetPublicKey"),
	}
)

func grantSet(operations ...types.GrantOperation) []types.GrantOperation {
	return slices.Concat(operations, everyKeyGrants)
}

// entry is the grant as the lists show it.
func (g *grant) entry() types.GrantListEntry {
	e := types.GrantListEntry{
		CreationDate:   &g.created,
		GrantId:        &g.id,
		IssuingAccount: new(arn.Root(g.key.region, g.issuer)),
		KeyId:          new(g.key.arn().String()),
		Name:           &g.name,
		Operations:     g.operations,
	}
	if c := g.constraints; c.SourceArn != nil || constrainedContext(&c) != nil {
		e.Constraints = &c
	}
	if g.grantee.isService() {
		e.GranteeServicePrincipal = &g.grantee.name
	} else {
		e.GranteePrincipal = &g.grantee.name
	}
	switch {
	case g.retiring.isService():
		e.RetiringServicePrincipal = &g.retiring.name
	case g.retiring.name != "":
		e.RetiringPrincipal = &g.retiring.name
	}
	return e
}

// grantColumns is what scanGrant reads.
const grantColumns = `account, region, key_id, id, name, grantee, grantee_id, retiring, retiring_id, issuer, operations,
	constraints, created`

// queryGrants are the grants that a WHERE clause, and what follows it, selects.
func queryGrants(tx store.Tx, where string, args ...any) (grants []*grant, err error) {
	rows, err := tx.Query(`SELECT `+grantColumns+` FROM kms_grant `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		g, err := scanGrant(rows)
		if err != nil {
			return nil, err
		}
		grants = append(grants, g)
	}
	return grants, rows.Err()
}

func scanGrant(row store.Scanner) (*grant, error) {
	g := new(grant)
	var operations, constraints string
	var created int64
	err := row.Scan(&g.key.account, &g.key.region, &g.key.id, &g.id, &g.name, &g.grantee.name, &g.grantee.uniqueID,
		&g.retiring.name, &g.retiring.uniqueID, &g.issuer, &operations, &constraints, &created)
	if err != nil {
		return nil, err
	}
	for op := range strings.SplitSeq(operations, " ") {
		g.operations = append(g.operations, types.GrantOperation(op))
	}
	g.created = fromMillis(created)
	return g, json.Unmarshal([]byte(constraints), &g.constraints)
}

// insert stores the grant. Same is the fingerprint of a grant with a name, by which the same call is recognized.
func (g *grant) insert(tx store.Tx, same string) error {
	constraints, err := json.Marshal(&g.constraints)
	if err != nil {
		return err
	}
	operations := make([]string, len(g.operations))
	for i, op := range g.operations {
		operations[i] = string(op)
	}
	_, err = tx.Exec(`INSERT INTO kms_grant (`+grantColumns+`, same) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		g.key.account, g.key.region, g.key.id, g.id, g.name, g.grantee.name, g.grantee.uniqueID, g.retiring.name,
		g.retiring.uniqueID, g.issuer, strings.Join(operations, " "), string(constraints), toMillis(g.created), same)
	return err
}

// granteesOf are the names of all who have a grant for the key.
func granteesOf(tx store.Tx, of keyRef) (names []string, err error) {
	rows, err := tx.Query(`SELECT DISTINCT grantee FROM kms_grant WHERE account = $1 AND region = $2 AND key_id = $3`,
		of.account, of.region, of.id)
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
