package kms

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// ReplicateKey makes a key in another region of the same partition that has the id and all the material of a multi-Region primary
// key, with a policy, description and tags of its own. Imported material is not copied: the replica waits for it.
// The answer shows the replica in the state Creating; when it has come, the replica is there.
func (k *KMS) ReplicateKey(ctx context.Context, c *call.Call, in *kms.ReplicateKeyInput) (*kms.ReplicateKeyOutput, error) {
	if in.Description == nil {
		in.Description = new("")
	}
	primary, err := k.authorize(ctx, c, in.KeyId, manage("kms:ReplicateKey").with(in))
	if err != nil {
		return nil, err
	}
	if err := allowAny(c, "kms:CreateKey", in); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := allowAny(c, "kms:TagResource", in); err != nil {
			return nil, err
		}
	}
	if err := checkReplica(primary, in); err != nil {
		return nil, err
	}
	made := replica(c, primary, in)
	document, err := k.initialPolicy(c, made, &kms.CreateKeyInput{
		Policy: in.Policy, BypassPolicyLockoutSafetyCheck: in.BypassPolicyLockoutSafetyCheck})
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error { return k.insertReplica(tx, primary, made, document, in.Tags) })
	c.Also(func(own vigil.Record) vigil.Record { return createdReplica(own, made, in) })
	c.Also(func(vigil.Record) vigil.Record { return synchronized(primary.ref, c.Time) })
	out := &kms.ReplicateKeyOutput{ReplicaKeyMetadata: made.metadata(), ReplicaPolicy: &document, ReplicaTags: in.Tags}
	out.ReplicaKeyMetadata.KeyState, out.ReplicaKeyMetadata.Enabled = types.KeyStateCreating, false
	return out, nil
}

func checkReplica(primary *key, in *kms.ReplicateKeyInput) error {
	if err := primary.primary(); err != nil {
		return err
	}
	if err := primary.enabled(primary.state); err != nil {
		return err
	}
	region := *in.ReplicaRegion
	if arn.Partition(region) != primary.arn.Partition {
		return call.Errorf("ValidationException", "%s cannot be replicated into %s, which is not a Region of the partition %s.",
			primary.text, region, primary.arn.Partition)
	}
	if region == primary.ref.region {
		return alreadyReplicated(primary.ref)
	}
	if err := checkText("description", *in.Description); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

func alreadyReplicated(ref keyRef) error {
	return call.Errorf("AlreadyExistsException", "Key '%s' already exists", ref.arn())
}

// replica is the key that will be made: the primary's, in another region.
func replica(c *call.Call, primary *key, in *kms.ReplicateKeyInput) *key {
	ref := keyRef{primary.ref.account, *in.ReplicaRegion, primary.ref.id}
	made := &key{
		ref: ref, arn: ref.arn(), text: ref.arn().String(),
		spec: primary.spec, usage: primary.usage, origin: primary.origin, manager: primary.manager,
		state:       types.KeyStateEnabled,
		multiRegion: types.MultiRegionKeyTypeReplica,
		description: *in.Description,
		created:     fromMillis(toMillis(c.Time)),
		currentID:   primary.currentID,
	}
	made.related = append(append(made.related, primary.related...), related{ref, types.MultiRegionKeyTypeReplica})
	if made.origin == types.OriginTypeExternal {
		made.state = types.KeyStatePendingImport
	}
	return made
}

// insertReplica stores a replica with what the primary has at that moment.
func (k *KMS) insertReplica(tx store.Tx, primary, made *key, document string, tags []types.Tag) error {
	state, err := stateOf(tx, primary.ref)
	if err != nil {
		return err
	}
	if err := primary.enabled(state); err != nil {
		return err
	}
	if _, err := stateOf(tx, made.ref); err == nil {
		return alreadyReplicated(made.ref)
	} else if _, refused := errors.AsType[*call.Error](err); !refused {
		return err
	}
	if err := roomForKey(tx, made); err != nil {
		return err
	}
	inserted, err := tx.Exec(`INSERT INTO kms_key (account, region, id, spec, key_usage, origin, state, description, policy, material,
		created, deletion, manager, multi_region, rotation_period, next_rotation)
		SELECT account, CAST($4 AS TEXT), id, spec, key_usage, origin, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS TEXT), material,
		CAST($8 AS BIGINT), 0, manager, 'REPLICA', rotation_period, next_rotation
		FROM kms_key WHERE account = $1 AND region = $2 AND id = $3 AND multi_region = 'PRIMARY'`,
		primary.ref.account, primary.ref.region, primary.ref.id, made.ref.region, string(made.state), made.description, document,
		toMillis(made.created))
	if err != nil {
		return err
	}
	if inserted == 0 { // another call has made it a replica
		return (&key{text: primary.text, multiRegion: types.MultiRegionKeyTypeReplica}).primary()
	}
	if err := k.copyVersions(tx, primary.ref, made.ref); err != nil {
		return err
	}
	set, err := relatedOf(tx, primary.ref)
	if err != nil {
		return err
	}
	tx.OnCommit(func() { k.forget(set) })
	if err := k.putPrincipals(tx, made.ref, document); err != nil {
		return err
	}
	return putTags(tx, made.ref, tags)
}

// copyVersions gives a replica all the material of its primary: of imported material, all but itself.
func (k *KMS) copyVersions(tx store.Tx, from, to keyRef) error {
	all, err := versionsOf(tx, from)
	if err != nil {
		return err
	}
	var origin types.OriginType
	if err := tx.QueryRow(`SELECT origin FROM kms_key WHERE account = $1 AND region = $2 AND id = $3`,
		from.account, from.region, from.id).Scan(&origin); err != nil {
		return err
	}
	for i := range all {
		v := all[i]
		if origin == types.OriginTypeExternal {
			v = v.absent()
		} else {
			material, err := k.unwrap(from, &v)
			if err != nil {
				return err
			}
			if v.wrapped, err = k.wrap(to, material); err != nil {
				return err
			}
		}
		if err := v.put(tx, to); err != nil {
			return err
		}
	}
	_, err = awaitReplicas(tx, from)
	return err
}

// createdReplica is the record of the replica's creation in its own region.
func createdReplica(own vigil.Record, made *key, in *kms.ReplicateKeyInput) vigil.Record {
	own.EventName, own.EventID = "CreateKey", call.NewEventID(own.EventTime)
	own.UserIdentity.InvokedBy = eventSource
	own.AWSRegion = made.ref.region
	own.Resources = []vigil.Resource{{AccountID: made.ref.account, Type: keyType, ARN: made.text}}
	own.RequestParameters, _ = json.Marshal(map[string]any{ // never fails for these
		"keySpec": made.spec, "customerMasterKeySpec": made.spec, "keyUsage": made.usage, "origin": made.origin, "multiRegion": true,
		"description": made.description, "bypassPolicyLockoutSafetyCheck": in.BypassPolicyLockoutSafetyCheck,
	})
	var response struct {
		Metadata json.RawMessage `json:"replicaKeyMetadata"`
	}
	if json.Unmarshal(own.ResponseElements, &response) == nil && response.Metadata != nil {
		own.ResponseElements, _ = json.Marshal(map[string]json.RawMessage{"keyMetadata": response.Metadata})
	}
	return own
}
