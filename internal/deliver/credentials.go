package deliver

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Credentials are what a connection adds to a request. Names of the request's own give way to those of the connection. They do not
// show themselves when they are printed.
type Credentials struct {
	// Version is another after each change, so that no token of former credentials is used.
	Version string

	Header map[string]string
	Query  map[string]string
	Body   map[string]string // members of the JSON object that the body is

	// With a TokenEndpoint, an https URL, an access token is got from there by the client credentials grant of OAuth 2.0 (RFC 6749,
	// section 4.4) and sent as Authorization. The client authenticates by HTTP Basic, unless TokenBody has a client_secret.
	TokenEndpoint string
	TokenMethod   string // GET, POST or PUT
	ClientID      string
	ClientSecret  string
	TokenHeader   map[string]string
	TokenQuery    map[string]string
	TokenBody     map[string]string // of the form; of the query where TokenMethod is GET
}

func (Credentials) String() string   { return "credentials" }
func (Credentials) GoString() string { return "credentials" }

// connect asks for a connection's credentials.
func (o *Outbox) connect(connection string) (Credentials, *failure) {
	if o.config.Connect == nil {
		return Credentials{}, &failure{code: codeNotAllowed, message: "the server has no connections", final: true}
	}
	c, err := o.config.Connect(connection)
	if err != nil {
		return Credentials{}, &failure{code: codeNotAllowed, message: err.Error(), final: true}
	}
	return c, nil
}

// addQuery sets parameters of a URL's query. One without additions stays as it was written.
func addQuery(u *url.URL, parameters map[string]string) {
	if len(parameters) == 0 {
		return
	}
	query := u.Query()
	for name, value := range parameters {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()
}

// withMembers is a JSON object with members set, those that are new after its own. It is not ok when there are members to set and
// body is no JSON object.
func withMembers(body []byte, members map[string]string) (with []byte, ok bool) {
	if len(members) == 0 {
		return body, true
	}
	loose := jsontext.AllowDuplicateNames(true)
	if object := jsontext.Value(body); object.Kind() != '{' || !object.IsValid(loose) {
		return nil, false
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body), loose)
	_, _ = decoder.ReadToken() // it is valid, so from here on there is no error
	with = []byte{'{'}
	for decoder.PeekKind() == '"' {
		name, _ := decoder.ReadToken()
		key := name.String()
		value, _ := decoder.ReadValue()
		if _, replaced := members[key]; !replaced {
			with = append(appendName(with, key), value...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, _ := json.Marshal(members[name])
		with = append(appendName(with, name), value...)
	}
	return append(with, '}'), true
}

func appendName(object []byte, name string) []byte {
	if len(object) > 1 {
		object = append(object, ',')
	}
	object, _ = jsontext.AppendQuote(object, name) // its error only reports replaced bytes
	return append(object, ':')
}
