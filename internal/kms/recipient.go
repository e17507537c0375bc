package kms

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/attestation"
)

// recipient is the attested environment, an enclave or an instance with a NitroTPM, that a result is to be encrypted
// for, so that nobody else reads it: the developer guide's "Cryptographic attestation support in AWS KMS". A nil one is
// that of a request without a Recipient.
//
// Its document is verified when the condition of a policy asks for what it says, and at the latest before the key is
// used. To conditions, a document that is not to be trusted is none.
type recipient struct {
	trust  *attestation.Trust // nil if the operator trusts nobody
	c      *call.Call
	info   *types.RecipientInfo
	result string // what is to be encrypted, for an error

	looked   bool
	document *attestation.Document
	err      error
}

func (k *KMS) recipient(c *call.Call, info *types.RecipientInfo, result string) *recipient {
	if info == nil {
		return nil
	}
	return &recipient{trust: k.trust, c: c, info: info, result: result}
}

// attested is the verified document. It goes into the call's record.
func (r *recipient) attested() (*attestation.Document, error) {
	if !r.looked {
		r.looked = true
		if r.document, r.err = r.verify(); r.err == nil {
			r.note()
		}
	}
	return r.document, r.err
}

func (r *recipient) verify() (*attestation.Document, error) {
	if r.trust == nil {
		return nil, &call.Error{Code: "UnsupportedOperationException", Status: 400, Message: "Recipient, which encrypts " + r.result +
			" for an attested environment, is not supported by this server: its operator has not said whose attestation it trusts."}
	}
	const null = "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null"
	switch {
	case len(r.info.AttestationDocument) == 0:
		return nil, call.Errorf("ValidationException", null, "recipient.attestationDocument")
	case r.info.KeyEncryptionAlgorithm == "":
		return nil, call.Errorf("ValidationException", null, "recipient.keyEncryptionAlgorithm")
	}
	document, err := r.trust.Verify(r.info.AttestationDocument, r.c.Time)
	if err == nil {
		err = document.CanEncrypt()
	}
	switch {
	case errors.Is(err, attestation.ErrMalformed):
		return nil, call.Errorf("ValidationException", "KMS cannot parse the attestation document: %v.", err)
	case errors.Is(err, attestation.ErrExpired):
		return nil, call.Errorf("ValidationException", "The attestation document has exceeded the five-minute age limit: %v.", err)
	case err != nil:
		return nil, call.Errorf("ValidationException", "The attestation document is not valid: %v.", err)
	}
	return document, nil
}

// check refuses what is not from a trusted environment.
func (r *recipient) check() error {
	if r == nil {
		return nil
	}
	_, err := r.attested()
	return err
}

// seal encrypts a secret for the recipient, which gets nothing else. Without one it is the caller's.
func (r *recipient) seal(secret []byte) (forCaller, forRecipient []byte, err error) {
	if r == nil {
		return secret, nil, nil
	}
	defer clear(secret)
	document, err := r.attested()
	if err != nil {
		return nil, nil, err
	}
	forRecipient, err = document.Encrypt(secret)
	return nil, forRecipient, err
}

// measured is what conditions are told of the document, by the name that stands after kms:RecipientAttestation: in lower
// case. The digest of the image is PCR0.
func (r *recipient) measured(name string) ([]string, bool) {
	if r == nil {
		return nil, false
	}
	document, err := r.attested()
	if err != nil {
		return nil, false
	}
	prefix := "pcr"
	if document.TPM {
		prefix = "nitrotpmpcr"
	} else if name == "imagesha384" {
		name = "pcr0"
	}
	digits, ok := strings.CutPrefix(name, prefix)
	index, err := strconv.Atoi(digits)
	if !ok || err != nil || strconv.Itoa(index) != digits {
		return nil, false
	}
	return one(hex.EncodeToString(document.PCRs[index]))
}

// The PCRs that AWS writes into records, of those that a document has: the developer guide's "Monitoring requests for
// Nitro enclaves" and "… for NitroTPM".
var (
	recordedPCRs    = []int{1, 2, 3, 4, 8}
	recordedTPMPCRs = []int{4, 7, 8, 9, 16, 23}
)

func (r *recipient) note() {
	d := r.document
	members := []string{"attestationDocumentModuleId", d.ModuleID}
	name, recorded := "attestationDocumentEnclavePCR", recordedPCRs
	if d.TPM {
		name, recorded = "attestationDocumentNitroTPMPCR", recordedTPMPCRs
	} else if image, ok := d.PCRs[0]; ok {
		members = append(members, "attestationDocumentEnclaveImageDigest", hex.EncodeToString(image))
	}
	for _, index := range recorded {
		if pcr, ok := d.PCRs[index]; ok {
			members = append(members, name+strconv.Itoa(index), hex.EncodeToString(pcr))
		}
	}
	r.c.NoteObject("recipient", members...)
}
