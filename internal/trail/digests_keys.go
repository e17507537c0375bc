package trail

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// Secrets wraps secrets for the database: a *seal.Wrapper.
type Secrets interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(blob, context []byte) ([]byte, error)
}

// Each account has a key of its own in each region that signs the digests of a year, and then another.
const (
	digestKeyBits = 2048
	digestKeyLife = 365 * 24 * time.Hour
)

const digestKeyMigration = `CREATE TABLE trail_digest_key (
		fingerprint TEXT   NOT NULL PRIMARY KEY,
		account     TEXT   NOT NULL,
		region      TEXT   NOT NULL,
		public      BYTEA  NOT NULL, -- PKCS #1
		secret      BYTEA  NOT NULL, -- PKCS #8, wrapped
		valid_from  BIGINT NOT NULL,
		valid_until BIGINT NOT NULL)`

// digestKey is a key that signs digests.
type digestKey struct {
	fingerprint string
	public      []byte
	secret      []byte
	from, until int64
	private     *rsa.PrivateKey
}

func digestKeyContext(fingerprint string) []byte { return []byte("digest signing key " + fingerprint) }

// digestKeys are those of an account in a region, the newest first.
func digestKeys(tx store.Tx, account, region string) ([]*digestKey, error) {
	return store.List(tx, func(row store.Scanner) (*digestKey, error) {
		k := new(digestKey)
		return k, row.Scan(&k.fingerprint, &k.public, &k.secret, &k.from, &k.until)
	}, `SELECT fingerprint, public, secret, valid_from, valid_until FROM trail_digest_key WHERE account = $1 AND region = $2 ORDER BY valid_until DESC`, account, region)
}

// keyFor chooses a key, of some that begin with the newest, for a digest: one that is valid when the digest ends, as it is looked for by that time. If
// they all begin later than the digest, as that of another trail was earlier, it is the oldest of them, which then has to begin with it.
func keyFor(keys []*digestKey, begun, end int64) (chosen *digestKey) {
	for _, k := range keys {
		if end < k.until {
			if chosen = k; begun >= k.from {
				break
			}
		}
	}
	return chosen
}

// beginBy has a key's time begin at a time at the latest.
func (k *digestKey) beginBy(tx store.Tx, begun int64) error {
	k.from = min(k.from, begun)
	_, err := tx.Exec(`UPDATE trail_digest_key SET valid_from = $1 WHERE fingerprint = $2 AND valid_from > $1`, k.from, k.fingerprint)
	return err
}

// digestKey is the key for a digest of a time, which is made when there is none.
func (t *Trail) digestKey(ctx context.Context, account, region string, begun, end int64) (*digestKey, error) {
	var keys []*digestKey
	if err := t.main.View(ctx, func(tx store.Tx) (err error) {
		keys, err = digestKeys(tx, account, region)
		return err
	}); err != nil {
		return nil, err
	}
	k := keyFor(keys, begun, end)
	if k == nil {
		return t.makeDigestKey(ctx, account, region, begun, end)
	}
	if begun < k.from {
		if err := t.main.Update(ctx, func(tx store.Tx) error { return k.beginBy(tx, begun) }); err != nil {
			return nil, err
		}
	}
	return t.openDigestKey(k)
}

func (t *Trail) openDigestKey(k *digestKey) (*digestKey, error) {
	der, err := t.secrets.Unwrap(k.secret, digestKeyContext(k.fingerprint))
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	k.private = private.(*rsa.PrivateKey)
	return k, nil
}

// makeDigestKey makes a key that is valid from a digest's beginning on. Two trails may come for one at the same time; the second is given the first one's.
func (t *Trail) makeDigestKey(ctx context.Context, account, region string, begun, end int64) (*digestKey, error) {
	t.keysMu.Lock()
	defer t.keysMu.Unlock()
	private, err := rsa.GenerateKey(rand.Reader, digestKeyBits)
	if err != nil {
		return nil, err
	}
	k := &digestKey{fingerprint: vigil.DigestFingerprint(&private.PublicKey), public: x509.MarshalPKCS1PublicKey(&private.PublicKey),
		from: begun, until: begun + digestKeyLife.Milliseconds(), private: private}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	if k.secret, err = t.secrets.Wrap(der, digestKeyContext(k.fingerprint)); err != nil {
		return nil, err
	}
	err = t.main.Update(ctx, func(tx store.Tx) error {
		keys, err := digestKeys(tx, account, region)
		if err != nil {
			return err
		}
		if other := keyFor(keys, begun, end); other != nil {
			if err := other.beginBy(tx, begun); err != nil {
				return err
			}
			k, err = t.openDigestKey(other)
			return err
		}
		_, err = tx.Exec(`INSERT INTO trail_digest_key (fingerprint, account, region, public, secret, valid_from, valid_until) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			k.fingerprint, account, region, k.public, k.secret, k.from, k.until)
		return err
	})
	return k, err
}

// Sign signs a text by SHA256withRSA (PKCS #1 v1.5) with the key that signs digests of an account and a region at a time, to which ListPublicKeys
// has it. The fingerprint is the one that it has there.
func (t *Trail) Sign(ctx context.Context, account, region string, at time.Time, text []byte) (signature []byte, fingerprint string, err error) {
	key, err := t.digestKey(ctx, account, region, at.UnixMilli(), at.UnixMilli())
	if err != nil {
		return nil, "", err
	}
	hash := sha256.Sum256(text)
	signature, err = rsa.SignPKCS1v15(nil, key.private, crypto.SHA256, hash[:])
	return signature, key.fingerprint, err
}

// ListPublicKeys lists the keys that digests of the called region are signed with and that are valid at some time from StartTime to EndTime,
// or now, all in one answer. A key is a PKCS #1 RSAPublicKey in DER.
func (t *Trail) ListPublicKeys(ctx context.Context, c *call.Call, in *cloudtrail.ListPublicKeysInput) (*cloudtrail.ListPublicKeysOutput, error) {
	if err := c.Allow("cloudtrail:ListPublicKeys", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		return nil, call.Errorf("InvalidTokenException", "The token is not valid: all keys are listed in one answer.")
	}
	from, to := c.Time, c.Time
	switch {
	case in.StartTime != nil && in.EndTime != nil:
		from, to = *in.StartTime, *in.EndTime
	case in.StartTime != nil:
		from = *in.StartTime
	case in.EndTime != nil:
		from, to = *in.EndTime, *in.EndTime
	}
	if from.After(to) {
		return nil, call.Errorf("InvalidTimeRangeException", "The start time must not be after the end time.")
	}
	out := &cloudtrail.ListPublicKeysOutput{PublicKeyList: []types.PublicKey{}}
	err := t.main.View(ctx, func(tx store.Tx) error {
		keys, err := digestKeys(tx, c.Account(), c.Region)
		for _, k := range keys {
			if k.from <= to.UnixMilli() && k.until > from.UnixMilli() {
				out.PublicKeyList = append(out.PublicKeyList, types.PublicKey{Fingerprint: aws.String(k.fingerprint), Value: k.public,
					ValidityStartTime: unlessZero(k.from), ValidityEndTime: unlessZero(k.until)})
			}
		}
		return err
	})
	return out, err
}
