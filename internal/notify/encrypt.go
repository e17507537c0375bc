package notify

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
)

// A topic with a KmsMasterKeyId is encrypted (SNS developer guide, "Securing Amazon SNS data with server-side encryption"): the bodies of its
// messages lie in the outbox encrypted, each topic under data keys of its own. What is not the message's text is not encrypted, as in SNS:
// the subject of a mail, ids, times, who it is for.
//
// SNS gets a data key from KMS as whoever publishes, who so needs kms:GenerateDataKey and kms:Decrypt, and uses it again for five
// minutes for the same publisher. A delivery has the data key with it as KMS encrypted it. When the outbox attempts one whose data key is not in
// memory any more, SNS has KMS decrypt it again as that publisher: what the key's policy and state are by then, counts.

// dataKeyReuse is how long a data key is used after KMS gave it.
const dataKeyReuse = 5 * time.Minute

// managedAlias names the key that SNS has for an account.
const managedAlias = "alias/aws/sns"

// serviceName is SNS's name, in the record of what it does as a publisher.
const serviceName = "sns.amazonaws.com"

// checkMasterKey refuses what cannot name a key: its id or ARN, or the name or ARN of an alias.
func (n *Notify) checkMasterKey(prefix, value string) error {
	switch {
	case value == "":
		return nil
	case n.config.UseKey == nil:
		return call.NotBuilt("Encryption of a topic")
	case len(value) > 2048 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }):
		return invalid("%sKmsMasterKeyId", prefix)
	}
	if strings.HasPrefix(value, "arn:") {
		if a, err := arn.Parse(value); err != nil || a.Service != "kms" || a.Type() != "key" && a.Type() != "alias" {
			return invalid("%sKmsMasterKeyId", prefix)
		}
	}
	return nil
}

// masterKey is the ARN of the key or alias that encrypts a topic, which is of the topic's account and region unless it says another.
func (t *topic) masterKey() string {
	name := t.attributes["KmsMasterKeyId"]
	switch {
	case name == "" || strings.HasPrefix(name, "arn:"):
		return name
	case strings.HasPrefix(name, "alias/"):
		return arn.New("kms", t.ref.region, t.ref.account, name).String()
	}
	return arn.New("kms", t.ref.region, t.ref.account, "key/"+name).String()
}

// sealing is what a delivery says of the data key that its body is encrypted with.
type sealing struct {
	Topic  string
	Region string
	Blob   []byte         // the data key, as KMS encrypted it
	Key    string         // the ARN of the KMS key
	By     call.Principal // who published, in whose name KMS gave the data key; without permissions
}

// encryptionContext ties a data key to its topic.
func encryptionContext(topicARN string) map[string]string {
	return map[string]string{"aws:sns:topicArn": topicARN}
}

// dataKey is a data key in memory.
type dataKey struct {
	mu     sync.Mutex // held while KMS is asked for it
	aead   cipher.AEAD
	sealed []byte // the sealing, in JSON
	until  time.Time

	refused error // why a service got none; it does not ask again until then
}

// dataKeys are those in memory: by topic, KMS key and publisher for messages on their way in, by the sealing for those on their way out.
type dataKeys struct {
	mu   sync.Mutex
	keys map[string]*dataKey
}

// at is the place of a data key, which may be empty yet. Those that are too old are forgotten on the way.
func (d *dataKeys) at(place string, now time.Time) *dataKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = make(map[string]*dataKey)
	}
	if k := d.keys[place]; k != nil {
		return k
	}
	for other, k := range d.keys {
		if k.mu.TryLock() { // nobody is at it
			if !now.Before(k.until) {
				delete(d.keys, other)
			}
			k.mu.Unlock()
		}
	}
	k := &dataKey{}
	d.keys[place] = k
	return k
}

// put keeps a data key under another place too.
func (d *dataKeys) put(place string, k *dataKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[place] = k
}

// sealer encrypts the bodies of one message.
type sealer struct {
	aead   cipher.AEAD
	sealed []byte
}

// sealer is what encrypts the messages that by publishes to a topic, or nil for one that is not encrypted. It may ask KMS, and so
// must not be called in a transaction. Errors of KMS have SNS's codes for them.
func (n *Notify) sealer(ctx context.Context, t *topic, by call.Principal) (*sealer, error) {
	master := t.masterKey()
	if master == "" {
		return nil, nil
	}
	if n.config.UseKey == nil {
		return nil, call.NotBuilt("Encryption of a topic")
	}
	if by.Type != typeService { // a forward access session: the publisher, by way of SNS
		by.Service = serviceName
	}
	now := n.clock.Now()
	k := n.dataKeys.at(strings.Join([]string{"in", t.ref.String(), master, by.Type, by.ARN, by.AccessKeyID, by.Service, by.SourceARN}, " "), now)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused != nil && now.Before(k.until) {
		return nil, k.refused
	}
	if k.aead == nil || !now.Before(k.until) {
		k.aead, k.refused = nil, nil
		if err := n.newDataKey(ctx, t, master, by, k); err != nil {
			// Each refusal is a record, which a rule may publish to this topic again: all that is held waits for one answer.
			var e *call.Error
			if by.Type == typeService && errors.As(err, &e) {
				k.refused, k.until = err, now.Add(minHeldRetry)
			}
			return nil, err
		}
	}
	return &sealer{k.aead, k.sealed}, nil
}

// newDataKey gets a data key from KMS, and checks that KMS decrypts it, as it will have to.
func (n *Notify) newDataKey(ctx context.Context, t *topic, master string, by call.Principal, k *dataKey) error {
	if account, ok := managedIn(master, t.ref.region); ok {
		if _, err := n.config.ManagedKey(ctx, account, t.ref.region); err != nil {
			return err
		}
	}
	encryption := encryptionContext(t.ref.String())
	out, id, err := n.config.UseKey(ctx, by, t.ref.region, "GenerateDataKey", &kms.GenerateDataKeyInput{
		KeyId: &master, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: encryption,
	})
	if err != nil {
		return kmsError(err, id)
	}
	made := out.(*kms.GenerateDataKeyOutput)
	s := sealing{Topic: t.ref.String(), Region: t.ref.region, Blob: made.CiphertextBlob, Key: *made.KeyId, By: by}
	s.By.Permissions = nil
	if _, id, err = n.config.UseKey(ctx, by, t.ref.region, "Decrypt", &kms.DecryptInput{
		CiphertextBlob: s.Blob, KeyId: &s.Key, EncryptionContext: encryption,
	}); err != nil {
		return kmsError(err, id)
	}
	aead, err := newAEAD(made.Plaintext)
	if err != nil {
		return err
	}
	if k.sealed, err = json.Marshal(s); err != nil {
		return err
	}
	k.aead, k.until = aead, n.clock.Now().Add(dataKeyReuse)
	n.dataKeys.put("out "+string(k.sealed), &dataKey{aead: k.aead, sealed: k.sealed, until: k.until})
	return nil
}

// managedIn says whether a key is named by the alias of SNS's own key, and of which account.
func managedIn(master, region string) (account string, ok bool) {
	a, err := arn.Parse(master)
	return a.Account, err == nil && a.Resource == managedAlias && a.Region == region
}

// Decrypt decrypts the body of a delivery, whose Key it is. It may ask KMS, and so must not be called in a transaction.
func (n *Notify) Decrypt(ctx context.Context, key, body []byte) ([]byte, error) {
	var s sealing
	if err := json.Unmarshal(key, &s); err != nil || n.config.UseKey == nil {
		return nil, errors.New("its data key is not known")
	}
	now := n.clock.Now()
	k := n.dataKeys.at("out "+string(key), now)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.aead == nil || !now.Before(k.until) {
		if err := n.openDataKey(ctx, &s, k); err != nil {
			return nil, err
		}
	}
	size := k.aead.NonceSize()
	if len(body) < size {
		return nil, errors.New("it is too short")
	}
	plain, err := k.aead.Open(nil, body[:size], body[size:], key)
	if err != nil {
		return nil, errors.New("it was changed")
	}
	return plain, nil
}

// openDataKey has KMS decrypt a data key as its publisher, who was allowed to when it was made: that much is what SNS keeps of
// the publisher's own permissions. The key's policy and grants are asked again.
func (n *Notify) openDataKey(ctx context.Context, s *sealing, k *dataKey) error {
	by := s.By
	if by.Type != typeService && by.Type != "Root" {
		resource, err := json.Marshal(s.Key)
		if err != nil {
			return err
		}
		kept, err := policy.ParseIdentityPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Decrypt","Resource":` + string(resource) + `}}`)
		if err != nil {
			return err
		}
		by.Permissions = &policy.Permissions{Identity: []policy.Source{{Document: kept}}}
	}
	out, _, err := n.config.UseKey(ctx, by, s.Region, "Decrypt", &kms.DecryptInput{
		CiphertextBlob: s.Blob, KeyId: &s.Key, EncryptionContext: encryptionContext(s.Topic),
	})
	var refused *call.Error
	switch {
	case errors.As(err, &refused):
		return errors.New("KMS answered " + refused.Error())
	case err != nil:
		n.log.Error("A data key could not be decrypted.", "topic", s.Topic, "error", err)
		return errors.New("KMS failed")
	}
	aead, err := newAEAD(out.(*kms.DecryptOutput).Plaintext)
	if err != nil {
		return err
	}
	k.aead, k.until = aead, n.clock.Now().Add(dataKeyReuse)
	return nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts the bodies of deliveries: AES-256-GCM with a random nonce before it, bound to the sealing. It does nothing for a topic that
// is not encrypted.
func (s *sealer) seal(deliveries []Delivery) {
	if s == nil {
		return
	}
	for i := range deliveries {
		d := &deliveries[i]
		nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(d.Body)+s.aead.Overhead())
		rand.Read(nonce) // it never fails
		d.Body = s.aead.Seal(nonce, nonce, d.Body, s.sealed)
		d.Key = s.sealed
	}
}

// kmsError is SNS's error for one of KMS's: its text is KMS's, with the request of KMS's that has the record.
func kmsError(err error, requestID string) error {
	var e *call.Error
	if !errors.As(err, &e) {
		return err
	}
	code := ""
	switch e.Code {
	case "AccessDeniedException":
		code = "KMSAccessDenied"
	case "DisabledException":
		code = "KMSDisabled"
	case "NotFoundException":
		code = "KMSNotFound"
	case "ThrottlingException", "LimitExceededException":
		code = "KMSThrottling"
	case "KMSInvalidStateException", "InvalidKeyUsageException", "InvalidArnException":
		code = "KMSInvalidState"
	default:
		return fmt.Errorf("KMS failed: %w", errors.New(e.Error()))
	}
	return call.Errorf(code, "%s (Service: AWSKMS; Status Code: 400; Error Code: %s; Request ID: %s; Proxy: null)", e.Message, e.Code, requestID)
}
