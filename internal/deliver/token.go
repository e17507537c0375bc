package deliver

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// renewBefore is how long a token must still be good to be used (EventBridge User Guide, "Considerations when using OAuth").
const renewBefore = time.Minute

// tokens are the access tokens of connections, in memory only: a process begins with none.
type tokens struct {
	mu sync.Mutex
	of map[string]*tokenOf // by connection
}

// tokenOf is a connection's token. Whoever has its turn may read and change it; attempts wait for each other's turn, and so do not
// all ask for a token.
type tokenOf struct {
	turn    chan struct{}
	version string    // of the credentials it was got with
	header  string    // empty for none
	until   time.Time // zero if that was not told
}

func (t *tokens) connection(name string) *tokenOf {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = make(map[string]*tokenOf)
	}
	one := t.of[name]
	if one == nil {
		one = &tokenOf{turn: make(chan struct{}, 1)}
		t.of[name] = one
	}
	return one
}

// forget has the next attempt get another token than this one.
func (t *tokens) forget(connection, header string) {
	if header == "" {
		return
	}
	one := t.connection(connection)
	one.turn <- struct{}{}
	if one.header == header {
		one.header = ""
	}
	<-one.turn
}

// token is the Authorization header of an attempt.
func (o *Outbox) token(ctx context.Context, s *stored, c *Credentials) (header string, f *failure) {
	one := o.tokens.connection(s.Connection)
	select {
	case one.turn <- struct{}{}:
		defer func() { <-one.turn }()
	case <-ctx.Done():
		return "", &failure{code: codeTimeout, message: "the authorization endpoint did not answer in time"}
	}
	now := o.clock.Now()
	if one.header != "" && one.version == c.Version && (one.until.IsZero() || one.until.Sub(now) > renewBefore) {
		return one.header, nil
	}
	answer, f := o.askForToken(ctx, s, c)
	if f != nil {
		return "", f
	}
	one.version, one.header, one.until = c.Version, "Bearer "+answer.AccessToken, time.Time{}
	if answer.ExpiresIn > 0 {
		one.until = now.Add(time.Duration(min(answer.ExpiresIn, 365*24*3600)) * time.Second)
	}
	return one.header, nil
}

// tokenAnswer is what an authorization endpoint answers (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string  `json:"access_token"`
	ExpiresIn   float64 `json:"expires_in"` // seconds
}

func (o *Outbox) askForToken(ctx context.Context, s *stored, c *Credentials) (*tokenAnswer, *failure) {
	request, err := newTokenRequest(ctx, c)
	if err != nil {
		return nil, &failure{code: codeParameter, message: "the authorization endpoint is not a URL", final: true}
	}
	answer, err := o.client.Do(request)
	if err != nil {
		f := networkFailure(ctx, err)
		f.message = "authorization endpoint: " + f.message
		return nil, f
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode/100 != 2 {
		f := o.statusFailure(s.Policy, answer)
		f.code, f.message = codeNotAllowed, "the authorization endpoint answered "+statusLine(answer.StatusCode)
		return nil, f
	}
	var token tokenAnswer
	if err != nil || json.Unmarshal(data, &token) != nil || token.AccessToken == "" || strings.ContainsFunc(token.AccessToken, isControl) {
		return nil, &failure{code: codeNotAllowed, message: "the authorization endpoint answered without an access token"}
	}
	return &token, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// newTokenRequest asks for a token. Parameters of the connection replace Vigil's own.
func newTokenRequest(ctx context.Context, c *Credentials) (*http.Request, error) {
	endpoint, err := url.Parse(c.TokenEndpoint)
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range c.TokenBody {
		form.Set(name, value)
	}
	addQuery(endpoint, c.TokenQuery)
	var body io.Reader
	if c.TokenMethod == http.MethodGet {
		query := endpoint.Query()
		for name := range form {
			if !query.Has(name) {
				query.Set(name, form.Get(name))
			}
		}
		endpoint.RawQuery = query.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, c.TokenMethod, endpoint.String(), body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "application/json")
	if !form.Has("client_secret") { // a client uses no more than one way to authenticate (RFC 6749, section 2.3)
		request.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret)) // section 2.3.1
	}
	for name, value := range c.TokenHeader {
		request.Header.Set(name, value)
	}
	return request, nil
}
