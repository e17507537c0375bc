package attestation_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vigil/internal/kms/attestation"
	"vigil/internal/kms/attestation/attestationtest"
)

// The form is that of an answer of AWS KMS, which is in the tests of aws-nitro-enclaves-sdk-c (cms_test.c): the same
// bytes but for the recipient's name, the encrypted key, the IV and the content.
func TestEnvelopeHasTheFormOfAWS(t *testing.T) {
	e, d := verified(t)
	envelope, err := d.Encrypt(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	identifier := sha256.Sum256(e.Content["public_key"].([]byte))
	var rest = envelope
	next := func(n int) (taken []byte) { taken, rest = rest[:n], rest[n:]; return taken }
	fixed := func(want string) {
		t.Helper()
		if got := hex.EncodeToString(next(len(want) / 2)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
	fixed("308006092a864886f70d010703a080308002010231" + "82016b" + "30820167020102" + "8020" + hex.EncodeToString(identifier[:]))
	fixed("303c06092a864886f70d010107302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500")
	fixed("04820100")
	encryptedKey := next(256)
	fixed("308006092a864886f70d010701301d060960864801650304012a0410")
	iv := next(16)
	fixed("a0800430")
	content := next(48)
	fixed("00000000000000000000")
	if len(rest) != 0 {
		t.Errorf("%d bytes are left", len(rest))
	}

	key, err := rsa.DecryptOAEP(sha256.New(), nil, e.Key, encryptedKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != 32 {
		t.Fatal(len(key), err)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(content, content)
	if !bytes.Equal(content, append(make([]byte, 32), bytes.Repeat([]byte{16}, 16)...)) {
		t.Errorf("%x", content)
	}
}

// OpenSSL decrypts what is encrypted for an enclave, of every length up to more than a block and of the greatest.
func TestOpenSSLDecryptsEnvelopes(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("VIGIL_TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip("openssl is missing")
	}
	e, d := verified(t)
	der, err := x509.MarshalPKCS8PrivateKey(e.Key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key.der")
	if err := os.WriteFile(keyFile, der, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 15, 16, 17, 32, 1024, 6144} {
		plaintext := bytes.Repeat([]byte{'p'}, size)
		envelope, err := d.Encrypt(plaintext)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-keyform", "DER", "-inkey", keyFile)
		cmd.Stdin = bytes.NewReader(envelope)
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}

func verified(t *testing.T) (*attestationtest.Enclave, *attestation.Document) {
	t.Helper()
	e := attestationtest.New(t, now)
	d, err := trust(t, e).Verify(e.Document(t, now), now)
	if err != nil {
		t.Fatal(err)
	}
	return e, d
}
