package identity

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// session is what a session token holds, sealed: a session is stored nowhere else, and lives over restarts.
type session struct {
	Key     string // the access key id, of ASIA
	Secret  string
	Type    string // AssumedRole, FederatedUser, or IAMUser for GetSessionToken
	Account string
	Holder  string `json:",omitempty"` // unique id of the role or user; "" is the root user
	Name    string `json:",omitempty"` // of the session or of the federated user
	Created int64
	Expires int64

	Limited        bool     `json:",omitempty"` // by Policy and PolicyARNs, even if there are none
	Policy         string   `json:",omitempty"`
	PolicyARNs     []string `json:",omitempty"`
	Tags           tags     `json:",omitempty"`
	Transitive     []string `json:",omitempty"` // keys of tags that go on to the next session of a chain
	SourceIdentity string   `json:",omitempty"`
	Provider       string   `json:",omitempty"` // of the web identity
}

// String leaves the secret out.
func (s *session) String() string { return "session " + s.Key + " of " + s.Account }

// GoString leaves the secret out.
func (s *session) GoString() string { return s.String() }

// maxToken is how long a session token is at most, in bytes: as long as STS pads it to on request.
const maxToken = 4096

var tokenContext = []byte("session token")

// minted is a new session as an answer shows it.
type minted struct {
	credentials *types.Credentials
	size        *int32 // of the token, in bytes
	utilization *int32 // of the token's greatest size, in percent
	packed      *int32 // how much of their space policies and tags take, in percent; nil when there are none
}

// mint gives a session its credentials. atLeast is how long the token is to be, in bytes.
func (id *Identity) mint(s *session, now time.Time, seconds int32, atLeast *int32) (*minted, error) {
	fresh := credentialsLike("ASIA", s.Account)
	s.Key, s.Secret = fresh.AccessKeyID, fresh.SecretAccessKey()
	s.Created = now.UnixMilli()
	s.Expires = now.Truncate(time.Second).Add(time.Duration(seconds) * time.Second).UnixMilli()
	packed, err := packedSize(s)
	if err != nil {
		return nil, err
	}
	least := 0
	if atLeast != nil {
		least = int(*atLeast)
	}
	token, err := id.sealToken(s, least)
	if err != nil {
		return nil, err
	}
	return &minted{
		credentials: &types.Credentials{
			AccessKeyId: &s.Key, SecretAccessKey: &s.Secret, SessionToken: &token, Expiration: timeOf(s.Expires),
		},
		size:        new(int32(len(token))),
		utilization: new(int32((100*len(token) + maxToken - 1) / maxToken)),
		packed:      packed,
	}, nil
}

// packedSize is how much of the space for policies and tags a session takes, in percent, or nil when it has none.
func packedSize(s *session) (*int32, error) {
	if !s.Limited && len(s.Tags) == 0 {
		return nil, nil
	}
	const space = 2048
	var b bytes.Buffer
	deflate(&b, []any{s.Policy, s.PolicyARNs, s.Tags})
	percent := (100*b.Len() + space - 1) / space
	if percent > 100 {
		return nil, packedTooLarge(percent)
	}
	return new(int32(percent)), nil
}

func deflate(b *bytes.Buffer, v any) {
	w, _ := flate.NewWriter(b, flate.BestSpeed) // its error is about the level, the others about writing to b: there is none
	_ = json.NewEncoder(w).Encode(v)
	_ = w.Close()
}

// sealToken writes a session as a token of at least as many bytes: base64 of the wrapped, deflated JSON, behind which random bytes
// make up the size.
func (id *Identity) sealToken(s *session, least int) (string, error) {
	var b bytes.Buffer
	deflate(&b, (*sessionData)(s))
	for {
		sealed, err := id.config.Secrets.Wrap(b.Bytes(), tokenContext)
		if err != nil {
			return "", err
		}
		token := base64.StdEncoding.EncodeToString(sealed)
		switch {
		case len(token) > maxToken:
			return "", packedTooLarge((100*len(token) + maxToken - 1) / maxToken)
		case len(token) >= least:
			return token, nil
		}
		padding := make([]byte, max(1, (least-len(token))*3/4))
		rand.Read(padding)
		b.Write(padding)
	}
}

// sessionData is a session without its String.
type sessionData session

// openToken reads a token. Any other text is refused.
func (id *Identity) openToken(token string) (*session, error) {
	sealed, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil || len(token) > 2*maxToken {
		return nil, errUnknown
	}
	plain, err := id.config.Secrets.Unwrap(sealed, tokenContext)
	if err != nil {
		return nil, errUnknown
	}
	s := new(session)
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(plain)), 1<<20))
	if err != nil || json.Unmarshal(data, (*sessionData)(s)) != nil {
		return nil, errUnknown
	}
	return s, nil
}
