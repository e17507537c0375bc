package clients_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	mpl "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	esdktypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
	awsv1 "github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	kmsv1 "github.com/aws/aws-sdk-go/service/kms"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/awskms/v2"
	tinkkms "github.com/tink-crypto/tink-go-awskms/v2/integration/awskms"
	"github.com/tink-crypto/tink-go/v2/aead"
	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"
)

// TestGoCloud is gocloud.dev/secrets, opened by URL.
func TestGoCloud(t *testing.T) {
	ctx, key := context.Background(), newKey(t)
	keeper, err := secrets.OpenKeeper(ctx, "awskms:///"+key+"?region=us-east-1&context_tenant=7")
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	sealed, err := keeper.Encrypt(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := keeper.Decrypt(ctx, sealed); err != nil || !bytes.Equal(plain, secret) {
		t.Fatalf("%q, %v", plain, err)
	}
	other, err := secrets.OpenKeeper(ctx, "awskms:///"+key+"?region=us-east-1&context_tenant=8")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if plain, err := other.Decrypt(ctx, sealed); err == nil {
		t.Errorf("another context decrypts %q", plain)
	}
	disable(t, key)
	if _, err := keeper.Decrypt(ctx, sealed); !isDisabled(err) {
		t.Errorf("with a disabled key: %v", err)
	}
}

// TestHashiCorp is go-kms-wrapping, by which Vault and Boundary are unsealed.
func TestHashiCorp(t *testing.T) {
	ctx, key := context.Background(), newKey(t)
	credentials := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	wrapper := awskms.NewWrapper()
	if _, err := wrapper.SetConfig(ctx, awskms.WithRegion("us-east-1"), awskms.WithEndpoint(endpoint()),
		awskms.WithAccessKey(setting(credentials, "aws_access_key_id")), awskms.WithSecretKey(setting(credentials, "aws_secret_access_key")),
		awskms.WithDisallowEnvVars(true), wrapping.WithKeyId(key)); err != nil {
		t.Fatal(err)
	}
	if id, err := wrapper.KeyId(ctx); err != nil || !strings.HasSuffix(key, id) {
		t.Errorf("it uses %s, %v", id, err)
	}
	blob, err := wrapper.Encrypt(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := wrapper.Decrypt(ctx, blob); err != nil || !bytes.Equal(plain, secret) {
		t.Fatalf("%q, %v", plain, err)
	}
	disable(t, key)
	if _, err := wrapper.Decrypt(ctx, blob); !isDisabled(err) {
		t.Errorf("with a disabled key: %v", err)
	}
}

// TestTink is Tink's envelope encryption with a remote key.
func TestTink(t *testing.T) {
	key := newKey(t)
	sess, err := session.NewSessionWithOptions(session.Options{SharedConfigState: session.SharedConfigEnable,
		Config: awsv1.Config{Region: awsv1.String("us-east-1"), Endpoint: awsv1.String(endpoint())}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := tinkkms.NewClientWithOptions("aws-kms://"+key, tinkkms.WithKMS(kmsv1.New(sess)))
	if err != nil {
		t.Fatal(err)
	}
	remote, err := client.GetAEAD("aws-kms://" + key)
	if err != nil {
		t.Fatal(err)
	}
	envelope := aead.NewKMSEnvelopeAEAD2(aead.AES256GCMKeyTemplate(), remote)
	sealed, err := envelope.Encrypt(secret, []byte("tenant 7"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := envelope.Decrypt(sealed, []byte("tenant 7")); err != nil || !bytes.Equal(plain, secret) {
		t.Fatalf("%q, %v", plain, err)
	}
	if sealed, err := remote.Encrypt(secret, []byte("tenant 7")); err != nil {
		t.Error(err)
	} else if plain, err := remote.Decrypt(sealed, []byte("tenant 8")); err == nil {
		t.Errorf("other associated data decrypt %q", plain)
	}
	disable(t, key)
	if _, err := envelope.Decrypt(sealed, []byte("tenant 7")); err == nil {
		t.Error("a disabled key decrypts")
	}
}

// TestEncryptionSDK is the AWS Encryption SDK with a KMS keyring.
func TestEncryptionSDK(t *testing.T) {
	ctx, key := context.Background(), newKey(t)
	providers, err := mpl.NewClient(mpltypes.MaterialProvidersConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := providers.CreateAwsKmsKeyring(ctx, mpltypes.CreateAwsKmsKeyringInput{KmsClient: newClient(t), KmsKeyId: key})
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := esdk.NewClient(esdktypes.AwsEncryptionSdkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	about := map[string]string{"tenant": "7"}
	sealed, err := sdk.Encrypt(ctx, esdktypes.EncryptInput{Plaintext: secret, EncryptionContext: about, Keyring: keyring})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := sdk.Decrypt(ctx, esdktypes.DecryptInput{Ciphertext: sealed.Ciphertext, EncryptionContext: about, Keyring: keyring})
	if err != nil || !bytes.Equal(opened.Plaintext, secret) {
		t.Fatalf("%v, %v", opened, err)
	}
	disable(t, key)
	if _, err := sdk.Decrypt(ctx, esdktypes.DecryptInput{Ciphertext: sealed.Ciphertext, EncryptionContext: about, Keyring: keyring}); err == nil {
		t.Error("a disabled key decrypts")
	}
}
