package events_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/events"
)

// parameters is what CreateConnection takes, from JSON.
func parameters(t testing.TB, text string) *types.CreateConnectionAuthRequestParameters {
	t.Helper()
	p := &types.CreateConnectionAuthRequestParameters{}
	if err := json.Unmarshal([]byte(text), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// connect makes a connection and gives its ARN.
func (h *house) connect(name string, kind types.ConnectionAuthorizationType, text string) string {
	h.t.Helper()
	return *must[eventbridge.CreateConnectionOutput](h, "CreateConnection", &eventbridge.CreateConnectionInput{
		Name: &name, AuthorizationType: kind, AuthParameters: parameters(h.t, text)}).ConnectionArn
}

func (h *house) describeConnection(name string) *eventbridge.DescribeConnectionOutput {
	h.t.Helper()
	return must[eventbridge.DescribeConnectionOutput](h, "DescribeConnection", &eventbridge.DescribeConnectionInput{Name: &name})
}

const (
	basic  = `{"BasicAuthParameters":{"Username":"ann","Password":"hidden"}}`
	apiKey = `{"ApiKeyAuthParameters":{"ApiKeyName":"X-Key","ApiKeyValue":"hidden"},"InvocationHttpParameters":{
		"HeaderParameters":[{"Key":"X-Tenant","Value":"t1"},{"Key":"X-More","Value":"hidden","IsValueSecret":true}],
		"QueryStringParameters":[{"Key":"q","Value":"hidden","IsValueSecret":true}],"BodyParameters":[{"Key":"b","Value":"hidden","IsValueSecret":true}]}}`
	oauth = `{"OAuthParameters":{"AuthorizationEndpoint":"https://auth.example/token","HttpMethod":"POST",
		"ClientParameters":{"ClientID":"id","ClientSecret":"hidden"},
		"OAuthHttpParameters":{"BodyParameters":[{"Key":"scope","Value":"all"},{"Key":"assertion","Value":"hidden","IsValueSecret":true}]}}}`
)

// What authorizes requests is given to the outbox, and is in no answer and in the clear in no file.
func TestConnections(t *testing.T) {
	h := open(t)
	for _, test := range []struct {
		kind        types.ConnectionAuthorizationType
		given, want string // want is DescribeConnection's AuthParameters
		credentials events.Credentials
	}{
		{types.ConnectionAuthorizationTypeBasic, basic, `{"BasicAuthParameters":{"Username":"ann"}}`,
			events.Credentials{Header: map[string]string{"Authorization": "Basic YW5uOmhpZGRlbg=="}}},
		{types.ConnectionAuthorizationTypeApiKey, apiKey, `{"ApiKeyAuthParameters":{"ApiKeyName":"X-Key"},"InvocationHttpParameters":{
			"HeaderParameters":[{"Key":"X-Tenant","Value":"t1"},{"Key":"X-More","IsValueSecret":true}],
			"QueryStringParameters":[{"Key":"q","IsValueSecret":true}],"BodyParameters":[{"Key":"b","IsValueSecret":true}]}}`,
			events.Credentials{Header: map[string]string{"X-Key": "hidden", "X-Tenant": "t1", "X-More": "hidden"},
				Query: map[string]string{"q": "hidden"}, Body: map[string]string{"b": "hidden"}}},
		{types.ConnectionAuthorizationTypeOauthClientCredentials, oauth, `{"OAuthParameters":{"AuthorizationEndpoint":"https://auth.example/token",
			"HttpMethod":"POST","ClientParameters":{"ClientID":"id"},
			"OAuthHttpParameters":{"BodyParameters":[{"Key":"scope","Value":"all"},{"Key":"assertion","IsValueSecret":true}]}}}`,
			events.Credentials{TokenEndpoint: "https://auth.example/token", TokenMethod: "POST", ClientID: "id", ClientSecret: "hidden",
				TokenBody: map[string]string{"scope": "all", "assertion": "hidden"}}},
	} {
		name := strings.ToLower(string(test.kind))
		arn := h.connect(name, test.kind, test.given)
		got := h.describeConnection(name)
		var want types.ConnectionAuthResponseParameters
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got.AuthParameters, want) {
			t.Errorf("%s: shown %s", name, asJSON(got.AuthParameters))
		}
		if got.ConnectionState != types.ConnectionStateAuthorized || *got.ConnectionArn != arn || got.LastAuthorizedTime == nil ||
			!strings.HasPrefix(arn, "arn:aws:events:us-west-2:111122223333:connection/"+name+"/") {
			t.Errorf("%s: %s", name, asJSON(got))
		}
		credentials, err := h.events.Credentials(arn)
		if err != nil {
			t.Fatal(err)
		}
		test.credentials.Version = "1"
		if asJSON(withoutEmpty(credentials)) != asJSON(withoutEmpty(test.credentials)) {
			t.Errorf("%s: credentials %s", name, asJSON(credentials))
		}
		if text := fmt.Sprintf("%v %+v %#v", credentials, &credentials, credentials); strings.Contains(text, "hidden") {
			t.Error(text)
		}
	}
	h.stop()
	if !filepath.IsAbs(h.place) {
		return // PostgreSQL's files are its own
	}
	files, err := filepath.Glob(filepath.Join(h.place, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte("hidden")) {
			t.Errorf("%s holds a secret in the clear, or can't be read: %v", file, err)
		}
	}
}

func asJSON(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

// withoutEmpty makes maps without members none.
func withoutEmpty(c events.Credentials) events.Credentials {
	for _, m := range []*map[string]string{&c.Header, &c.Query, &c.Body, &c.TokenHeader, &c.TokenQuery, &c.TokenBody} {
		if len(*m) == 0 {
			*m = nil
		}
	}
	return c
}

// An update changes what it names; another type of authorization needs all of its parameters.
func TestUpdateConnection(t *testing.T) {
	h := open(t)
	arn := h.connect("c", types.ConnectionAuthorizationTypeApiKey, apiKey)
	update := func(in *eventbridge.UpdateConnectionInput) error {
		in.Name = new("c")
		_, err := h.call("UpdateConnection", in)
		return err
	}
	if err := update(&eventbridge.UpdateConnectionInput{Description: new("d"), AuthParameters: &types.UpdateConnectionAuthRequestParameters{
		ApiKeyAuthParameters: &types.UpdateConnectionApiKeyAuthRequestParameters{ApiKeyValue: new("other")}}}); err != nil {
		t.Fatal(err)
	}
	c, err := h.events.Credentials(arn)
	if err != nil || c.Header["X-Key"] != "other" || c.Header["X-More"] != "hidden" || c.Version != "2" {
		t.Errorf("%s, %v", asJSON(c), err)
	}
	if got := h.describeConnection("c"); *got.Description != "d" || *got.AuthParameters.ApiKeyAuthParameters.ApiKeyName != "X-Key" {
		t.Error(asJSON(got))
	}
	if err := update(&eventbridge.UpdateConnectionInput{AuthorizationType: types.ConnectionAuthorizationTypeBasic}); err == nil ||
		!strings.HasPrefix(err.Error(), "ValidationException: Parameter AuthParameters is not valid.") {
		t.Error(err)
	}
	toBasic := &eventbridge.UpdateConnectionInput{AuthorizationType: types.ConnectionAuthorizationTypeBasic, AuthParameters: &types.UpdateConnectionAuthRequestParameters{
		BasicAuthParameters: &types.UpdateConnectionBasicAuthRequestParameters{Username: new("u"), Password: new("p")}}}
	if err := update(toBasic); err != nil {
		t.Fatal(err)
	}
	if c, err = h.events.Credentials(arn); err != nil || c.Header["X-Key"] != "" || c.Header["Authorization"] != "Basic dTpw" || c.Query["q"] != "hidden" {
		t.Errorf("%s, %v", asJSON(c), err)
	}

	must[eventbridge.DeauthorizeConnectionOutput](h, "DeauthorizeConnection", &eventbridge.DeauthorizeConnectionInput{Name: new("c")})
	if _, err := h.events.Credentials(arn); err == nil || err.Error() != "the connection is not authorized" {
		t.Error(err)
	}
	if got := h.describeConnection("c"); got.ConnectionState != types.ConnectionStateDeauthorized || asJSON(got.AuthParameters) != asJSON(types.ConnectionAuthResponseParameters{}) {
		t.Error(asJSON(got))
	}
	if err := update(toBasic); err != nil {
		t.Fatal(err)
	}
	h = h.reopened()
	if c, err = h.events.Credentials(arn); err != nil || c.Header["Authorization"] != "Basic dTpw" || c.Query["q"] != "" {
		t.Errorf("%s, %v", asJSON(c), err)
	}

	out := must[eventbridge.DeleteConnectionOutput](h, "DeleteConnection", &eventbridge.DeleteConnectionInput{Name: new("c")})
	if out.ConnectionState != types.ConnectionStateDeleting {
		t.Error(out.ConnectionState)
	}
	again := h.connect("c", types.ConnectionAuthorizationTypeBasic, basic)
	if _, err := h.events.Credentials(arn); err == nil || again == arn {
		t.Error("a connection of the same name is taken for the one that was deleted")
	}
}

func TestConnectionErrors(t *testing.T) {
	h := open(t)
	h.connect("here", types.ConnectionAuthorizationTypeBasic, basic)
	create := func(kind types.ConnectionAuthorizationType, text string) *eventbridge.CreateConnectionInput {
		return &eventbridge.CreateConnectionInput{Name: new("new"), AuthorizationType: kind, AuthParameters: parameters(t, text)}
	}
	duplicate := create(types.ConnectionAuthorizationTypeBasic, basic)
	duplicate.Name = new("here")
	withKey := create(types.ConnectionAuthorizationTypeBasic, basic)
	withKey.KmsKeyIdentifier = new("alias/a")
	for _, test := range []struct {
		op   string
		in   any
		want string
	}{
		{"CreateConnection", duplicate, "ResourceAlreadyExistsException: Connection here already exists."},
		{"CreateConnection", withKey, "UnsupportedOperationException: KmsKeyIdentifier of a connection is not supported"},
		{"CreateConnection", create(types.ConnectionAuthorizationTypeApiKey, basic), "ValidationException: Parameter AuthParameters is not valid. Reason: The authorization type API_KEY needs all of ApiKeyAuthParameters, and no"},
		{"CreateConnection", create(types.ConnectionAuthorizationTypeOauthClientCredentials, strings.Replace(oauth, "https:", "http:", 1)), "ValidationException: Parameter AuthorizationEndpoint is not valid."},
		{"CreateConnection", create(types.ConnectionAuthorizationTypeApiKey, `{"ApiKeyAuthParameters":{"ApiKeyName":"no header","ApiKeyValue":"v"}}`), "ValidationException: Parameter ApiKeyName is not valid."},
		{"CreateConnection", create(types.ConnectionAuthorizationTypeBasic, `{"BasicAuthParameters":{"Username":"a","Password":"p"},"InvocationHttpParameters":{"HeaderParameters":[{"Value":"v"}]}}`), "ValidationException: Parameter HeaderParameters is not valid."},
		{"DescribeConnection", &eventbridge.DescribeConnectionInput{Name: new("x")}, "ResourceNotFoundException: Failed to describe the connection(s). Connection 'x' does not exist."},
		{"UpdateConnection", &eventbridge.UpdateConnectionInput{Name: new("x")}, "ResourceNotFoundException: "},
		{"DeauthorizeConnection", &eventbridge.DeauthorizeConnectionInput{Name: new("x")}, "ResourceNotFoundException: "},
		{"DeleteConnection", &eventbridge.DeleteConnectionInput{Name: new("x")}, "ResourceNotFoundException: "},
	} {
		if _, err := h.call(test.op, test.in); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.op, err, test.want)
		}
	}
	without := open(t, func(c *events.Config) { c.Secrets = nil })
	if _, err := without.call("CreateConnection", create(types.ConnectionAuthorizationTypeBasic, basic)); err == nil || !strings.HasPrefix(err.Error(), "UnsupportedOperationException") {
		t.Error(err)
	}
}
