package vigiltest_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/vigiltest"
)

// A ciphertext is its key's, in its account, region and encryption context, and each of its bytes counts. Only a replica of the key
// decrypts it in another region.
func TestAMovedOrAlteredCiphertextIsRefused(t *testing.T) {
	srv := vigiltest.NewServer(t)
	const elsewhere = "eu-central-1"
	client := clientOf(srv, srv.Credentials)
	abroad := kms.New(kms.Options{Region: elsewhere, BaseEndpoint: &srv.URL, Credentials: srv.Credentials})
	neighbours := clientOf(srv, srv.AddAccount(t, neighbour))
	newKey := func(c *kms.Client, multiRegion bool) *string {
		out, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{MultiRegion: &multiRegion})
		if err != nil {
			t.Fatal(err)
		}
		return out.KeyMetadata.KeyId
	}
	context := map[string]string{"purpose": "test"}
	seal := func(key *string) []byte {
		out, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("attack at dawn"), EncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		return out.CiphertextBlob
	}
	key, shared := newKey(client, false), newKey(client, true)
	blob, sharedBlob := seal(key), seal(shared)
	refused := func(c *kms.Client, how string, in *kms.DecryptInput) {
		t.Helper()
		if out, err := c.Decrypt(t.Context(), in); err == nil {
			t.Errorf("%s: decrypted %q", how, out.Plaintext)
		}
	}
	for i := range blob {
		altered := slices.Clone(blob)
		altered[i] ^= 1
		refused(client, "altered", &kms.DecryptInput{CiphertextBlob: altered, EncryptionContext: context})
		refused(client, "altered, of a named key", &kms.DecryptInput{CiphertextBlob: altered, EncryptionContext: context, KeyId: key})
		refused(client, "cut short", &kms.DecryptInput{CiphertextBlob: blob[:max(i, 1)], EncryptionContext: context})
	}
	refused(client, "of another key", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, KeyId: newKey(client, false)})
	refused(client, "without its context", &kms.DecryptInput{CiphertextBlob: blob})
	refused(client, "in another context", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"purpose": "Test"}})
	refused(neighbours, "in another account", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
	refused(neighbours, "with another account's key", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, KeyId: newKey(neighbours, false)})
	refused(abroad, "in another region", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
	refused(abroad, "with another region's key", &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context, KeyId: newKey(abroad, false)})
	refused(abroad, "where the key has no replica", &kms.DecryptInput{CiphertextBlob: sharedBlob, EncryptionContext: context})

	if _, err := client.ReplicateKey(t.Context(), &kms.ReplicateKeyInput{KeyId: shared, ReplicaRegion: new(elsewhere)}); err != nil {
		t.Fatal(err)
	}
	out, err := abroad.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sharedBlob, EncryptionContext: context})
	if err != nil || string(out.Plaintext) != "attack at dawn" || out.EncryptionAlgorithm != types.EncryptionAlgorithmSpecSymmetricDefault {
		t.Errorf("a replica answers %v, %v", out, err)
	}
	refused(abroad, "by a replica, without its context", &kms.DecryptInput{CiphertextBlob: sharedBlob})
}
