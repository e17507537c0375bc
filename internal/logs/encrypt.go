package logs

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// A log group with a KMS key is encrypted: the pages that come in from then on. KMS gives the group a data key, from which a pair of keys
// is derived. The public one is kept as it is, so that events are encrypted wherever they come from, also within transactions, in which
// nobody can be asked. The private one is only ever had by asking KMS to decrypt the data key, when somebody reads: as CloudWatch Logs
// itself, and as the reader by way of it. Both have to be allowed. It is kept in memory for keepKey. A page is encrypted by HPKE (RFC 9180), with a key encapsulation that stands
// against quantum computers too, as AES does. It is bound to its id. Its words are not kept, so a search reads all such pages.

// keepKey is how long a private key is used after KMS gave the data key. It is as long as AWS says that changes of a key take.
const keepKey = 5 * time.Minute

// groupKey is what a group's events are encrypted with.
type groupKey struct {
	id     int64
	kmsKey string // its ARN
	blob   []byte // the data key, as KMS encrypted it
	public hpke.PublicKey
	packed []byte // the public key
}

func pageKEM() hpke.KEM { return hpke.MLKEM768X25519() }

// seal encrypts a page.
func (k *groupKey) seal(page int64, body []byte) ([]byte, error) {
	return hpke.Seal(k.public, hpke.HKDFSHA256(), hpke.AES256GCM(), pageInfo(page), body)
}

func pageInfo(id int64) []byte { return fmt.Appendf(nil, "log page %d", id) }

// privateKeys are those in memory, once for each who may have them.
type privateKeys struct {
	mu   sync.Mutex
	keys map[keyPlace]*privateKey
}

// keyPlace is a key, and who asked KMS for it.
type keyPlace struct {
	id                     int64
	kind, arn, accessKeyID string
}

type privateKey struct {
	mu    sync.Mutex // held while KMS is asked for it
	key   hpke.PrivateKey
	until time.Time
}

// at is a place, which may be empty yet. What is too old is forgotten on the way.
func (p *privateKeys) at(place keyPlace, now time.Time) *privateKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys == nil {
		p.keys = map[keyPlace]*privateKey{}
	}
	if k := p.keys[place]; k != nil {
		return k
	}
	for other, k := range p.keys {
		if k.mu.TryLock() { // nobody is at it
			if !now.Before(k.until) {
				delete(p.keys, other)
			}
			k.mu.Unlock()
		}
	}
	k := &privateKey{}
	p.keys[place] = k
	return k
}

// unseal decrypts a page of a group for a reader. It may ask KMS, and so must not be called in a transaction.
func (l *Logs) unseal(ctx context.Context, reader call.Principal, groupID, keyID, page int64, body []byte) ([]byte, error) {
	l.mu.RLock()
	g := l.byID[groupID]
	l.mu.RUnlock()
	if g == nil { // deleted since
		return nil, noSuchGroup()
	}
	if _, err := l.privateKey(ctx, g, keyID, g.service()); err != nil {
		return nil, err
	}
	key, err := l.privateKey(ctx, g, keyID, g.through(reader))
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), pageInfo(page), body)
	if err != nil {
		return nil, fmt.Errorf("log page %d cannot be decrypted", page)
	}
	return plain, nil
}

// privateKey is a group's private key, of now or of before, as KMS lets by have it.
func (l *Logs) privateKey(ctx context.Context, g *group, keyID int64, by call.Principal) (hpke.PrivateKey, error) {
	now := l.clock.Now()
	kept := l.private.at(keyPlace{keyID, by.Type, by.ARN, by.AccessKeyID}, now)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.key != nil && now.Before(kept.until) {
		return kept.key, nil
	}
	var k *groupKey
	err := l.db.View(ctx, func(tx store.Tx) (err error) {
		k, err = loadKey(tx, keyID)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, noSuchGroup()
	}
	if err != nil {
		return nil, err
	}
	plain, err := l.decryptKey(ctx, g.LogGroupID, by, k.kmsKey, k.blob)
	if err != nil {
		return nil, err
	}
	key, err := pageKEM().DeriveKeyPair(plain)
	if err != nil {
		return nil, err
	}
	kept.key, kept.until = key, l.clock.Now().Add(keepKey)
	return key, nil
}

func (l *Logs) decryptKey(ctx context.Context, id LogGroupID, by call.Principal, kmsKey string, blob []byte) ([]byte, error) {
	if l.useKey == nil {
		return nil, call.NotBuilt("Encrypting a log group with a KMS key")
	}
	out, _, err := l.useKey(ctx, by, id.Region, "Decrypt", &kms.DecryptInput{
		KeyId: &kmsKey, CiphertextBlob: blob, EncryptionContext: id.encryptionContext(),
	})
	if err != nil {
		return nil, keyError(id, err)
	}
	return out.(*kms.DecryptOutput).Plaintext, nil
}

// service is CloudWatch Logs itself, as it uses a key for a group. Key policies name it with its region.
func (g LogGroupID) service() call.Principal {
	name := "logs." + g.Region + ".amazonaws.com"
	if arn.Partition(g.Region) == "aws-cn" {
		name += ".cn"
	}
	return call.Principal{Type: "AWSService", Service: name, SourceARN: g.arn().String()}
}

// through is a caller by way of CloudWatch Logs.
func (g LogGroupID) through(caller call.Principal) call.Principal {
	caller.Service = g.service().Service
	return caller
}

func (g LogGroupID) encryptionContext() map[string]string {
	return map[string]string{"aws:logs:arn": g.arn().String()}
}

// newKey has KMS give a group a data key, and decrypt it once, as it will have to. The caller has to be allowed to describe the KMS key.
func (l *Logs) newKey(ctx context.Context, c *call.Call, id LogGroupID, kmsKey string) (*groupKey, error) {
	if l.useKey == nil {
		return nil, call.NotBuilt("Encrypting a log group with a KMS key")
	}
	if a, err := arn.Parse(kmsKey); err != nil || a.Service != "kms" || a.Type() != "key" {
		return nil, invalid("The specified KMS key is not the ARN of a key.")
	}
	if _, _, err := l.useKey(ctx, id.through(c.Principal), id.Region, "DescribeKey", &kms.DescribeKeyInput{KeyId: &kmsKey}); err != nil {
		return nil, keyError(id, err)
	}
	out, _, err := l.useKey(ctx, id.service(), id.Region, "GenerateDataKey", &kms.GenerateDataKeyInput{
		KeyId: &kmsKey, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: id.encryptionContext(),
	})
	if err != nil {
		return nil, keyError(id, err)
	}
	made := out.(*kms.GenerateDataKeyOutput)
	plain, err := l.decryptKey(ctx, id, id.service(), kmsKey, made.CiphertextBlob)
	if err != nil {
		return nil, err
	}
	private, err := pageKEM().DeriveKeyPair(plain)
	if err != nil {
		return nil, err
	}
	public := private.PublicKey()
	return &groupKey{kmsKey: kmsKey, blob: made.CiphertextBlob, public: public, packed: public.Bytes()}, nil
}

// keyError is what CloudWatch Logs says of an error of KMS's: it does not tell a key that it may not use from one that does not exist.
func keyError(id LogGroupID, err error) error {
	var e *call.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case "AccessDeniedException", "NotFoundException":
		return call.Errorf("AccessDeniedException", "The specified KMS key does not exist or is not allowed to be used with Arn '%s'", id.arn())
	case "DisabledException", "KMSInvalidStateException", "InvalidKeyUsageException", "KeyUnavailableException":
		return invalid("The specified KMS key cannot be used with Arn '%s': %s", id.arn(), e.Message)
	}
	return fmt.Errorf("KMS failed: %w", errors.New(e.Error()))
}

// putKey writes a group's key, from now on or, if it is nil, no more. Keys of before stay, for the pages that they encrypted.
func putKey(tx store.Tx, groupID int64, k *groupKey) (err error) {
	var id int64
	if k != nil {
		if id, err = nextID(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO logs_key (id, group_id, kms_key, wrapped, public) VALUES ($1, $2, $3, $4, $5)`,
			id, groupID, k.kmsKey, k.blob, k.packed); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE logs_group SET key_id = $2 WHERE id = $1`, groupID, id)
	return err
}

// loadKey reads a key. Its error is store.ErrNoRows when there is none.
func loadKey(tx store.Tx, id int64) (*groupKey, error) {
	k := &groupKey{id: id}
	err := tx.QueryRow(`SELECT kms_key, wrapped, public FROM logs_key WHERE id = $1`, id).Scan(&k.kmsKey, &k.blob, &k.packed)
	if err != nil {
		return nil, err
	}
	k.public, err = pageKEM().NewPublicKey(k.packed)
	return k, err
}

// AssociateKmsKey encrypts the events that a log group gets from now on, in place of another key if it has one. The key is symmetric,
// its policy lets CloudWatch Logs of the region use it, and the caller may describe it (CloudWatch Logs user guide, "Encrypt log data in
// CloudWatch Logs using AWS KMS"). Keys for the results of queries are not built yet.
func (l *Logs) AssociateKmsKey(ctx context.Context, c *call.Call, in *cloudwatchlogs.AssociateKmsKeyInput) (*cloudwatchlogs.AssociateKmsKeyOutput, error) {
	g, err := l.keyed(c, "AssociateKmsKey", in.LogGroupName, in.ResourceIdentifier)
	if err != nil {
		return nil, err
	}
	k, err := l.newKey(ctx, c, g.LogGroupID, *in.KmsKeyId)
	if err != nil {
		return nil, err
	}
	l.change(c, g, func(tx store.Tx) error { return putKey(tx, g.id, k) })
	return &cloudwatchlogs.AssociateKmsKeyOutput{}, nil
}

// DisassociateKmsKey has the events that a log group gets from now on not encrypted with a key. Those that were, stay so.
func (l *Logs) DisassociateKmsKey(_ context.Context, c *call.Call, in *cloudwatchlogs.DisassociateKmsKeyInput) (*cloudwatchlogs.DisassociateKmsKeyOutput, error) {
	g, err := l.keyed(c, "DisassociateKmsKey", in.LogGroupName, in.ResourceIdentifier)
	if err != nil {
		return nil, err
	}
	l.change(c, g, func(tx store.Tx) error { return putKey(tx, g.id, nil) })
	return &cloudwatchlogs.DisassociateKmsKeyOutput{}, nil
}

// keyed is the group that one of the two names, by its name or as a resource.
func (l *Logs) keyed(c *call.Call, action string, name, resource *string) (*group, error) {
	switch {
	case (name == nil) == (resource == nil):
		return nil, invalid("Exactly one of logGroupName and resourceIdentifier must be specified.")
	case name != nil:
		return l.own(c, action, name)
	case strings.Contains(*resource, ":query-result:"):
		return nil, call.NotBuilt("Encrypting the results of queries")
	}
	id, err := groupOfARN(c, *resource)
	if err != nil {
		return nil, err
	}
	return l.own(c, action, &id.Name)
}
