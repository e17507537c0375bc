package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/call"
)

// Wrapper encrypts the secrets of connections. What was wrapped with a context only unwraps with the same. It is used by many
// goroutines.
type Wrapper interface {
	Wrap(plaintext, context []byte) ([]byte, error)
	Unwrap(wrapped, context []byte) ([]byte, error)
}

// Credentials are what a connection adds to the request of a delivery.
type Credentials struct {
	Version string // another after each change

	Header map[string]string
	Query  map[string]string
	Body   map[string]string // members of the JSON object that the body is

	// With a TokenEndpoint, an access token is got from there by the client credentials grant of OAuth 2.0 and sent as Authorization.
	TokenEndpoint string
	TokenMethod   string // GET, POST or PUT
	ClientID      string
	ClientSecret  string
	TokenHeader   map[string]string
	TokenQuery    map[string]string
	TokenBody     map[string]string
}

func (Credentials) String() string   { return "credentials" }
func (Credentials) GoString() string { return "credentials" }

// Credentials gives those of a connection by its ARN. Its errors hold no secret: that there is none, or none any more.
func (e *Events) Credentials(name string) (Credentials, error) {
	one := e.known.connectionByARN(name)
	switch {
	case one == nil:
		return Credentials{}, errors.New("the connection does not exist")
	case len(one.sealed) == 0:
		return Credentials{}, errors.New("the connection is not authorized")
	}
	parameters, err := e.unseal(one)
	if err != nil {
		e.log.Error("The secrets of a connection cannot be read.", "connection", name, "error", err)
		return Credentials{}, errors.New("the secrets of the connection cannot be read")
	}
	c := Credentials{Version: fmt.Sprint(one.version)}
	c.Header, c.Query, c.Body = httpParameters(parameters.InvocationHttpParameters)
	switch {
	case parameters.BasicAuthParameters != nil:
		p := parameters.BasicAuthParameters
		c.Header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(*p.Username+":"+*p.Password))
	case parameters.ApiKeyAuthParameters != nil:
		c.Header[strings.TrimSpace(*parameters.ApiKeyAuthParameters.ApiKeyName)] = strings.TrimSpace(*parameters.ApiKeyAuthParameters.ApiKeyValue)
	case parameters.OAuthParameters != nil:
		p := parameters.OAuthParameters
		c.TokenEndpoint, c.TokenMethod = *p.AuthorizationEndpoint, string(p.HttpMethod)
		c.ClientID, c.ClientSecret = *p.ClientParameters.ClientID, *p.ClientParameters.ClientSecret
		c.TokenHeader, c.TokenQuery, c.TokenBody = httpParameters(p.OAuthHttpParameters)
	}
	return c, nil
}

// httpParameters are a connection's parameters by name.
func httpParameters(p *types.ConnectionHttpParameters) (header, query, body map[string]string) {
	header, query, body = map[string]string{}, map[string]string{}, map[string]string{}
	if p == nil {
		return header, query, body
	}
	for _, one := range p.HeaderParameters {
		header[text(one.Key)] = strings.TrimSpace(text(one.Value))
	}
	for _, one := range p.QueryStringParameters {
		query[text(one.Key)] = text(one.Value)
	}
	for _, one := range p.BodyParameters {
		body[text(one.Key)] = text(one.Value)
	}
	return header, query, body
}

// seal gives a connection its parameters: checked, and wrapped but for what is shown.
func (e *Events) seal(c *connection, p *types.CreateConnectionAuthRequestParameters) error {
	if e.config.Secrets == nil {
		return call.NotBuilt("A connection on a server that keeps no secrets")
	}
	if err := checkParameters(c.authorization, p); err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	c.shown = shown(p)
	c.sealed, err = e.config.Secrets.Wrap(data, c.sealContext())
	return err
}

// unseal is the other way. A connection that is not authorized has no parameters.
func (e *Events) unseal(c *connection) (*types.CreateConnectionAuthRequestParameters, error) {
	p := &types.CreateConnectionAuthRequestParameters{}
	if len(c.sealed) == 0 {
		return p, nil
	}
	if e.config.Secrets == nil {
		return nil, call.NotBuilt("A connection on a server that keeps no secrets")
	}
	data, err := e.config.Secrets.Unwrap(c.sealed, c.sealContext())
	if err != nil {
		return nil, err
	}
	return p, json.Unmarshal(data, p)
}

// sealContext binds what is wrapped to its row.
func (c *connection) sealContext() []byte { return []byte("secrets of connection " + c.arn().String()) }

// checkParameters says whether parameters are those of a type of authorization, and whether requests can be made of them.
func checkParameters(kind types.ConnectionAuthorizationType, p *types.CreateConnectionAuthRequestParameters) error {
	basic, key, oauth := p.BasicAuthParameters, p.ApiKeyAuthParameters, p.OAuthParameters
	var name string
	var complete, alone bool
	switch kind {
	case types.ConnectionAuthorizationTypeBasic:
		name, alone = "BasicAuthParameters", key == nil && oauth == nil
		complete = basic != nil && basic.Username != nil && basic.Password != nil
	case types.ConnectionAuthorizationTypeApiKey:
		name, alone = "ApiKeyAuthParameters", basic == nil && oauth == nil
		complete = key != nil && key.ApiKeyName != nil && key.ApiKeyValue != nil
	default:
		name, alone = "OAuthParameters", basic == nil && key == nil
		complete = oauth != nil && oauth.AuthorizationEndpoint != nil && oauth.HttpMethod != "" &&
			oauth.ClientParameters != nil && oauth.ClientParameters.ClientID != nil && oauth.ClientParameters.ClientSecret != nil
	}
	if !alone || !complete {
		return invalid("Parameter AuthParameters is not valid. Reason: The authorization type %s needs all of %s, and no parameters of another type.", kind, name)
	}
	if key != nil && !isToken(strings.TrimSpace(*key.ApiKeyName)) {
		return invalid("Parameter ApiKeyName is not valid. Reason: It is not the name of an HTTP header.")
	}
	if oauth != nil {
		if err := checkEndpoint("AuthorizationEndpoint", *oauth.AuthorizationEndpoint); err != nil {
			return err
		}
		if err := checkHTTPParameters(oauth.OAuthHttpParameters); err != nil {
			return err
		}
	}
	return checkHTTPParameters(p.InvocationHttpParameters)
}

func checkHTTPParameters(p *types.ConnectionHttpParameters) error {
	if p == nil {
		return nil
	}
	for _, one := range p.HeaderParameters {
		if !isToken(text(one.Key)) {
			return invalid("Parameter HeaderParameters is not valid. Reason: A key is not the name of an HTTP header.")
		}
	}
	for _, one := range p.QueryStringParameters {
		if text(one.Key) == "" {
			return invalid("Parameter QueryStringParameters is not valid. Reason: A key is missing.")
		}
	}
	for _, one := range p.BodyParameters {
		if text(one.Key) == "" {
			return invalid("Parameter BodyParameters is not valid. Reason: A key is missing.")
		}
	}
	return nil
}

// isToken says whether s can be the name of a header (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// checkEndpoint allows URLs of scheme https.
func checkEndpoint(parameter, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return invalid("Parameter %s is not valid. Reason: It must be a URL of scheme https with a host, without user and fragment.", parameter)
	}
	return nil
}

// merge puts what an update has into parameters.
func merge(p *types.CreateConnectionAuthRequestParameters, update *types.UpdateConnectionAuthRequestParameters) {
	if update == nil {
		return
	}
	if u := update.BasicAuthParameters; u != nil {
		into := made(&p.BasicAuthParameters)
		replace(&into.Username, u.Username)
		replace(&into.Password, u.Password)
	}
	if u := update.ApiKeyAuthParameters; u != nil {
		into := made(&p.ApiKeyAuthParameters)
		replace(&into.ApiKeyName, u.ApiKeyName)
		replace(&into.ApiKeyValue, u.ApiKeyValue)
	}
	if u := update.OAuthParameters; u != nil {
		into := made(&p.OAuthParameters)
		replace(&into.AuthorizationEndpoint, u.AuthorizationEndpoint)
		if u.HttpMethod != "" {
			into.HttpMethod = u.HttpMethod
		}
		if client := u.ClientParameters; client != nil {
			into := made(&into.ClientParameters)
			replace(&into.ClientID, client.ClientID)
			replace(&into.ClientSecret, client.ClientSecret)
		}
		replace(&into.OAuthHttpParameters, u.OAuthHttpParameters)
	}
	replace(&p.InvocationHttpParameters, update.InvocationHttpParameters)
}

// made is what place points to, made if there is nothing.
func made[T any](place **T) *T {
	if *place == nil {
		*place = new(T)
	}
	return *place
}

// replace puts a value in its place if there is one.
func replace[T any](place **T, value *T) {
	if value != nil {
		*place = value
	}
}

// shown is what may be shown of parameters.
func shown(p *types.CreateConnectionAuthRequestParameters) (s types.ConnectionAuthResponseParameters) {
	if p.BasicAuthParameters != nil {
		s.BasicAuthParameters = &types.ConnectionBasicAuthResponseParameters{Username: p.BasicAuthParameters.Username}
	}
	if p.ApiKeyAuthParameters != nil {
		s.ApiKeyAuthParameters = &types.ConnectionApiKeyAuthResponseParameters{ApiKeyName: p.ApiKeyAuthParameters.ApiKeyName}
	}
	if o := p.OAuthParameters; o != nil {
		s.OAuthParameters = &types.ConnectionOAuthResponseParameters{
			AuthorizationEndpoint: o.AuthorizationEndpoint, HttpMethod: o.HttpMethod, OAuthHttpParameters: shownParameters(o.OAuthHttpParameters),
			ClientParameters: &types.ConnectionOAuthClientResponseParameters{ClientID: o.ClientParameters.ClientID},
		}
	}
	s.InvocationHttpParameters = shownParameters(p.InvocationHttpParameters)
	return s
}

func shownParameters(p *types.ConnectionHttpParameters) *types.ConnectionHttpParameters {
	if p == nil {
		return nil
	}
	s := &types.ConnectionHttpParameters{}
	for _, one := range p.HeaderParameters {
		if one.IsValueSecret {
			one.Value = nil
		}
		s.HeaderParameters = append(s.HeaderParameters, one)
	}
	for _, one := range p.QueryStringParameters {
		if one.IsValueSecret {
			one.Value = nil
		}
		s.QueryStringParameters = append(s.QueryStringParameters, one)
	}
	for _, one := range p.BodyParameters {
		if one.IsValueSecret {
			one.Value = nil
		}
		s.BodyParameters = append(s.BodyParameters, one)
	}
	return s
}
