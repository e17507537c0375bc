package kms

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"

	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/kms/xks"
	"vigil/internal/store"
)

// ConnectCustomKeyStore begins to connect a key store, which is CONNECTING until RunKeyStores has asked its proxy how it
// is: CONNECTED or FAILED then. It does nothing to one that is connecting or connected.
func (k *KMS) ConnectCustomKeyStore(ctx context.Context, c *call.Call, in *kms.ConnectCustomKeyStoreInput) (
	*kms.ConnectCustomKeyStoreOutput, error) {
	if err := allowAny(c, "kms:ConnectCustomKeyStore", in); err != nil {
		return nil, err
	}
	found, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	noteStore(c, found)
	c.Effect(func(tx store.Tx) error {
		now, err := k.readStore(tx, found.ref)
		if err != nil {
			return err
		}
		switch now.state {
		case types.ConnectionStateTypeConnecting, types.ConnectionStateTypeConnected:
			return nil
		case types.ConnectionStateTypeDisconnected:
			tx.OnCommit(k.connectSoon)
			return k.setConnection(tx, now, types.ConnectionStateTypeConnecting, "")
		}
		return now.notIn("DISCONNECTED")
	})
	return &kms.ConnectCustomKeyStoreOutput{}, nil
}

// DisconnectCustomKeyStore makes the keys in a key store unavailable, until it is connected again.
func (k *KMS) DisconnectCustomKeyStore(ctx context.Context, c *call.Call, in *kms.DisconnectCustomKeyStoreInput) (
	*kms.DisconnectCustomKeyStoreOutput, error) {
	if err := allowAny(c, "kms:DisconnectCustomKeyStore", in); err != nil {
		return nil, err
	}
	found, err := k.keyStore(ctx, c, *in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	noteStore(c, found)
	c.Effect(func(tx store.Tx) error {
		now, err := k.readStore(tx, found.ref)
		if err != nil {
			return err
		}
		if now.state == types.ConnectionStateTypeDisconnected {
			return now.notIn("CONNECTED, CONNECTING or FAILED")
		}
		return k.setConnection(tx, now, types.ConnectionStateTypeDisconnected, "")
	})
	return &kms.DisconnectCustomKeyStoreOutput{}, nil
}

func (k *KMS) setConnection(tx store.Tx, of *keyStore, state types.ConnectionStateType, code types.ConnectionErrorCodeType) error {
	_, err := tx.Exec(`UPDATE kms_key_store SET state = $4, error_code = $5, version = version + 1 WHERE account = $1 AND region = $2 AND id = $3`,
		of.ref.account, of.ref.region, of.ref.id, state, code)
	if err != nil {
		return err
	}
	return k.storeChanged(tx, of.ref)
}

// tryProxy asks the proxy of a key store that is to be made or changed how it is, in a call.
func (k *KMS) tryProxy(ctx context.Context, c *call.Call, s *keyStore) error {
	if _, err := k.health(ctx, s, c.Operation, c.RequestID); err != nil {
		k.logFailure(s, c.Operation, err)
		return failedManaging(err)
	}
	return nil
}

// health asks the proxy of a key store how it is. That none of the key managers behind it is available is a failure.
func (k *KMS) health(ctx context.Context, s *keyStore, operation, requestID string) (xks.Health, error) {
	begun := time.Now()
	health, err := k.proxies.Health(ctx, s.proxy, xks.Caller{Operation: operation, RequestID: requestID})
	k.storeMetrics.exchange(s, measured{kms: operation, xks: xks.OpHealth}, time.Since(begun), err, k.proxies.Timeout())
	if err == nil && health.Count(xks.Unavailable) == len(health.Managers) {
		err = &xks.Failure{Name: unhealthy, Detail: "all key managers are unavailable"}
	}
	return health, err
}

func (k *KMS) logFailure(s *keyStore, operation string, err error) {
	k.log.Warn("an external key store proxy failed", "account", s.ref.account, "store", s.ref.id, "operation", operation, "error", err)
}

// connectSoon wakes RunKeyStores.
func (k *KMS) connectSoon() {
	select {
	case k.connecting <- struct{}{}:
	default: // it has been told already
	}
}

// healthInterval is how often the proxies of connected key stores are asked how they are, and metrics are handed on.
const healthInterval = time.Minute

// RunKeyStores connects the key stores that are to be connected, also those whose connecting was interrupted by a
// restart, and asks the proxies of connected ones every minute how they are, for the metrics: an unhealthy proxy stays
// connected. It goes on until ctx is done; then it hands on the last metrics, closes its connections and returns nil.
func (k *KMS) RunKeyStores(ctx context.Context) error {
	defer k.proxies.Close()
	next := k.clock.Now().Truncate(healthInterval).Add(healthInterval)
	for ctx.Err() == nil {
		err := k.connectAll(ctx)
		if now := k.clock.Now(); err == nil && !now.Before(next) {
			next = now.Truncate(healthInterval).Add(healthInterval)
			err = errors.Join(k.checkHealth(ctx), k.putMetrics(ctx))
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil:
			k.log.Error("custom key stores could not be looked after; trying again", "error", err, "after", retryAfter)
			k.waitForStores(ctx, k.clock.Now().Add(retryAfter))
		default:
			k.waitForStores(ctx, next)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), retryAfter)
	defer cancel()
	if err := k.putMetrics(last); err != nil {
		k.log.Warn("the last metrics of custom key stores are lost", "error", err)
	}
	return nil
}

// waitForStores waits until the server's time is until, a key store is to be connected, or ctx is done.
func (k *KMS) waitForStores(ctx context.Context, until time.Time) {
	ctx, wake := context.WithCancel(ctx)
	slept := make(chan struct{})
	go func() {
		defer close(slept)
		k.clock.Sleep(ctx, until)
	}()
	select {
	case <-k.connecting:
	case <-slept:
	}
	wake()
	<-slept
}

// connectAll connects all key stores that are CONNECTING.
func (k *KMS) connectAll(ctx context.Context) error {
	stores, err := k.storesOf(ctx, `WHERE state = $1`, types.ConnectionStateTypeConnecting)
	if err != nil {
		return err
	}
	return atOnce(stores, func(s *keyStore) error { return k.connect(ctx, s) })
}

// connect asks the proxy, and notes the outcome if the key store is still the one that was to be connected.
func (k *KMS) connect(ctx context.Context, s *keyStore) error {
	_, failed := k.health(ctx, s, "ConnectCustomKeyStore", uuid.NewString())
	if ctx.Err() != nil {
		return nil // it stays CONNECTING, and the next start goes on
	}
	state, code := types.ConnectionStateTypeConnected, types.ConnectionErrorCodeType("")
	if failed != nil {
		state, code = types.ConnectionStateTypeFailed, connectionError(failed)
		k.logFailure(s, "ConnectCustomKeyStore", failed)
	}
	noRecord := func(error) []journal.Record { return nil } // AWS records what was asked, and not how it went
	return k.journal.Commit(ctx, func(tx store.Tx) error {
		now, err := k.readStore(tx, s.ref)
		if gone := (*call.Error)(nil); errors.As(err, &gone) {
			return nil
		}
		if err != nil || now.version != s.version {
			return err
		}
		return k.setConnection(tx, now, state, code)
	}, noRecord)
}

// checkHealth measures the proxies of connected key stores.
func (k *KMS) checkHealth(ctx context.Context) error {
	stores, err := k.storesOf(ctx, `WHERE state = $1`, types.ConnectionStateTypeConnected)
	if err != nil {
		return err
	}
	return atOnce(stores, func(s *keyStore) error {
		health, err := k.health(ctx, s, "KmsHealthCheck", uuid.NewString())
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			k.logFailure(s, "KmsHealthCheck", err)
		}
		k.storeMetrics.health(s, health, k.clock.Now())
		return nil
	})
}

// maxAtOnce is how many proxies are asked at the same time by RunKeyStores.
const maxAtOnce = 16

func atOnce(stores []*keyStore, do func(*keyStore) error) error {
	var all sync.WaitGroup
	places := make(chan struct{}, maxAtOnce)
	failed := make([]error, len(stores))
	for i, s := range stores {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			failed[i] = do(s)
		})
	}
	all.Wait()
	return errors.Join(failed...)
}
