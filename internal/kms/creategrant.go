package kms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/store"
)

// Limits of grants.
const (
	maxGrants           = 50_000 // of a key
	maxConstraintPairs  = 8
	maxConstraintLength = 384 // characters of all of a constraint's names and values
	grantIDSize         = 64
)

// CreateGrant lets a principal use a key for some operations. With a Name, a call that is the same as an earlier one in
// everything gets that one's grant; the token is new at each call.
func (k *KMS) CreateGrant(ctx context.Context, c *call.Call, in *kms.CreateGrantInput) (*kms.CreateGrantOutput, error) {
	if err := checkGrantParties(in); err != nil {
		return nil, err
	}
	a := access{action: "kms:CreateGrant", crossAccount: true}
	key, err := k.authorize(ctx, c, in.KeyId, a.with(in), in.GrantTokens...)
	if err != nil {
		return nil, err
	}
	if err := key.enabled(key.state); err != nil {
		return nil, err
	}
	if err := key.checkGrant(in); err != nil {
		return nil, err
	}
	made, err := k.newGrant(c, key, in)
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	out := &kms.CreateGrantOutput{}
	c.Effect(func(tx store.Tx) error {
		state, err := stateOf(tx, key.ref)
		if err != nil {
			return err
		}
		if err := key.enabled(state); err != nil {
			return err
		}
		id, err := k.putGrant(tx, made)
		if err != nil {
			return err
		}
		token, err := k.grantToken(key.ref, id)
		if err != nil {
			return err
		}
		out.GrantId, out.GrantToken = &id, &token
		c.Responded("grantId", id)
		c.Responded("keyId", key.text)
		return nil
	})
	return out, nil
}

// putGrant stores a grant, unless it has a name and is there already, and returns its id.
func (k *KMS) putGrant(tx store.Tx, g *grant) (id string, err error) {
	same := g.fingerprint()
	if same != "" {
		err := tx.QueryRow(`SELECT id FROM kms_grant WHERE account = $1 AND region = $2 AND key_id = $3 AND same = $4`,
			g.key.account, g.key.region, g.key.id, same).Scan(&id)
		if !errors.Is(err, store.ErrNoRows) {
			return id, err
		}
	}
	var count int
	err = tx.QueryRow(`SELECT COUNT(*) FROM kms_grant WHERE account = $1 AND region = $2 AND key_id = $3`,
		g.key.account, g.key.region, g.key.id).Scan(&count)
	if err != nil {
		return "", err
	}
	if count >= maxGrants {
		return "", call.Errorf("LimitExceededException", "%s has %d grants. The limit is %d.", g.key.arn(), count, maxGrants)
	}
	tx.OnCommit(func() { k.grants.forget(granteeRef{g.key, g.grantee.name}) })
	return g.id, g.insert(tx, same)
}

// fingerprint is of all that makes two grants the same. A grant without a name is the same as no other.
func (g *grant) fingerprint() string {
	if g.name == "" {
		return ""
	}
	operations := slices.Clone(g.operations)
	slices.Sort(operations)
	data, _ := json.Marshal([]any{ // maps are written in the order of their keys; texts and maps never fail
		g.name, g.grantee.name, g.grantee.uniqueID, g.retiring.name, g.retiring.uniqueID, g.issuer, operations, g.constraints,
	})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (k *KMS) newGrant(c *call.Call, key *key, in *kms.CreateGrantInput) (*grant, error) {
	made := &grant{
		key:     key.ref,
		id:      hex.EncodeToString(keycrypt.Random(grantIDSize / 2)),
		issuer:  c.Account(),
		created: fromMillis(toMillis(c.Time)),
	}
	if in.Name != nil {
		made.name = *in.Name
	}
	for _, op := range in.Operations {
		if !slices.Contains(made.operations, op) {
			made.operations = append(made.operations, op)
		}
	}
	if in.Constraints != nil {
		made.constraints = *in.Constraints
	}
	var err error
	if made.grantee, err = k.grantParty(in.GranteePrincipal, in.GranteeServicePrincipal); err != nil {
		return nil, err
	}
	made.retiring, err = k.grantParty(in.RetiringPrincipal, in.RetiringServicePrincipal)
	return made, err
}

// checkGrantParties checks which principals a grant names, and what each of them asks for.
func checkGrantParties(in *kms.CreateGrantInput) error {
	invalid := func(message string) error { return call.Errorf("ValidationException", "%s", message) }
	switch {
	case in.GranteePrincipal == nil && in.GranteeServicePrincipal == nil:
		return invalid("You must specify either GranteePrincipal or GranteeServicePrincipal.")
	case in.GranteePrincipal != nil && in.GranteeServicePrincipal != nil:
		return invalid("GranteePrincipal and GranteeServicePrincipal cannot both be specified.")
	case in.RetiringPrincipal != nil && in.RetiringServicePrincipal != nil:
		return invalid("RetiringPrincipal and RetiringServicePrincipal cannot both be specified.")
	case in.GranteeServicePrincipal == nil:
		return nil
	case in.Constraints == nil || in.Constraints.SourceArn == nil:
		return invalid("GranteeServicePrincipal requires the SourceArn grant constraint.")
	case in.RetiringPrincipal == nil && in.RetiringServicePrincipal == nil:
		return invalid("GranteeServicePrincipal requires RetiringPrincipal or RetiringServicePrincipal.")
	}
	return nil
}

// checkGrant says whether a grant for the key may have these operations and constraints.
func (k *key) checkGrant(in *kms.CreateGrantInput) error {
	can := grantOperations(k.spec, k.usage, k.origin)
	for _, op := range in.Operations {
		if !slices.Contains(can, op) {
			return call.Errorf("ValidationException", "Operation %s is not supported by %s, which has key spec %s and key usage %s.",
				op, k.text, k.spec, k.usage)
		}
	}
	c := in.Constraints
	if c == nil {
		return nil
	}
	if c.EncryptionContextEquals != nil && c.EncryptionContextSubset != nil {
		return call.Errorf("ValidationException",
			"EncryptionContextEquals and EncryptionContextSubset cannot both be specified.")
	}
	pairs := constrainedContext(c)
	if pairs != nil && k.spec != types.KeySpecSymmetricDefault {
		return call.Errorf("ValidationException",
			"Encryption context constraints are only supported for symmetric encryption keys, and %s has key spec %s.", k.text, k.spec)
	}
	return checkConstraint(pairs)
}

func checkConstraint(pairs map[string]string) error {
	if len(pairs) > maxConstraintPairs {
		return call.Errorf("ValidationException", "A grant constraint can have up to %d encryption context pairs.", maxConstraintPairs)
	}
	size := 0
	for name, value := range pairs {
		size += len([]rune(name)) + len([]rune(value))
		if err := checkText("constraints", name+value); err != nil {
			return err
		}
	}
	if size > maxConstraintLength {
		return call.Errorf("ValidationException", "A grant constraint can have up to %d characters.", maxConstraintLength)
	}
	return nil
}

// grantParty is a principal of a grant, given by one of two members of the input, or by none.
func (k *KMS) grantParty(principal, service *string) (party, error) {
	switch {
	case principal == nil && service == nil:
		return party{}, nil
	case principal == nil:
		if !serviceForm.MatchString(*service) {
			return party{}, call.Errorf("ValidationException", "%s is not a service principal.", *service)
		}
		return party{name: *service}, nil
	}
	name := *principal
	if isAccountID(name) {
		name = arn.Root("", name)
	}
	if !principalForm.MatchString(name) {
		return party{}, invalidPrincipal(*principal)
	}
	id, ok := k.uniqueID(name)
	if !ok {
		return party{}, invalidPrincipal(*principal)
	}
	return party{name, id}, nil
}

// uniqueID is the id of the user or role that an ARN names; ok is false if there is none. Accounts and sessions have
// none, nor has anybody where the service knows no principals.
func (k *KMS) uniqueID(name string) (id string, ok bool) {
	if k.principals.UniqueID == nil || !strings.Contains(name, ":user/") && !strings.Contains(name, ":role/") {
		return "", true
	}
	return k.principals.UniqueID(name)
}

func invalidPrincipal(name string) error {
	return call.Errorf("InvalidArnException", "ARN does not refer to a valid principal: %s", name)
}

// Forms of a grant's principals: an account, a user, a role, and the sessions of roles and of federated users.
var (
	principalForm = regexp.MustCompile(`^arn:aws(-[a-z]+)*:(iam::\d{12}:(root|(user|role)/[\w+=,.@/-]+)|` +
		`sts::\d{12}:(assumed-role/[\w+=,.@-]+|federated-user)/[\w+=,.@-]+)$`)
	serviceForm = regexp.MustCompile(`^([a-z0-9-]+\.)+amazonaws\.com(\.cn)?$`)
)
