package kms

import (
	"crypto"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// algorithms are what a key can be used with, in the order in which AWS KMS lists them.
type algorithms struct {
	encryption    []types.EncryptionAlgorithmSpec
	signing       []types.SigningAlgorithmSpec
	mac           []types.MacAlgorithmSpec
	agreement     []types.KeyAgreementAlgorithmSpec
	encapsulation []types.EncapsulationAlgorithmSpec
}

// algorithms are those of the key's spec that its usage leaves. See the KMS developer guide's "Key spec reference".
func (k *key) algorithms() algorithms { return algorithmsOf[specUsage{k.spec, k.usage}] }

type specUsage struct {
	spec  types.KeySpec
	usage types.KeyUsageType
}

var algorithmsOf = func() map[specUsage]algorithms {
	const (
		encrypt, sign = types.KeyUsageTypeEncryptDecrypt, types.KeyUsageTypeSignVerify
		mac, agree    = types.KeyUsageTypeGenerateVerifyMac, types.KeyUsageTypeKeyAgreement
		encapsulate   = types.KeyUsageTypeEncapsulateDecapsulate
	)
	oaep := algorithms{encryption: []types.EncryptionAlgorithmSpec{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}}
	rsa := algorithms{signing: []types.SigningAlgorithmSpec{
		"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
	}}
	signing := func(all ...types.SigningAlgorithmSpec) algorithms { return algorithms{signing: all} }
	macs := func(one types.MacAlgorithmSpec) algorithms { return algorithms{mac: []types.MacAlgorithmSpec{one}} }
	ecdh := algorithms{agreement: []types.KeyAgreementAlgorithmSpec{"ECDH"}}
	kem := algorithms{encapsulation: []types.EncapsulationAlgorithmSpec{"ML_KEM"}}
	return map[specUsage]algorithms{
		{"SYMMETRIC_DEFAULT", encrypt}: {encryption: []types.EncryptionAlgorithmSpec{"SYMMETRIC_DEFAULT"}},

		{"HMAC_224", mac}: macs("HMAC_SHA_224"),
		{"HMAC_256", mac}: macs("HMAC_SHA_256"),
		{"HMAC_384", mac}: macs("HMAC_SHA_384"),
		{"HMAC_512", mac}: macs("HMAC_SHA_512"),

		{"RSA_2048", encrypt}: oaep, {"RSA_2048", sign}: rsa,
		{"RSA_3072", encrypt}: oaep, {"RSA_3072", sign}: rsa,
		{"RSA_4096", encrypt}: oaep, {"RSA_4096", sign}: rsa,

		{"ECC_NIST_P256", sign}: signing("ECDSA_SHA_256"), {"ECC_NIST_P256", agree}: ecdh,
		{"ECC_NIST_P384", sign}: signing("ECDSA_SHA_384"), {"ECC_NIST_P384", agree}: ecdh,
		{"ECC_NIST_P521", sign}: signing("ECDSA_SHA_512"), {"ECC_NIST_P521", agree}: ecdh,
		{"ECC_SECG_P256K1", sign}:       signing("ECDSA_SHA_256"),
		{"ECC_NIST_EDWARDS25519", sign}: signing("ED25519_PH_SHA_512", "ED25519_SHA_512"),

		{"SM2", encrypt}: {encryption: []types.EncryptionAlgorithmSpec{"SM2PKE"}},
		{"SM2", sign}:    signing("SM2DSA"),
		{"SM2", agree}:   ecdh,

		{"ML_DSA_44", sign}: signing("ML_DSA_SHAKE_256"),
		{"ML_DSA_65", sign}: signing("ML_DSA_SHAKE_256"),
		{"ML_DSA_87", sign}: signing("ML_DSA_SHAKE_256"),

		{"ML_KEM_512", encapsulate}:  kem,
		{"ML_KEM_768", encapsulate}:  kem,
		{"ML_KEM_1024", encapsulate}: kem,
	}
}()

// macHashes are the hashes of the MAC algorithms.
var macHashes = map[types.MacAlgorithmSpec]crypto.Hash{
	types.MacAlgorithmSpecHmacSha224: crypto.SHA224,
	types.MacAlgorithmSpecHmacSha256: crypto.SHA256,
	types.MacAlgorithmSpecHmacSha384: crypto.SHA384,
	types.MacAlgorithmSpecHmacSha512: crypto.SHA512,
}

// asymmetric says whether keys of a spec are key pairs.
func asymmetric(spec types.KeySpec) bool {
	switch spec {
	case types.KeySpecSymmetricDefault, types.KeySpecHmac224, types.KeySpecHmac256, types.KeySpecHmac384, types.KeySpecHmac512:
		return false
	}
	return true
}

// usable says whether a key can do what an operation asks of it, with an algorithm that has to be one of the key's.
// Usage and state come before the algorithm, which is the order in which AWS KMS answers.
func usable[A ~string](k *key, operation string, usage types.KeyUsageType, algorithm A, all []A) error {
	if err := k.ready(operation, usage); err != nil {
		return err
	}
	if !slices.Contains(all, algorithm) {
		return incompatible(string(algorithm), k.spec)
	}
	return nil
}
