package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// open wraps nothing, so that the fuzzer reaches what is inside.
type openWrapper struct{}

func (openWrapper) Wrap(plaintext, _ []byte) ([]byte, error) { return plaintext, nil }
func (openWrapper) Unwrap(blob, _ []byte) ([]byte, error)    { return blob, nil }

// FuzzToken: whatever is inside a token, reading it ends, and who it speaks of is known or refused.
func FuzzToken(f *testing.F) {
	id := &Identity{config: Config{Secrets: openWrapper{}}, known: newDirectory()}
	id.known.accounts["111122223333"] = true
	for _, s := range []*session{
		{Type: typeUser, Account: "111122223333"},
		{Type: typeFederated, Account: "111122223333", Limited: true, Policy: `{}`},
		{Type: typeAssumedRole, Account: "111122223333", Holder: "AROAX"},
		{Type: "?", Account: "111122223333"},
	} {
		made, err := id.mint(s, time.UnixMilli(0), 900, nil)
		if err != nil {
			f.Fatal(err)
		}
		plain, _ := base64.StdEncoding.DecodeString(*made.credentials.SessionToken)
		f.Add(plain)
		data, _ := json.Marshal((*sessionData)(s))
		var stored bytes.Buffer
		stored.Write([]byte{1, byte(len(data)), byte(len(data) >> 8), ^byte(len(data)), ^byte(len(data) >> 8)})
		stored.Write(data) // a stored block of DEFLATE, which the fuzzer can change
		f.Add(stored.Bytes())
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		s, err := id.openToken(base64.StdEncoding.EncodeToString(plain))
		if err != nil {
			return
		}
		if c, err := id.known.session(s); err == nil && c.principal.Account != "111122223333" {
			t.Errorf("%+v", c.principal)
		}
	})
}

// FuzzClaims: a token's claims are read or refused.
func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"https://a","sub":"b","aud":["c"],"exp":1e300,"https://aws.amazon.com/tags":{"principal_tags":{"a":"b"}}}`))
	f.Add([]byte(`{"aud":"c","exp":12,"nbf":-1,"azp":"c","amr":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		w := webToken{provider: &oidcProvider{Clients: []string{"c"}}}
		if json.Unmarshal(text, &w.claims) == nil && w.check(time.Unix(10, 0)) == nil && w.audience != "c" {
			t.Errorf("it is for %q", w.audience)
		}
		w.tags()
	})
}

// FuzzProviderURL: a URL that is taken is one of https, and stays in an ARN what it is.
func FuzzProviderURL(f *testing.F) {
	for _, text := range []string{"https://a.example.com", "https://a/b/", "http://a", "https://", "https://u@a", "https://a?b", "https://[::1]:1/x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := providerURL(text)
		if err != nil {
			return
		}
		p, err := target{provider, (&oidcProvider{Account: "111122223333", URL: at}).arn()}.at("111122223333")
		if err != nil || p != placeOf("111122223333", provider, at) {
			t.Errorf("%q becomes %v, %v", text, p, err)
		}
	})
}
