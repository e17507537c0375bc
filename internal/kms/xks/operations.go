package xks

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"slices"
)

// The names of the operations in metrics.
const (
	OpHealth   = "GetHealthStatus"
	OpMetadata = "GetKeyMetadata"
	OpEncrypt  = "Encrypt"
	OpDecrypt  = "Decrypt"
)

// The sizes that the specification gives, in bytes.
const (
	MaxCiphertextMetadata = 20
	MaxAdditionalData     = 8192
	tagSize               = 16
)

// Health is how a proxy and the key managers behind it are.
type Health struct {
	Managers []Manager
	// Certificate is the one that the proxy has shown.
	Certificate *x509.Certificate
}

// Manager is one instance of an external key manager.
type Manager struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	Status string `json:"healthStatus"`
}

// The states of a manager.
const (
	Active      = "ACTIVE"
	Degraded    = "DEGRADED"
	Unavailable = "UNAVAILABLE"
)

// Count is how many managers have the state.
func (h Health) Count(status string) (n int) {
	for _, m := range h.Managers {
		if m.Status == status {
			n++
		}
	}
	return n
}

// Health asks how the proxy is: GetHealthStatus. The certificate is there even with an error, when there was one to see.
func (c *Client) Health(ctx context.Context, of Proxy, caller Caller) (Health, error) {
	caller.PrincipalARN, caller.KeyARN = "", ""
	in := struct {
		Caller Caller `json:"requestMetadata"`
	}{caller}
	var out struct {
		FleetSize     int       `json:"xksProxyFleetSize"`
		Vendor        *string   `json:"xksProxyVendor"`
		Model         *string   `json:"xksProxyModel"`
		ManagerVendor *string   `json:"ekmVendor"`
		Managers      []Manager `json:"ekmFleetDetails"`
	}
	certificate, err := c.exchange(ctx, of, "/health", in, &out)
	if err != nil {
		return Health{Certificate: certificate}, err
	}
	if out.FleetSize < 1 || out.Vendor == nil || out.Model == nil || out.ManagerVendor == nil || len(out.Managers) < 1 || len(out.Managers) > 10 {
		return Health{Certificate: certificate}, badAnswer("a health status lacks what it should hold")
	}
	for _, m := range out.Managers {
		if m.Status != Active && m.Status != Degraded && m.Status != Unavailable {
			return Health{Certificate: certificate}, badAnswer("a key manager has a health status that the specification does not know")
		}
	}
	return Health{out.Managers, certificate}, nil
}

// Metadata is what a proxy says of an external key.
type Metadata struct {
	Spec   string   `json:"keySpec"`   // AES_256 is what KMS can use
	Usage  []string `json:"keyUsage"`  // ENCRYPT, DECRYPT and others
	Status string   `json:"keyStatus"` // ENABLED, DISABLED
}

// Can says that the key is for an operation: ENCRYPT, DECRYPT.
func (m Metadata) Can(usage string) bool { return slices.Contains(m.Usage, usage) }

// Metadata asks what the external key with this id is: GetKeyMetadata.
func (c *Client) Metadata(ctx context.Context, of Proxy, keyID string, caller Caller) (Metadata, error) {
	in := struct {
		Caller Caller `json:"requestMetadata"`
	}{caller}
	var out Metadata
	if _, err := c.exchange(ctx, of, "/keys/"+keyID+"/metadata", in, &out); err != nil {
		return Metadata{}, err
	}
	if out.Spec == "" || out.Status == "" || len(out.Usage) > 10 {
		return Metadata{}, badAnswer("key metadata lacks what it should hold")
	}
	return out, nil
}

// Sealed is what an external key has encrypted. Decrypt wants all of it back.
type Sealed struct {
	Ciphertext []byte `json:"ciphertext"`
	IV         []byte `json:"initializationVector"`         // 12 or 16 bytes
	Tag        []byte `json:"authenticationTag"`            // 16 bytes
	Metadata   []byte `json:"ciphertextMetadata,omitempty"` // the proxy's own, at most MaxCiphertextMetadata bytes
}

// integrity is the ciphertextDataIntegrityValue: the hash of all that a later Decrypt depends on.
func (s Sealed) integrity(additional []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{additional, s.Metadata, s.IV, s.Ciphertext, s.Tag} {
		h.Write(part)
	}
	return h.Sum(nil)
}

func (s Sealed) check(plaintext int) error {
	switch {
	case len(s.Ciphertext) != plaintext:
		return badAnswer(fmt.Sprintf("the ciphertext of %d bytes has %d", plaintext, len(s.Ciphertext)))
	case len(s.IV) != 12 && len(s.IV) != 16:
		return badAnswer(fmt.Sprintf("an initialization vector of %d bytes", len(s.IV)))
	case len(s.Tag) != tagSize:
		return badAnswer(fmt.Sprintf("an authentication tag of %d bytes", len(s.Tag)))
	case len(s.Metadata) > MaxCiphertextMetadata:
		return badAnswer(fmt.Sprintf("ciphertext metadata of %d bytes", len(s.Metadata)))
	}
	return nil
}

const encryptionAlgorithm, integrityAlgorithm = "AES_GCM", "SHA_256"

// Encrypt has the external key encrypt a plaintext of at most 4300 bytes with additional data of at most
// MaxAdditionalData. The proxy vouches, by a hash that is compared here, that what it answers can be decrypted.
func (c *Client) Encrypt(ctx context.Context, at Proxy, keyID string, plaintext, additional []byte, caller Caller) (Sealed, error) {
	in := struct {
		Caller     Caller `json:"requestMetadata"`
		Plaintext  []byte `json:"plaintext"`
		Algorithm  string `json:"encryptionAlgorithm"`
		Additional []byte `json:"additionalAuthenticatedData,omitempty"`
		Integrity  string `json:"ciphertextDataIntegrityValueAlgorithm"`
	}{caller, plaintext, encryptionAlgorithm, additional, integrityAlgorithm}
	var out struct {
		Sealed
		Integrity []byte `json:"ciphertextDataIntegrityValue"`
	}
	if _, err := c.exchange(ctx, at, "/keys/"+keyID+"/encrypt", in, &out); err != nil {
		return Sealed{}, err
	}
	if err := out.check(len(plaintext)); err != nil {
		return Sealed{}, err
	}
	if subtle.ConstantTimeCompare(out.Integrity, out.Sealed.integrity(additional)) == 0 {
		return Sealed{}, badAnswer("the ciphertext data integrity value is not that of the ciphertext")
	}
	return out.Sealed, nil
}

// Decrypt has the external key decrypt what it encrypted with the same additional data.
func (c *Client) Decrypt(ctx context.Context, at Proxy, keyID string, sealed Sealed, additional []byte, caller Caller) ([]byte, error) {
	in := struct {
		Caller Caller `json:"requestMetadata"`
		Sealed
		Algorithm  string `json:"encryptionAlgorithm"`
		Additional []byte `json:"additionalAuthenticatedData,omitempty"`
	}{caller, sealed, encryptionAlgorithm, additional}
	var out struct {
		Plaintext []byte `json:"plaintext"`
	}
	if _, err := c.exchange(ctx, at, "/keys/"+keyID+"/decrypt", in, &out); err != nil {
		return nil, err
	}
	if len(out.Plaintext) != len(sealed.Ciphertext) {
		return nil, badAnswer("the plaintext is not as long as its ciphertext")
	}
	return out.Plaintext, nil
}
