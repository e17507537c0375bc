package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
)

// Credentials are a new access key, in the only moment in which its secret can be told. Printing them does not print the secret.
type Credentials struct {
	Account     string
	AccessKeyID string

	secret *string
}

// SecretAccessKey is the secret that requests are signed with.
func (c Credentials) SecretAccessKey() string { return *c.secret }

// String leaves the secret out.
func (c Credentials) String() string { return "access key " + c.AccessKeyID + " of " + c.Account }

// GoString leaves the secret out.
func (c Credentials) GoString() string { return c.String() }

// newCredentials makes a key as AWS makes them: an id of AKIA and 16 of A-Z and 2-7, which are 80 random bits, and a secret of
// 40 characters of base64, which are 240.
func newCredentials(account string) Credentials { return credentialsLike("AKIA", account) }

func credentialsLike(prefix, account string) Credentials {
	id := make([]byte, 10)
	rand.Read(id)
	random := make([]byte, 30)
	rand.Read(random)
	secret := base64.StdEncoding.EncodeToString(random)
	return Credentials{
		Account:     account,
		AccessKeyID: prefix + base32.StdEncoding.EncodeToString(id),
		secret:      &secret,
	}
}
