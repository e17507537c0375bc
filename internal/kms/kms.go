// Package kms is the key management service: the operations of the AWS KMS API, on keys that it keeps.
//
// A handler reads like a sentence: find the key, ask whether the caller may, check that the key can, do it. Everything
// that changes something is the call's effect, which looks again, in the transaction that records the call, at all that
// it depends on.
//
//   - key.go      what a key is, and what its state lets it do
//   - resolve.go  from what a caller names to a key, and may they? cache.go keeps keys at hand
//   - conditions.go, conditions_request.go, grant.go   what policies and grants ask of a request; creategrant.go and retiregrant.go make and end grants
//   - create.go, state.go, deletion.go, keypolicy.go, tags.go, alias.go, list.go   the life of keys
//   - material.go, rotation.go, import.go, importtoken.go, expiry.go   the life of what keys encrypt with
//   - multiregion.go, replicate.go, managed.go   keys in several regions, keys of services
//   - background.go   what happens to keys when its time has come
//   - encrypt.go, decrypt.go, datakey.go, mac.go, random.go   what symmetric keys are for
//   - sign.go, publickey.go, publicencrypt.go, derive.go, encapsulate.go, datakeypair.go   what key pairs are for
//   - recipient.go   results that are for an attested environment only
//   - algorithms.go   which key does which of it, with which algorithms
//   - keystore.go, externalkey.go   external key stores, and keys in them
//
// Errors, their codes and texts are AWS's: those that were recorded against AWS KMS word for word, the others in its
// manner.
package kms

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/kms/attestation"
	"vigil/internal/kms/xks"
	"vigil/internal/store"
)

// Config is what a KMS needs. DB, Clock, Material and Journal are required.
type Config struct {
	DB       store.DB
	Clock    clock.Clock
	Material Wrapper
	Journal  Journal
	// LastUse finds the last successful cryptographic operation with a key since the key was created. It says false
	// when there was none. Without it, GetKeyLastUsage answers that it is not supported.
	LastUse func(ctx context.Context, keyARN string) (Usage, bool, error)
	// Principals knows the users and roles that policies and grants may name. Without it, all are taken for existing.
	Principals Principals
	// Attestation is whose attestation documents are trusted. Without it, a request with a Recipient is refused.
	Attestation *attestation.Trust
	Log         *slog.Logger

	// Proxies is how the proxies of external key stores are reached.
	Proxies xks.Options
	// PutMetrics is given what was measured of custom key stores, every minute and when RunKeyStores ends. It may be nil.
	PutMetrics func(ctx context.Context, account, region string, metrics []Metric) error
}

// Principals looks users and roles up.
type Principals struct {
	// UniqueID is the unique id (AIDA…, AROA…) of the user or role with that ARN, and false if there is none.
	UniqueID func(arn string) (id string, ok bool)
	// ARN is the reverse: the ARN of who has a unique id now.
	ARN func(uniqueID string) (arn string, ok bool)
}

// Wrapper encrypts key material, which is never stored in any other form. What was wrapped with a context
// only unwraps with the same. It is used by many goroutines.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(wrapped, context []byte) ([]byte, error)
}

// Journal records what the service does by itself: see journal.Journal.
type Journal interface {
	Commit(ctx context.Context, effect func(store.Tx) error, record func(error) []journal.Record) error
}

// Usage is one use of a key, as its record tells it.
type Usage struct {
	Operation string // Encrypt
	Time      time.Time
	RequestID string
	EventID   string
}

// KMS is the service. It is used by many goroutines.
type KMS struct {
	db       store.DB
	clock    clock.Clock
	material Wrapper
	journal  Journal
	lastUse  func(context.Context, string) (Usage, bool, error) // or nil
	log      *slog.Logger

	principals Principals
	trust      *attestation.Trust // or nil

	keys      *cache[keyRef, *key]
	grants    *cache[granteeRef, *grantList]
	aliases   *cache[aliasRef, string] // to the id of the key that the alias names
	scheduled chan struct{}            // has a token when something was given a date that Run has not looked at

	proxies      *xks.Client
	storeMetrics storeMetrics
	emit         func(context.Context, string, string, []Metric) error // or nil
	connecting   chan struct{}                                         // has a token when there is a key store that RunKeyStores is to connect
}

// New opens the service's tables. Run must run for keys to be destroyed, and rotated, when their time has come.
func New(ctx context.Context, config Config) (*KMS, error) {
	if config.DB == nil || config.Clock == nil || config.Material == nil || config.Journal == nil {
		return nil, errors.New("kms: DB, Clock, Material and Journal are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if err := config.DB.Migrate(ctx, "kms", migrations...); err != nil {
		return nil, err
	}
	return &KMS{
		db:         config.DB,
		clock:      config.Clock,
		material:   config.Material,
		journal:    config.Journal,
		lastUse:    config.LastUse,
		log:        config.Log,
		principals: config.Principals,
		trust:      config.Attestation,
		keys:       newCache[keyRef, *key](maxCachedKeys),
		grants:     newCache[granteeRef, *grantList](maxCachedGrants),
		aliases:    newCache[aliasRef, string](maxCachedAliases),
		scheduled:  make(chan struct{}, 1),

		proxies:    xks.NewClient(config.Proxies),
		emit:       config.PutMetrics,
		connecting: make(chan struct{}, 1),
	}, nil
}

// Service lists the operations. The operations of AWS KMS that are missing here are not built yet.
func (k *KMS) Service() call.Service {
	return call.Service{
		Name:          "kms",
		EventSource:   eventSource,
		InternalError: "KMSInternalException",
		Operations: []call.Operation{
			call.Op("CancelKeyDeletion", k.CancelKeyDeletion),
			call.Op("ConnectCustomKeyStore", k.ConnectCustomKeyStore),
			call.Op("CreateAlias", k.CreateAlias),
			call.Op("CreateCustomKeyStore", k.CreateCustomKeyStore).Without("XksProxyAuthenticationCredential", "TrustAnchorCertificate"),
			call.Op("CreateGrant", k.CreateGrant),
			call.Op("CreateKey", k.CreateKey),
			call.Read("Decapsulate", k.Decapsulate),
			call.Read("Decrypt", k.Decrypt).Without("Recipient"),
			call.Op("DeleteAlias", k.DeleteAlias),
			call.Op("DeleteCustomKeyStore", k.DeleteCustomKeyStore),
			call.Op("DeleteImportedKeyMaterial", k.DeleteImportedKeyMaterial),
			call.Read("DeriveSharedSecret", k.DeriveSharedSecret).Without("Recipient"),
			call.Read("DescribeCustomKeyStores", k.DescribeCustomKeyStores),
			call.Read("DescribeKey", k.DescribeKey),
			call.Op("DisableKey", k.DisableKey),
			call.Op("DisableKeyRotation", k.DisableKeyRotation),
			call.Op("DisconnectCustomKeyStore", k.DisconnectCustomKeyStore),
			call.Op("EnableKey", k.EnableKey),
			call.Op("EnableKeyRotation", k.EnableKeyRotation),
			call.Read("Encapsulate", k.Encapsulate),
			call.Read("Encrypt", k.Encrypt),
			call.Read("GenerateDataKey", k.GenerateDataKey).Without("Recipient"),
			call.Read("GenerateDataKeyPair", k.GenerateDataKeyPair).Without("Recipient"),
			call.Read("GenerateDataKeyPairWithoutPlaintext", k.GenerateDataKeyPairWithoutPlaintext),
			call.Read("GenerateDataKeyWithoutPlaintext", k.GenerateDataKeyWithoutPlaintext),
			call.Read("GenerateMac", k.GenerateMac),
			call.Read("GenerateRandom", k.GenerateRandom).Without("NumberOfBytes", "Recipient"),
			call.Read("GetKeyLastUsage", k.GetKeyLastUsage),
			call.Read("GetKeyPolicy", k.GetKeyPolicy),
			call.Read("GetKeyRotationStatus", k.GetKeyRotationStatus),
			call.Read("GetParametersForImport", k.GetParametersForImport),
			call.Read("GetPublicKey", k.GetPublicKey),
			call.Op("ImportKeyMaterial", k.ImportKeyMaterial),
			call.Read("ListAliases", k.ListAliases),
			call.Read("ListGrants", k.ListGrants),
			call.Read("ListKeyPolicies", k.ListKeyPolicies),
			call.Read("ListKeyRotations", k.ListKeyRotations),
			call.Read("ListKeys", k.ListKeys),
			call.Read("ListResourceTags", k.ListResourceTags),
			call.Read("ListRetirableGrants", k.ListRetirableGrants),
			call.Op("PutKeyPolicy", k.PutKeyPolicy),
			call.Read("ReEncrypt", k.ReEncrypt),
			call.Op("ReplicateKey", k.ReplicateKey),
			call.Op("RotateKeyOnDemand", k.RotateKeyOnDemand),
			call.Op("RetireGrant", k.RetireGrant).Without("*"),
			call.Op("RevokeGrant", k.RevokeGrant),
			call.Op("ScheduleKeyDeletion", k.ScheduleKeyDeletion),
			call.Read("Sign", k.Sign),
			call.Op("TagResource", k.TagResource),
			call.Op("UntagResource", k.UntagResource),
			call.Op("UpdateAlias", k.UpdateAlias),
			call.Op("UpdateCustomKeyStore", k.UpdateCustomKeyStore).Without("XksProxyAuthenticationCredential"),
			call.Op("UpdateKeyDescription", k.UpdateKeyDescription),
			call.Op("UpdatePrimaryRegion", k.UpdatePrimaryRegion),
			call.Read("Verify", k.Verify),
			call.Read("VerifyMac", k.VerifyMac),
		},
	}
}

const (
	eventSource = "kms.amazonaws.com"
	keyType     = "AWS::KMS::Key" // of keys and of aliases too, as CloudTrail has it
)

// migrations are the tables. A key's parts are named by its account, region and id. Times are milliseconds since 1970,
// and 0 is no time.
var migrations = []string{
	`CREATE TABLE kms_key (
		account     TEXT NOT NULL,
		region      TEXT NOT NULL,
		id          TEXT NOT NULL,
		spec        TEXT NOT NULL,
		key_usage   TEXT NOT NULL,
		origin      TEXT NOT NULL,
		state       TEXT NOT NULL,
		description TEXT NOT NULL,
		policy      TEXT NOT NULL,
		material    TEXT NOT NULL,   -- the id of the current one
		created     BIGINT NOT NULL,
		deletion    BIGINT NOT NULL, -- when it is destroyed, while the state is PendingDeletion
		PRIMARY KEY (account, region, id));
	CREATE INDEX kms_key_deletion ON kms_key (deletion) WHERE deletion > 0;

	CREATE TABLE kms_material (
		account TEXT NOT NULL,
		region  TEXT NOT NULL,
		key_id  TEXT NOT NULL,
		id      TEXT NOT NULL,
		wrapped BYTEA NOT NULL, -- in the context of the key and of the id of the material; empty while it is not here
		created BIGINT NOT NULL,
		PRIMARY KEY (account, region, key_id, id));

	CREATE TABLE kms_alias (
		account TEXT NOT NULL,
		region  TEXT NOT NULL,
		name    TEXT NOT NULL, -- with alias/
		key_id  TEXT NOT NULL,
		created BIGINT NOT NULL,
		updated BIGINT NOT NULL,
		PRIMARY KEY (account, region, name));
	CREATE INDEX kms_alias_key ON kms_alias (account, region, key_id, name);

	CREATE TABLE kms_tag (
		account TEXT NOT NULL,
		region  TEXT NOT NULL,
		key_id  TEXT NOT NULL,
		name    TEXT NOT NULL,
		value   TEXT NOT NULL,
		PRIMARY KEY (account, region, key_id, name));`,

	// Several materials of one key, which may be imported and go away; keys in several regions; keys of AWS's own services.
	`ALTER TABLE kms_key ADD COLUMN manager TEXT NOT NULL DEFAULT 'CUSTOMER';
	ALTER TABLE kms_key ADD COLUMN multi_region TEXT NOT NULL DEFAULT '';      -- PRIMARY, REPLICA
	ALTER TABLE kms_key ADD COLUMN pending_window BIGINT NOT NULL DEFAULT 0;   -- days, while the state is PendingReplicaDeletion
	ALTER TABLE kms_key ADD COLUMN rotation_period BIGINT NOT NULL DEFAULT 0;  -- days, 0 without automatic rotation
	ALTER TABLE kms_key ADD COLUMN next_rotation BIGINT NOT NULL DEFAULT 0;    -- when it is due, also while the key is disabled
	CREATE INDEX kms_key_rotation ON kms_key (next_rotation) WHERE next_rotation > 0;
	CREATE INDEX kms_key_related ON kms_key (account, id) WHERE multi_region <> '';

	ALTER TABLE kms_material ADD COLUMN ordinal BIGINT NOT NULL DEFAULT 1;         -- the order in which a key's became known
	ALTER TABLE kms_material ADD COLUMN state TEXT NOT NULL DEFAULT 'CURRENT';
	ALTER TABLE kms_material ADD COLUMN rotated BIGINT NOT NULL DEFAULT 0;         -- when it became the current one, unless it was the first
	ALTER TABLE kms_material ADD COLUMN rotation_type TEXT NOT NULL DEFAULT '';
	ALTER TABLE kms_material ADD COLUMN valid_to BIGINT NOT NULL DEFAULT 0;        -- when imported material is destroyed
	ALTER TABLE kms_material ADD COLUMN description TEXT NOT NULL DEFAULT '';
	CREATE INDEX kms_material_expiry ON kms_material (valid_to) WHERE valid_to > 0`,

	`CREATE TABLE kms_grant (
		account     TEXT NOT NULL,
		region      TEXT NOT NULL,
		key_id      TEXT NOT NULL,
		id          TEXT NOT NULL,
		name        TEXT NOT NULL, -- may be empty
		same        TEXT NOT NULL, -- of a grant with a name, what tells whether another is the same
		grantee     TEXT NOT NULL, -- an ARN or the name of a service
		grantee_id  TEXT NOT NULL, -- the unique id that the grantee had
		retiring    TEXT NOT NULL,
		retiring_id TEXT NOT NULL,
		issuer      TEXT NOT NULL, -- the account in which it was made
		operations  TEXT NOT NULL, -- with spaces between them
		constraints TEXT NOT NULL, -- JSON
		created     BIGINT NOT NULL,
		PRIMARY KEY (account, region, key_id, id));
	CREATE INDEX kms_grant_grantee ON kms_grant (account, region, key_id, grantee);
	CREATE INDEX kms_grant_same ON kms_grant (account, region, key_id, same) WHERE same <> '';
	CREATE INDEX kms_grant_retiring ON kms_grant (retiring, region, id) WHERE retiring <> '';

	CREATE TABLE kms_policy_principal ( -- the users and roles that a key's policy names, as they were when it was put
		account   TEXT NOT NULL,
		region    TEXT NOT NULL,
		key_id    TEXT NOT NULL,
		arn       TEXT NOT NULL,
		unique_id TEXT NOT NULL,
		PRIMARY KEY (account, region, key_id, arn))`,

	// External key stores, and which external key each of their keys is bound to.
	`CREATE TABLE kms_key_store (
		account    TEXT NOT NULL,
		region     TEXT NOT NULL,
		id         TEXT NOT NULL,
		name       TEXT NOT NULL,
		state      TEXT NOT NULL,
		error_code TEXT NOT NULL,   -- of the state FAILED
		endpoint   TEXT NOT NULL,
		path       TEXT NOT NULL,
		access_key TEXT NOT NULL,
		secret     BYTEA NOT NULL,  -- wrapped in the context of the key store and of the access key
		created    BIGINT NOT NULL,
		credited   BIGINT NOT NULL, -- when the credential was set
		version    BIGINT NOT NULL, -- how often it was changed
		PRIMARY KEY (account, region, id));
	CREATE INDEX kms_key_store_state ON kms_key_store (state);

	CREATE TABLE kms_external_key (
		account  TEXT NOT NULL,
		region   TEXT NOT NULL,
		key_id   TEXT NOT NULL,
		store_id TEXT NOT NULL,
		xks_id   TEXT NOT NULL,
		PRIMARY KEY (account, region, key_id));
	CREATE UNIQUE INDEX kms_external_key_id ON kms_external_key (account, region, store_id, xks_id)`,
}
