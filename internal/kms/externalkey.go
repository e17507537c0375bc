package kms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/kms/xks"
	"vigil/internal/store"
)

// A key in an external key store encrypts twice: with its own material first, as every symmetric key does, and then, by
// the proxy, with the external key that it is bound to. Neither alone decrypts. What the proxy sees is a ciphertext.

// externalKey is what makes a key one of an external key store.
type externalKey struct {
	store *keyStore
	id    string // of the external key: XksKeyId
	kms   *KMS
}

// readExternal completes a key of an external key store. Where its store is not connected it is Unavailable, whatever state it goes
// back to when that is; only a scheduled deletion is seen all the same.
func (k *KMS) readExternal(tx store.Tx, of *key) error {
	ref := storeRef{account: of.ref.account, region: of.ref.region}
	found := &externalKey{kms: k}
	err := tx.QueryRow(`SELECT store_id, xks_id FROM kms_external_key WHERE account = $1 AND region = $2 AND key_id = $3`,
		of.ref.account, of.ref.region, of.ref.id).Scan(&ref.id, &found.id)
	if err != nil {
		return errors.Join(errors.New("the external key of "+of.text), err)
	}
	if found.store, err = k.readStore(tx, ref); err != nil {
		return err
	}
	of.external = found
	if !found.store.connected() && of.changeable(of.state) == nil {
		of.state = types.KeyStateUnavailable
	}
	return nil
}

// addMetadata adds what DescribeKey shows of a key in a custom key store.
func (e *externalKey) addMetadata(m *types.KeyMetadata) {
	m.CustomKeyStoreId = new(e.store.ref.id)
	m.XksKeyConfiguration = &types.XksKeyConfigurationType{Id: new(e.id)}
	m.CurrentKeyMaterialId = nil // of keys whose material is of KMS alone
}

// shownMaterial is the id of the current material in answers and records, empty for keys that are not KMS's alone.
func (k *key) shownMaterial() string {
	if k.external != nil {
		return ""
	}
	return k.current.ID()
}

// checkCustomKeyStore refuses what AWS KMS refuses of keys in custom key stores.
func checkCustomKeyStore(in *kms.CreateKeyInput) error {
	custom := in.Origin == types.OriginTypeExternalKeyStore || in.Origin == types.OriginTypeAwsCloudhsm
	switch {
	case !custom && in.CustomKeyStoreId != nil:
		return call.Errorf("ValidationException", "CustomKeyStoreId is not valid when Origin is %s.", in.Origin)
	case custom && in.CustomKeyStoreId == nil:
		return call.Errorf("ValidationException", "CustomKeyStoreId is required when Origin is %s.", in.Origin)
	case in.Origin != types.OriginTypeExternalKeyStore && in.XksKeyId != nil:
		return call.Errorf("ValidationException", "XksKeyId is not valid when Origin is %s.", in.Origin)
	case in.Origin == types.OriginTypeExternalKeyStore && in.XksKeyId == nil:
		return call.Errorf("ValidationException", "XksKeyId is required when Origin is %s.", in.Origin)
	case custom && in.KeySpec != types.KeySpecSymmetricDefault:
		return call.Errorf("UnsupportedOperationException", "KeySpec %s is not supported in a custom key store.", in.KeySpec)
	case custom && *in.MultiRegion:
		return call.Errorf("UnsupportedOperationException", "Multi-Region keys are not supported in a custom key store.")
	}
	return nil
}

// bindExternal binds a key that is being made to an external key, which the proxy says is a good one, and returns what
// to do in the effect.
func (k *KMS) bindExternal(ctx context.Context, c *call.Call, made *key, in *kms.CreateKeyInput) (func(store.Tx) error, error) {
	found, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	if in.Origin != types.OriginTypeExternalKeyStore {
		return nil, call.Errorf("UnsupportedOperationException", "Origin %s is not valid for the custom key store %s, whose type is %s.",
			in.Origin, found.ref.id, types.CustomKeyStoreTypeExternalKeyStore)
	}
	made.external = &externalKey{store: found, id: *in.XksKeyId, kms: k}
	check := func(tx store.Tx) error { return k.mayBind(tx, made.external) }
	if err := k.db.View(ctx, check); err != nil { // before the proxy is troubled
		return nil, err
	}
	if err := made.external.checkMetadata(ctx, c); err != nil {
		return nil, err
	}
	return func(tx store.Tx) error {
		if err := check(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO kms_external_key (account, region, key_id, store_id, xks_id) VALUES ($1, $2, $3, $4, $5)`,
			made.ref.account, made.ref.region, made.ref.id, found.ref.id, made.external.id)
		return err
	}, nil
}

// mayBind says whether a new key can be bound to an external key: its store is connected, and no other key is.
func (k *KMS) mayBind(tx store.Tx, e *externalKey) error {
	now, err := k.readStore(tx, e.store.ref)
	if err != nil {
		return err
	}
	if !now.connected() {
		return now.notIn("CONNECTED")
	}
	var bound int
	if err := tx.QueryRow(`SELECT COUNT(*) FROM kms_external_key WHERE account = $1 AND region = $2 AND store_id = $3 AND xks_id = $4`,
		now.ref.account, now.ref.region, now.ref.id, e.id).Scan(&bound); err != nil {
		return err
	}
	if bound > 0 {
		return call.Errorf("XksKeyAlreadyInUseException",
			"The external key %s is already associated with a KMS key in the custom key store %s.", e.id, now.ref.id)
	}
	return nil
}

// checkMetadata asks the proxy whether the external key is one that a KMS key can be bound to.
func (e *externalKey) checkMetadata(ctx context.Context, c *call.Call) error {
	var is xks.Metadata
	err := e.ask(c, xks.OpMetadata, func(proxy *xks.Client) (err error) {
		caller := callerOf(c)
		caller.KeyARN = "" // there is none yet
		is, err = proxy.Metadata(ctx, e.store.proxy, e.id, caller)
		return err
	})
	const code = "XksKeyInvalidConfigurationException"
	switch {
	case err != nil:
		return failedCreating(err)
	case is.Spec != "AES_256":
		return call.Errorf(code, "The key spec of the external key must be AES_256. The key spec of specified external key is %s.", is.Spec)
	case is.Status != "ENABLED":
		return call.Errorf(code, "The status of the external key must be ENABLED. The status of specified external key is %s.", is.Status)
	case !is.Can("ENCRYPT") || !is.Can("DECRYPT"):
		return call.Errorf(code, "The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external key is %s.",
			strings.Join(is.Usage, ", "))
	}
	return nil
}

// ask does one exchange with the proxy, and measures it.
func (e *externalKey) ask(c *call.Call, operation string, do func(*xks.Client) error) error {
	begun := time.Now()
	err := do(e.kms.proxies)
	what := measured{kms: c.Operation, xks: operation, keySpec: string(types.KeySpecSymmetricDefault)}
	e.kms.storeMetrics.exchange(e.store, what, time.Since(begun), err, e.kms.proxies.Timeout())
	if err != nil {
		e.kms.logFailure(e.store, c.Operation, err)
	}
	return err
}

// callerOf is what a proxy is told of a call. A service that calls for itself has no ARN, and is told by its name.
func callerOf(c *call.Call) xks.Caller {
	return xks.Caller{
		PrincipalARN: cmp.Or(c.Principal.ARN, c.Principal.Service), ViaService: c.Principal.Service,
		Operation: c.Operation, RequestID: c.RequestID,
	}
}

// note puts the key store and the external key into the record. ReEncrypt can have two: then prefix tells which.
func (e *externalKey) note(c *call.Call, prefix string) {
	if prefix == "" {
		c.Note("customKeyStoreId", e.store.ref.id)
		c.Note("xksKeyId", e.id)
		return
	}
	c.Note(prefix+"CustomKeyStoreId", e.store.ref.id)
	c.Note(prefix+"XksKeyId", e.id)
}

// seal encrypts with a symmetric key: with its material, and in an external key store with the external key too.
func (k *key) seal(ctx context.Context, c *call.Call, plaintext []byte, context map[string]string) ([]byte, error) {
	blob, err := k.current.Encrypt(k.text, plaintext, context)
	if err != nil || k.external == nil {
		return blob, err
	}
	e := k.external
	e.note(c, ofReEncrypt(c, "destination"))
	inner, err := keycrypt.Inner(blob)
	if err != nil {
		return nil, err
	}
	var sealed xks.Sealed
	err = e.ask(c, xks.OpEncrypt, func(proxy *xks.Client) (err error) {
		caller := callerOf(c)
		caller.KeyARN = k.text
		sealed, err = proxy.Encrypt(ctx, e.store.proxy, e.id, inner, additionalData(context), caller)
		return err
	})
	if err != nil {
		return nil, failedUsing(err)
	}
	return keycrypt.Wrapped(blob, keycrypt.Outer(sealed))
}

// unseal turns the blob of a key in an external key store into one that the key's material decrypts.
func (k *key) unseal(ctx context.Context, c *call.Call, blob []byte, context map[string]string) ([]byte, error) {
	outer, rebuild, err := keycrypt.Unwrap(blob)
	if err != nil {
		return nil, invalidCiphertext()
	}
	e := k.external
	e.note(c, ofReEncrypt(c, "source"))
	var inner []byte
	err = e.ask(c, xks.OpDecrypt, func(proxy *xks.Client) (err error) {
		caller := callerOf(c)
		caller.KeyARN = k.text
		inner, err = proxy.Decrypt(ctx, e.store.proxy, e.id, xks.Sealed(outer), additionalData(context), caller)
		return err
	})
	if err != nil {
		return nil, failedUsing(err)
	}
	return rebuild(inner), nil
}

// openExternal decrypts with both keys.
func (k *key) openExternal(ctx context.Context, c *call.Call, s source, material *keycrypt.Material) ([]byte, error) {
	blob, err := k.unseal(ctx, c, s.blob, s.context)
	if err != nil {
		return nil, err
	}
	plaintext, err := material.Decrypt(blob, s.context)
	if errors.Is(err, keycrypt.ErrCiphertext) {
		return nil, corruptInner()
	}
	return plaintext, err
}

// corruptInner is the answer when the proxy's plaintext is not what the key's material made.
func corruptInner() error {
	return call.Errorf("KMSInvalidStateException", "The ciphertext that the external key store proxy submitted for decryption, "+
		"or the encryption context, is corrupted, missing, or otherwise invalid.")
}

func ofReEncrypt(c *call.Call, prefix string) string {
	if c.Operation == "ReEncrypt" {
		return prefix
	}
	return ""
}

// additionalData is the encryption context as the proxy authenticates and may log it: key=value, in the order of the
// keys, separated by commas, as in the specification's example. What AWS sends is not public. Two contexts can have the
// same text: that they are different is for the inner layer to find, which does. A text that is longer than a proxy has to
// take is replaced by its hash.
func additionalData(context map[string]string) []byte {
	if len(context) == 0 {
		return nil
	}
	var text []byte
	for i, name := range slices.Sorted(maps.Keys(context)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, name...), '='), context[name]...)
	}
	if len(text) > xks.MaxAdditionalData {
		sum := sha256.Sum256(text)
		return sum[:]
	}
	return text
}

// inNoKeyStore refuses what keys in custom key stores do not do.
func (k *key) inNoKeyStore(operation string) error {
	if k.external == nil {
		return nil
	}
	return call.Errorf("UnsupportedOperationException", "%s is in a custom key store, which is not valid for %s.", k.text, operation)
}
