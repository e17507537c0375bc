package identity

//lint:file-ignore SA1019 PackedPolicySize is deprecated, but STS answers with it still.

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/go-jose/go-jose/v4"

	"vigil/internal/call"
)

// algorithms are those that a token may be signed with. None of them is symmetric, and none is "none".
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// tokenSkew is by how much a provider's clock may differ. A token's times are judged by the machine's own clock, as the provider's
// are.
const tokenSkew = 5 * time.Minute

// webToken is a verified ID token: OpenID Connect Core 1.0, section 2.
type webToken struct {
	provider *oidcProvider
	audience string // the client id of the provider that the token is for
	claims   webClaims
}

type webClaims struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audience  textOrAll `json:"aud"`
	Party     string    `json:"azp"`
	Expires   *float64  `json:"exp"` // seconds since 1970
	NotBefore float64   `json:"nbf"`
	Issued    float64   `json:"iat"`
	Methods   textOrAll `json:"amr"`

	Tags struct {
		Principal  map[string]textOrAll `json:"principal_tags"`
		Transitive []string             `json:"transitive_tag_keys"`
	} `json:"https://aws.amazon.com/tags"`
	SourceIdentity *string `json:"https://aws.amazon.com/source_identity"`
}

// textOrAll is a list of texts that may be written as one text.
type textOrAll []string

func (l *textOrAll) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = textOrAll{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

func invalidIdentity(message string) error {
	return call.Errorf("InvalidIdentityTokenException", "%s", message)
}

// verify is the token, if a provider of the account signed it, now, for one of its clients.
func (id *Identity) verify(ctx context.Context, account, text string) (*webToken, error) {
	signed, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, invalidIdentity("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	t := &webToken{}
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &t.claims) != nil { // only to learn whose signature to ask for
		return nil, invalidIdentity("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	issuer := strings.TrimPrefix(t.claims.Issuer, "https://")
	t.provider = named[*oidcProvider](id.known, placeOf(account, provider, issuer))
	if t.provider == nil || t.provider.URL != issuer {
		return nil, invalidIdentity("No OpenIDConnect provider found in your account for " + clip(t.claims.Issuer))
	}
	keys, err := id.issuers.find(ctx, t.provider, signed.Signatures[0].Header.KeyID)
	if err != nil {
		failed := call.Errorf("InvalidIdentityTokenException", "Couldn't retrieve verification key from your identity provider, "+
			"please reference AssumeRoleWithWebIdentity documentation for requirements")
		if err != errResting { // why it failed was logged then
			failed.Cause = err
		}
		return nil, failed
	}
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { _, err := signed.Verify(k); return err == nil }) {
		return nil, invalidIdentity("The ID Token's signature is not valid.")
	}
	return t, t.check(time.Now())
}

// clip shortens a stranger's text for a message.
func clip(text string) string { return strings.ToValidUTF8(text[:min(len(text), 255)], "?") }

// check checks the claims of a token whose signature is right.
func (t *webToken) check(now time.Time) error {
	at := float64(now.Unix())
	switch {
	case t.claims.Expires == nil || t.claims.Subject == "":
		return invalidIdentity("The ID Token lacks a claim that is required: sub or exp.")
	case at >= *t.claims.Expires:
		return call.Errorf("ExpiredTokenException", "Token expired: current date/time %d must be before the expiration date/time %d",
			now.Unix(), int64(*t.claims.Expires))
	case t.claims.NotBefore > at+tokenSkew.Seconds() || t.claims.Issued > at+tokenSkew.Seconds():
		return invalidIdentity("The ID Token is not valid yet.")
	}
	candidates := t.claims.Audience
	if t.claims.Party != "" {
		candidates = append(textOrAll{t.claims.Party}, candidates...)
	}
	for _, one := range candidates {
		if slices.Contains(t.provider.Clients, one) {
			t.audience = one
			return nil
		}
	}
	return invalidIdentity("Incorrect token audience")
}

// assumeRoleWithWebIdentity makes a session of a role for who shows a token of an OpenID Connect provider that the role trusts.
// The request is not signed. Until the token is found to be right, its sender is nobody.
func (id *Identity) assumeRoleWithWebIdentity(ctx context.Context, c *call.Call, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	w, err := id.want(c, *in.RoleArn, *in.RoleSessionName, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	if in.ProviderId != nil {
		return nil, call.NotBuilt("An OAuth 2.0 access token (ProviderId)")
	}
	if in.DurationSeconds == nil {
		in.DurationSeconds = new(int32(defaultSession))
	}
	t, err := id.verify(ctx, w.arn.Account, *in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	c.Principal = t.principal()
	denied := id.allowWeb(c, w, t)
	c.Principal.Account = w.arn.Account // from here on the call is somebody's, and is recorded in the role's account
	if denied != nil {
		return nil, denied
	}
	if err := w.last(*in.DurationSeconds, false); err != nil {
		return nil, err
	}
	w.session.Provider = t.provider.arn()
	made, err := id.mint(w.session, c.Time, *in.DurationSeconds, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	out := &sts.AssumeRoleWithWebIdentityOutput{AssumedRoleUser: w.user(), Credentials: made.credentials, PackedPolicySize: made.packed,
		SessionTokenSize: made.size, SessionTokenUtilization: made.utilization,
		Audience: &t.audience, Provider: new(t.provider.arn()), SubjectFromWebIdentityToken: &t.claims.Subject}
	if w.session.SourceIdentity != "" {
		out.SourceIdentity = &w.session.SourceIdentity
	}
	return out, nil
}

// principal is who has the token: nobody of any account.
func (t *webToken) principal() call.Principal {
	return call.Principal{
		Type:        typeWebIdentity,
		PrincipalID: t.provider.arn() + ":" + t.audience + ":" + t.claims.Subject,
		UserName:    t.claims.Subject,
		Provider:    t.provider.arn(),
	}
}

// allowWeb asks the role's trust policy, with what the token says as condition keys.
func (id *Identity) allowWeb(c *call.Call, w *wanted, t *webToken) error {
	prefix := strings.ToLower(t.provider.URL)
	w.context[prefix+":aud"] = []string{t.audience}
	w.context[prefix+":sub"] = []string{t.claims.Subject}
	if len(t.claims.Methods) > 0 {
		w.context[prefix+":amr"] = t.claims.Methods
	}
	w.context["aws:federatedprovider"] = []string{t.provider.arn()}
	if err := w.tag(c, t.tags(), t.claims.Tags.Transitive); err != nil {
		return err
	}
	if err := w.setSourceIdentity(c, t.claims.SourceIdentity); err != nil {
		return err
	}
	if w.role == nil || w.allow(c, "sts:AssumeRoleWithWebIdentity") != nil {
		return denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
	}
	return nil
}

// tags are the session tags that the token asks for.
func (t *webToken) tags() (list []types.Tag) {
	for key, values := range t.claims.Tags.Principal {
		if len(values) > 0 {
			list = append(list, types.Tag{Key: &key, Value: &values[0]})
		}
	}
	slices.SortFunc(list, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return list
}
