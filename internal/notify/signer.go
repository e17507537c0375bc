package notify

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"time"

	"vigil/internal/store"
)

const (
	keyBits = 2048
	// certificateLife is how long a certificate is valid. A start of the server within the last renewBefore makes another.
	certificateLife = 10 * 365 * 24 * time.Hour
	renewBefore     = 365 * 24 * time.Hour
)

// signer signs messages, and has the certificates by which they are verified: the newest and those before it.
type signer struct {
	id           string // of the newest
	key          func() *rsa.PrivateKey
	certificates map[string][]byte // PEM, by id
}

// openSigner loads the signing key, or makes one.
func openSigner(ctx context.Context, config Config) (*signer, error) {
	now := config.Clock.Now()
	var s *signer
	err := config.DB.View(ctx, func(tx store.Tx) (err error) {
		s, err = loadSigner(tx, config.Secrets, now)
		return err
	})
	if err != nil || s.key != nil {
		return s, err
	}
	id, wrapped, der, err := makeSigner(config.Secrets, now)
	if err != nil {
		return nil, err
	}
	err = config.DB.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO notify_signer (id, wrapped, cert, created) VALUES ($1, $2, $3, $4)`,
			id, wrapped, der, now.UnixMilli()); err != nil {
			return err
		}
		s, err = loadSigner(tx, config.Secrets, now)
		return err
	})
	return s, err
}

// loadSigner loads all certificates and the key of the newest, unless that is about to expire.
func loadSigner(tx store.Tx, secrets Wrapper, now time.Time) (*signer, error) {
	type row struct {
		id            string
		wrapped, cert []byte
	}
	rows, err := store.List(tx, func(r store.Scanner) (x row, err error) { err = r.Scan(&x.id, &x.wrapped, &x.cert); return x, err },
		`SELECT id, wrapped, cert FROM notify_signer ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	s := &signer{certificates: make(map[string][]byte)}
	for i, r := range rows {
		s.certificates[r.id] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert})
		if i < len(rows)-1 {
			continue
		}
		cert, err := x509.ParseCertificate(r.cert)
		if err != nil {
			return nil, err
		}
		if now.After(cert.NotAfter.Add(-renewBefore)) {
			continue
		}
		der, err := secrets.Unwrap(r.wrapped, signerContext(r.id))
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, err
		}
		s.id, s.key = r.id, func() *rsa.PrivateKey { return key.(*rsa.PrivateKey) }
	}
	return s, nil
}

// makeSigner makes a key and a certificate that it signs itself.
func makeSigner(secrets Wrapper, now time.Time) (id string, wrapped, cert []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return "", nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: "Vigil notification signing"},
		NotBefore:    now.Add(-24 * time.Hour), // for verifiers whose clocks are behind
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		return "", nil, nil, err
	}
	sum := sha256.Sum256(cert)
	id = hex.EncodeToString(sum[:16])
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, nil, err
	}
	wrapped, err = secrets.Wrap(der, signerContext(id))
	return id, wrapped, cert, err
}

func signerContext(id string) []byte { return []byte("notification signing key " + id) }

// certificatePath is the path at which a certificate is found, as with SNS.
func certificatePath(id string) string { return "/SimpleNotificationService-" + id + ".pem" }

// sign is the signature of a text: RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) with SHA-1 for version 1 and SHA-256 for version 2, in
// base64. Version 1 is what SNS's subscribers expect of a topic that does not ask for 2.
func (s *signer) sign(version, text string) (string, error) {
	var signature []byte
	var err error
	if version == "2" {
		sum := sha256.Sum256([]byte(text))
		signature, err = rsa.SignPKCS1v15(nil, s.key(), crypto.SHA256, sum[:])
	} else {
		sum := sha1.Sum([]byte(text))
		signature, err = rsa.SignPKCS1v15(nil, s.key(), crypto.SHA1, sum[:])
	}
	return base64.StdEncoding.EncodeToString(signature), err
}
