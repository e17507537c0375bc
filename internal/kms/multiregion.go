package kms

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// A multi-Region key is a set of keys, one in each of some regions of one partition, with the same id and the same material: what
// one of them encrypts, each decrypts. One of them is the primary, which is where what they share is changed: their material and
// its rotation. All of a set are in one database here, so that they change in one transaction and are never out of step.
// See the KMS developer guide's "Multi-Region keys in AWS KMS".

// related is one key of a set.
type related struct {
	ref  keyRef
	kind types.MultiRegionKeyType
}

// relatedOf is the set that a multi-Region key belongs to, by region. It is empty for any other key.
func relatedOf(tx store.Tx, ref keyRef) (set []related, err error) {
	rows, err := tx.Query(`SELECT region, multi_region FROM kms_key WHERE account = $1 AND id = $2 AND multi_region <> ''
		ORDER BY region`, ref.account, ref.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		r := related{ref: keyRef{account: ref.account, id: ref.id}}
		if err := rows.Scan(&r.ref.region, &r.kind); err != nil {
			return nil, err
		}
		set = append(set, r)
	}
	return set, rows.Err()
}

// replicasOf are the replicas of a set.
func replicasOf(tx store.Tx, ref keyRef) (replicas []keyRef, err error) {
	set, err := relatedOf(tx, ref)
	for _, r := range set {
		if r.kind == types.MultiRegionKeyTypeReplica {
			replicas = append(replicas, r.ref)
		}
	}
	return replicas, err
}

// sharersOf are the keys that share a key's material: the whole set of a multi-Region key, or the key alone.
func sharersOf(tx store.Tx, ref keyRef) ([]keyRef, error) {
	set, err := relatedOf(tx, ref)
	if err != nil || len(set) == 0 {
		return []keyRef{ref}, err
	}
	refs := make([]keyRef, len(set))
	for i, r := range set {
		refs[i] = r.ref
	}
	return refs, nil
}

// forget has the keys of a set read again, as each of them shows the others.
func (k *KMS) forget(set []related) {
	for _, r := range set {
		k.keys.forget(r.ref)
	}
}

// newMultiRegionID is an id as multi-Region keys have them.
func newMultiRegionID() string { return "mrk-" + strings.ReplaceAll(uuid.NewString(), "-", "") }

// configuration is the set as DescribeKey shows it.
func (k *key) configuration() *types.MultiRegionConfiguration {
	c := &types.MultiRegionConfiguration{MultiRegionKeyType: k.multiRegion, ReplicaKeys: []types.MultiRegionKey{}}
	for _, r := range k.related {
		one := types.MultiRegionKey{Arn: new(r.ref.arn().String()), Region: new(r.ref.region)}
		if r.kind == types.MultiRegionKeyTypePrimary {
			c.PrimaryKey = &one
		} else {
			c.ReplicaKeys = append(c.ReplicaKeys, one)
		}
	}
	return c
}

// primary refuses what is done at the primary key of a set only.
func (k *key) primary() error {
	if k.multiRegion != types.MultiRegionKeyTypePrimary {
		return call.Errorf("UnsupportedOperationException", "%s is not a multi-region primary key.", k.text)
	}
	return nil
}

// sharedChangeable refuses, at a replica, to change what a set shares.
func (k *key) sharedChangeable() error {
	if k.multiRegion == types.MultiRegionKeyTypeReplica {
		return k.primary()
	}
	return nil
}

// encrypted reports whether a ciphertext that names a key may be this one's: it names this one, or another of its set.
func (k *key) encrypted(keyARN string) bool {
	if keyARN == k.text {
		return true
	}
	if k.multiRegion == "" {
		return false
	}
	named, ok := parseARN(keyARN)
	return ok && named.Account == k.ref.account && named.Partition == k.arn.Partition && named.Resource == k.arn.Resource
}

// here is the key that a ciphertext made elsewhere can be decrypted with in the region that is called, if there is one: that of
// the same multi-Region key.
func here(c *call.Call, named arn.ARN) arn.ARN {
	if strings.HasPrefix(named.ID(), "mrk-") && arn.Partition(c.Region) == named.Partition {
		named.Region = c.Region
	}
	return named
}

// synchronized is the record of bringing what a set shares from its primary to its replicas.
func synchronized(primary keyRef, at time.Time) vigil.Record {
	text := primary.arn().String()
	r := call.ServiceEvent{Source: eventSource, Name: "SynchronizeMultiRegionKey", Region: primary.region, Account: primary.account,
		Time: at, Resources: []vigil.Resource{{AccountID: primary.account, Type: keyType, ARN: text}}}.CloudTrail()
	r.EventType, r.RequestID = vigil.AwsAPICall, uuid.NewString()
	r.ResponseElements = object("keyId", text)
	return r
}

// object is a JSON object of names and texts.
func object(pairs ...string) []byte {
	members := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		members[pairs[i]] = pairs[i+1]
	}
	data, _ := json.Marshal(members) // never fails for texts
	return data
}

// UpdatePrimaryRegion makes a replica the primary key of its set, and the primary a replica. It is called in the
// region of the primary.
func (k *KMS) UpdatePrimaryRegion(ctx context.Context, c *call.Call, in *kms.UpdatePrimaryRegionInput) (*kms.UpdatePrimaryRegionOutput, error) {
	a := manage("kms:UpdatePrimaryRegion").with(in)
	key, err := k.authorize(ctx, c, in.KeyId, a)
	if err != nil {
		return nil, err
	}
	if err := key.primary(); err != nil {
		return nil, err
	}
	if *in.PrimaryRegion == key.ref.region {
		return nil, call.Errorf("ValidationException", "%s is the primary key in %s already.", key.text, key.ref.region)
	}
	next, err := k.load(ctx, keyRef{key.ref.account, *in.PrimaryRegion, key.ref.id})
	if errors.Is(err, store.ErrNoRows) {
		return nil, noSuchKey(keyRef{key.ref.account, *in.PrimaryRegion, key.ref.id})
	}
	if err != nil {
		return nil, err
	}
	if err := c.Allow(a.action, next.resource(), (&question{ctx: ctx, k: k, c: c, a: a, of: next}).value); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error { return k.movePrimary(tx, key, next) })
	c.Responded("keyId", key.text)
	c.Also(func(own vigil.Record) vigil.Record {
		own.UserIdentity.InvokedBy = eventSource
		own.AWSRegion, own.EventID = next.ref.region, call.NewEventID(c.Time)
		own.RequestParameters = object("keyId", next.text, "primaryRegion", next.ref.region)
		own.ResponseElements = object("keyId", next.text)
		own.Resources = []vigil.Resource{{AccountID: next.ref.account, Type: keyType, ARN: next.text}}
		return own
	})
	c.Also(func(vigil.Record) vigil.Record { return synchronized(next.ref, c.Time) })
	return &kms.UpdatePrimaryRegionOutput{}, nil
}

func (k *KMS) movePrimary(tx store.Tx, from, to *key) error {
	for _, one := range []*key{from, to} {
		state, err := stateOf(tx, one.ref)
		if err != nil {
			return err
		}
		if err := one.enabled(state); err != nil {
			return err
		}
	}
	moved, err := tx.Exec(`UPDATE kms_key SET multi_region = 'REPLICA' WHERE account = $1 AND region = $2 AND id = $3
		AND multi_region = 'PRIMARY'`, from.ref.account, from.ref.region, from.ref.id)
	if err != nil {
		return err
	}
	if moved == 0 { // another call was faster
		return (&key{text: from.text, multiRegion: types.MultiRegionKeyTypeReplica}).primary()
	}
	if _, err := tx.Exec(`UPDATE kms_key SET multi_region = 'PRIMARY' WHERE account = $1 AND region = $2 AND id = $3`,
		to.ref.account, to.ref.region, to.ref.id); err != nil {
		return err
	}
	set, err := relatedOf(tx, from.ref)
	tx.OnCommit(func() {
		k.forget(set)
		k.wake()
	})
	return err
}

// releasePrimary begins the waiting period of a primary key whose last replica has been destroyed. It returns the set that is left.
func releasePrimary(tx store.Tx, destroyed keyRef, now time.Time) ([]related, error) {
	set, err := relatedOf(tx, destroyed)
	if err != nil || len(set) != 1 {
		return set, err
	}
	_, err = tx.Exec(`UPDATE kms_key SET state = 'PendingDeletion', deletion = $4 + pending_window * 86400000, pending_window = 0
		WHERE account = $1 AND region = $2 AND id = $3 AND state = 'PendingReplicaDeletion'`,
		set[0].ref.account, set[0].ref.region, set[0].ref.id, toMillis(now))
	return set, err
}
