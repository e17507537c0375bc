package kms

import (
	"encoding/base64"

	"vigil/internal/call"
)

// A grant token is a grant's id, sealed, so that nobody can make one up. Each is different, and all of one grant mean the
// same. A grant takes effect at once here, so that a token adds nothing to it: it is only checked.

// grantTokenContext keeps tokens and key material apart.
var grantTokenContext = []byte("grant token")

// grantToken makes a new token for a grant.
func (k *KMS) grantToken(of keyRef, grantID string) (string, error) {
	sealed, err := k.material.Wrap([]byte(grantID+of.arn().String()), grantTokenContext)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// openGrantToken is the grant that a token is for, which need not exist any more.
func (k *KMS) openGrantToken(token string) (of keyRef, grantID string, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return keyRef{}, "", invalidGrantToken()
	}
	opened, err := k.material.Unwrap(sealed, grantTokenContext)
	if err != nil || len(opened) < grantIDSize {
		return keyRef{}, "", invalidGrantToken()
	}
	target, ok := parseARN(string(opened[grantIDSize:]))
	if !ok {
		return keyRef{}, "", invalidGrantToken()
	}
	return keyRef{target.Account, target.Region, target.ID()}, string(opened[:grantIDSize]), nil
}

// checkGrantTokens refuses a request with a token that is none.
func (k *KMS) checkGrantTokens(tokens []string) error {
	for _, token := range tokens {
		if _, _, err := k.openGrantToken(token); err != nil {
			return err
		}
	}
	return nil
}

func invalidGrantToken() error {
	return call.Errorf("InvalidGrantTokenException", "The grant token is not valid.")
}
