package kms

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/kms/xks"
	"vigil/internal/paging"
	"vigil/internal/store"
)

// Custom key stores: external ones, whose keys are in a key manager that is reached through its proxy. See the KMS developer
// guide's "External key stores".
//
//   - keystore.go          what a key store is; DescribeCustomKeyStores
//   - keystorecreate.go    creating, changing and deleting them
//   - keystoreconnect.go   connecting them; RunKeyStores watches how they are
//   - externalkey.go       keys in them
//   - proxyfailure.go      the answers when a proxy fails
//   - keystoremetrics.go   what is measured

// maxKeyStores is AWS's quota, in one account and region.
const maxKeyStores = 10

// storeRef is where a key store is.
type storeRef struct{ account, region, id string }

func newStoreRef(account, region string) storeRef {
	var random [9]byte
	rand.Read(random[:])
	return storeRef{account, region, "cks-" + hex.EncodeToString(random[:])[:17]}
}

func (r storeRef) arn() arn.ARN { return arn.New("kms", r.region, r.account, "custom-key-store/"+r.id) }

// wrapContext binds a wrapped secret to its key store and access key.
func (r storeRef) wrapContext(accessKeyID string) []byte {
	return []byte(r.arn().String() + "\nxks proxy credential " + accessKeyID)
}

// keyStore is what was known of an external key store at one moment. It does not change.
type keyStore struct {
	ref      storeRef
	name     string
	state    types.ConnectionStateType
	code     types.ConnectionErrorCodeType // of the state FAILED
	proxy    xks.Proxy
	created  time.Time
	credited time.Time // when the credential was set
	version  int64     // grows with each change of anything above
}

func (s *keyStore) connected() bool { return s.state == types.ConnectionStateTypeConnected }

// entry is the key store as DescribeCustomKeyStores shows it.
func (s *keyStore) entry() types.CustomKeyStoresListEntry {
	return types.CustomKeyStoresListEntry{
		ConnectionErrorCode: s.code,
		ConnectionState:     s.state,
		CreationDate:        new(s.created),
		CustomKeyStoreId:    new(s.ref.id),
		CustomKeyStoreName:  new(s.name),
		CustomKeyStoreType:  types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyConfiguration: &types.XksProxyConfigurationType{
			AccessKeyId:  new(s.proxy.Credential.AccessKeyID),
			Connectivity: types.XksProxyConnectivityTypePublicEndpoint,
			UriEndpoint:  new(s.proxy.Endpoint),
			UriPath:      new(s.proxy.Path),
		},
	}
}

const storeColumns = `account, region, id, name, state, error_code, endpoint, path, access_key, secret, created, credited, version`

func (k *KMS) scanStore(row store.Scanner) (*keyStore, error) {
	s := new(keyStore)
	var accessKey string
	var wrapped []byte
	var created, credited int64
	if err := row.Scan(&s.ref.account, &s.ref.region, &s.ref.id, &s.name, &s.state, &s.code, &s.proxy.Endpoint, &s.proxy.Path,
		&accessKey, &wrapped, &created, &credited, &s.version); err != nil {
		return nil, err
	}
	secret, err := k.material.Unwrap(wrapped, s.ref.wrapContext(accessKey))
	if err != nil {
		return nil, fmt.Errorf("unwrap the proxy credential of %s: %w", s.ref.id, err)
	}
	s.proxy.Credential, s.proxy.Region = xks.NewCredential(accessKey, string(secret)), s.ref.region
	clear(secret)
	s.created, s.credited = fromMillis(created), fromMillis(credited)
	return s, nil
}

// readStore loads a key store as the transaction sees it.
func (k *KMS) readStore(tx store.Tx, ref storeRef) (*keyStore, error) {
	s, err := k.scanStore(tx.QueryRow(`SELECT `+storeColumns+` FROM kms_key_store WHERE account = $1 AND region = $2 AND id = $3`,
		ref.account, ref.region, ref.id))
	if errors.Is(err, store.ErrNoRows) {
		return nil, call.Errorf("CustomKeyStoreNotFoundException", "The custom key store %s does not exist.", ref.id)
	}
	return s, err
}

// keyStore finds a key store of the caller's account.
func (k *KMS) keyStore(ctx context.Context, c *call.Call, id string) (found *keyStore, err error) {
	err = k.db.View(ctx, func(tx store.Tx) error {
		found, err = k.readStore(tx, storeRef{c.Account(), c.Region, id})
		return err
	})
	return found, err
}

// storesOf are the key stores that a query's WHERE finds.
func (k *KMS) storesOf(ctx context.Context, where string, args ...any) ([]*keyStore, error) {
	return list(ctx, k.db, k.scanStore, `SELECT `+storeColumns+` FROM kms_key_store `+where, args...)
}

// storeChanged has the keys in a key store read again when the transaction is committed.
func (k *KMS) storeChanged(tx store.Tx, ref storeRef) error {
	keys, err := keysOf(tx, `SELECT account, region, key_id FROM kms_external_key WHERE account = $1 AND region = $2 AND store_id = $3`,
		ref.account, ref.region, ref.id)
	if err != nil {
		return err
	}
	tx.OnCommit(func() {
		for _, ref := range keys {
			k.keys.forget(ref)
		}
	})
	return nil
}

// DescribeCustomKeyStores lists the custom key stores of the account and region by id, or the one with an id or a name. It
// never shows a secret.
func (k *KMS) DescribeCustomKeyStores(ctx context.Context, c *call.Call, in *kms.DescribeCustomKeyStoresInput) (
	*kms.DescribeCustomKeyStoresOutput, error) {
	if err := allowAny(c, "kms:DescribeCustomKeyStores", in); err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != nil && in.CustomKeyStoreName != nil {
		return nil, call.Errorf("ValidationException", "CustomKeyStoreId and CustomKeyStoreName cannot both be specified.")
	}
	page := paging.New(in.Limit, 100, 1000, c.Operation, c.Account(), c.Region)
	after, err := pageAfter(page, in.Marker)
	if err != nil {
		return nil, err
	}
	var stores []*keyStore
	switch {
	case in.CustomKeyStoreId != nil:
		one, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
		if err != nil {
			return nil, err
		}
		stores = []*keyStore{one}
	case in.CustomKeyStoreName != nil:
		if stores, err = k.storesOf(ctx, `WHERE account = $1 AND region = $2 AND name = $3`, c.Account(), c.Region, *in.CustomKeyStoreName); err != nil {
			return nil, err
		}
		if len(stores) == 0 {
			return nil, call.Errorf("CustomKeyStoreNotFoundException", "The custom key store %s does not exist.", *in.CustomKeyStoreName)
		}
	default:
		if stores, err = k.storesOf(ctx, `WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4`,
			c.Account(), c.Region, after, page.Limit+1); err != nil {
			return nil, err
		}
	}
	stores, next := paging.Cut(page, stores, func(s *keyStore) string { return s.ref.id })
	out := &kms.DescribeCustomKeyStoresOutput{CustomKeyStores: []types.CustomKeyStoresListEntry{}, NextMarker: next, Truncated: next != nil}
	for _, s := range stores {
		out.CustomKeyStores = append(out.CustomKeyStores, s.entry())
	}
	return out, nil
}

// noteStore puts a key store into the record.
func noteStore(c *call.Call, s *keyStore) { c.Note("customKeyStoreName", s.name) }
