package attestation

import (
	"crypto/rsa"
	"crypto/x509"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// strict takes nothing for something else: no tags, no member that the specification does not have, or has twice.
var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		TagsMd:            cbor.TagsForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// content is the signed part of a document. An optional member that is not there is null in documents of enclaves.
type content struct {
	ModuleID    string                      `cbor:"module_id"`
	Digest      string                      `cbor:"digest"`
	Timestamp   uint64                      `cbor:"timestamp"` // milliseconds since 1970
	PCRs        map[uint64]*cbor.ByteString `cbor:"pcrs"`
	TPMPCRs     map[uint64]*cbor.ByteString `cbor:"nitrotpm_pcrs"` // in the place of pcrs, in those of a NitroTPM
	Certificate cbor.ByteString             `cbor:"certificate"`
	CABundle    []cbor.ByteString           `cbor:"cabundle"`
	PublicKey   *cbor.ByteString            `cbor:"public_key"`
	UserData    *cbor.ByteString            `cbor:"user_data"`
	Nonce       *cbor.ByteString            `cbor:"nonce"`
}

const (
	maxCertificate = 1024
	maxPublicKey   = 1024
	maxUserData    = 512 // of an enclave; AWS gives 1024 as the limit of a NitroTPM's
	maxTPMUserData = 1024
	maxPCRs        = 32
)

// parseContent reads a payload and checks its syntax: section 3.2.2 of the attestation process.
func parseContent(payload []byte) (*content, error) {
	c := &content{}
	if err := strict.Unmarshal(payload, c); err != nil {
		return nil, malformed("its payload is not an attestation document")
	}
	switch {
	case c.ModuleID == "":
		return nil, malformed("it has no module_id")
	case c.Digest != "SHA384":
		return nil, malformed("its digest is not SHA384")
	case c.Timestamp == 0 || c.Timestamp > math.MaxInt64:
		return nil, malformed("it has no timestamp")
	case !sized(c.Certificate, 1, maxCertificate):
		return nil, malformed("its certificate is not of 1 to %d bytes", maxCertificate)
	case len(c.CABundle) == 0:
		return nil, malformed("its cabundle is empty")
	case c.PublicKey != nil && !sized(*c.PublicKey, 1, maxPublicKey):
		return nil, malformed("its public_key is not of 1 to %d bytes", maxPublicKey)
	case c.UserData != nil && !sized(*c.UserData, 0, c.maxUserData()):
		return nil, malformed("its user_data is of more than %d bytes", c.maxUserData())
	case c.Nonce != nil && !sized(*c.Nonce, 0, c.maxUserData()):
		return nil, malformed("its nonce is of more than %d bytes", c.maxUserData())
	}
	for _, certificate := range c.CABundle {
		if !sized(certificate, 1, maxCertificate) {
			return nil, malformed("a certificate of its cabundle is not of 1 to %d bytes", maxCertificate)
		}
	}
	return c, c.checkPCRs()
}

func (c *content) checkPCRs() error {
	if (c.PCRs == nil) == (c.TPMPCRs == nil) {
		return malformed("it has not one of pcrs and nitrotpm_pcrs")
	}
	pcrs := c.measurements()
	if len(pcrs) == 0 || len(pcrs) > maxPCRs {
		return malformed("it has not 1 to %d PCRs", maxPCRs)
	}
	for index, pcr := range pcrs {
		if index >= maxPCRs {
			return malformed("it has a PCR with an index above %d", maxPCRs-1)
		}
		if pcr == nil || len(*pcr) != 32 && len(*pcr) != 48 && len(*pcr) != 64 {
			return malformed("PCR%d is not of 32, 48 or 64 bytes", index)
		}
	}
	return nil
}

func (c *content) measurements() map[uint64]*cbor.ByteString {
	if c.TPMPCRs != nil {
		return c.TPMPCRs
	}
	return c.PCRs
}

func (c *content) maxUserData() int {
	if c.TPMPCRs != nil {
		return maxTPMUserData
	}
	return maxUserData
}

// document is the content, once it is verified.
func (c *content) document() *Document {
	d := &Document{
		ModuleID: c.ModuleID,
		Time:     time.UnixMilli(int64(c.Timestamp)),
		TPM:      c.TPMPCRs != nil,
		PCRs:     make(map[int][]byte, maxPCRs),
		UserData: bytesOf(c.UserData),
		Nonce:    bytesOf(c.Nonce),
		keyDER:   bytesOf(c.PublicKey),
	}
	for index, pcr := range c.measurements() {
		d.PCRs[int(index)] = pcr.Bytes()
	}
	if key, err := x509.ParsePKIXPublicKey(d.keyDER); err == nil {
		d.publicKey, _ = key.(*rsa.PublicKey)
	}
	return d
}

func sized(b cbor.ByteString, least, most int) bool { return len(b) >= least && len(b) <= most }

func bytesOf(b *cbor.ByteString) []byte {
	if b == nil {
		return nil
	}
	return b.Bytes()
}
