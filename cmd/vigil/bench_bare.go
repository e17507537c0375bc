package main

import (
	"crypto"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"vigil/internal/kms/keycrypt"
)

// bareSpecs are the operations whose algorithm is measured by itself too, with the key spec that they have when none is given.
var bareSpecs = map[string]string{"Sign": "ECC_NIST_P256", "GenerateMac": "HMAC_256"}

// signatures are the algorithm by which bench signs with a key of each spec.
var signatures = map[string]string{
	"RSA_2048": "RSASSA_PKCS1_V1_5_SHA_256", "RSA_3072": "RSASSA_PKCS1_V1_5_SHA_256", "RSA_4096": "RSASSA_PKCS1_V1_5_SHA_256",
	"ECC_NIST_P256": "ECDSA_SHA_256", "ECC_NIST_P384": "ECDSA_SHA_384", "ECC_NIST_P521": "ECDSA_SHA_512", "ECC_SECG_P256K1": "ECDSA_SHA_256",
	"ECC_NIST_EDWARDS25519": "ED25519_SHA_512", "SM2": "SM2DSA",
	"ML_DSA_44": "ML_DSA_SHAKE_256", "ML_DSA_65": "ML_DSA_SHAKE_256", "ML_DSA_87": "ML_DSA_SHAKE_256",
}

// macs are the algorithm of each HMAC key spec, and its hash.
var macs = map[string]struct {
	algorithm string
	hash      crypto.Hash
}{
	"HMAC_224": {"HMAC_SHA_224", crypto.SHA224}, "HMAC_256": {"HMAC_SHA_256", crypto.SHA256},
	"HMAC_384": {"HMAC_SHA_384", crypto.SHA384}, "HMAC_512": {"HMAC_SHA_512", crypto.SHA512},
}

func knownSpec(op, spec string) bool {
	if op == "Sign" {
		return signatures[spec] != ""
	}
	return macs[spec].algorithm != ""
}

// bareAlgorithm is what an operation does with key material, without a server around it; nil for operations that are not of bareSpecs.
func bareAlgorithm(op, spec string, message []byte) (func() error, error) {
	if bareSpecs[op] == "" {
		return nil, nil
	}
	material, err := keycrypt.GenerateKey("bench", keycrypt.Spec(spec))
	if err != nil {
		return nil, fmt.Errorf("a key of spec %s: %w", spec, err)
	}
	if op == "Sign" {
		return func() error {
			_, err := material.Sign(keycrypt.SigningAlgorithm(signatures[spec]), keycrypt.Raw, message)
			return err
		}, nil
	}
	return func() error { material.MAC(macs[spec].hash, message); return nil }, nil
}

// loadBare does a thing over and over on every processor until the time is up.
func loadBare(do func() error, duration time.Duration) (measure, error) {
	begun := time.Now()
	end := begun.Add(duration)
	each := make([][]time.Duration, runtime.GOMAXPROCS(0))
	failed := make(chan error, len(each))
	var all sync.WaitGroup
	for i := range each {
		all.Go(func() {
			for at := time.Now(); at.Before(end); {
				if err := do(); err != nil {
					failed <- err
					return
				}
				now := time.Now()
				each[i] = append(each[i], now.Sub(at))
				at = now
			}
		})
	}
	all.Wait()
	m := measure{latencies: slices.Concat(each...), took: time.Since(begun)}
	select {
	case err := <-failed:
		return m, err
	default:
		return m, nil
	}
}
