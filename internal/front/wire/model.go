package wire

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// modelFiles holds NAME.json, a public API model as AWS's SDK for Python carries it with the prose taken out, unchanged, and
// where the Go SDK has something newer NAME.patch.json, which is merged over it as RFC 7396 says: objects member by member,
// anything else replaced whole, null removes. A patch may also give a shape re2: how to say its pattern without what RE2
// has not, and the metadata a namespace: that of the service's shapes, of which error identifiers in CBOR are made.
//
//go:embed models/*.json
var modelFiles embed.FS

var services = findServices()

// findServices knows each model by its file, and reads it once when it is asked for.
func findServices() map[string]func() (*Service, error) {
	found := map[string]func() (*Service, error){}
	files, _ := fs.Glob(modelFiles, "models/*.json")
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".json")
		if !strings.HasSuffix(name, ".patch") {
			found[name] = sync.OnceValues(func() (*Service, error) { return readService(name) })
		}
	}
	return found
}

func readService(name string) (*Service, error) {
	base, err := modelFiles.ReadFile("models/" + name + ".json")
	if err != nil {
		return nil, err
	}
	if patch, err := modelFiles.ReadFile("models/" + name + ".patch.json"); err == nil {
		if base, err = mergePatch(base, patch); err != nil {
			return nil, fmt.Errorf("wire: patch of %s: %w", name, err)
		}
	}
	return parseService(name, base)
}

func parseService(name string, text []byte) (*Service, error) {
	m := new(model)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a trait that is not known here might change the wire
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("wire: model of %s: %w", name, err)
	}
	s := &Service{
		Name:         name,
		FullName:     m.Metadata.ServiceFullName,
		Protocol:     m.Metadata.Protocol,
		Protocols:    m.Metadata.Protocols,
		JSONVersion:  m.Metadata.JSONVersion,
		TargetPrefix: m.Metadata.TargetPrefix,
		APIVersion:   m.Metadata.APIVersion,
		XMLNamespace: m.Metadata.XMLNamespace,
		SigningName:  m.Metadata.SigningName,
		model:        m,
		errors:       m.errors(),
	}
	s.QueryCompatible = m.Metadata.AWSQueryCompatible != nil
	if s.SigningName == "" {
		s.SigningName = m.Metadata.EndpointPrefix
	}
	return s, nil
}

// mergePatch is JSON Merge Patch, RFC 7396.
func mergePatch(target, patch []byte) ([]byte, error) {
	var t, p any
	if err := json.Unmarshal(target, &t); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(patch, &p); err != nil {
		return nil, err
	}
	return json.Marshal(merge(t, p))
}

func merge(target, patch any) any {
	members, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged, ok := target.(map[string]any)
	if !ok {
		merged = map[string]any{}
	}
	for name, value := range members {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = merge(merged[name], value)
		}
	}
	return merged
}

// model is a file of models/. What is of type any is known not to matter here: it is prose, or for clients only.
type model struct {
	Version    any `json:"version"`
	Metadata   metadata
	Operations map[string]operationShape
	Shapes     map[string]*shape
}

type metadata struct {
	APIVersion      string
	EndpointPrefix  string
	JSONVersion     string
	Namespace       string
	Protocol        string
	Protocols       []string
	ServiceFullName string
	ServiceID       string
	SigningName     string
	TargetPrefix    string
	XMLNamespace    string

	AWSQueryCompatible any
	GlobalEndpoint     any
}

type operationShape struct {
	Name   string
	Input  *payloadRef
	Output *payloadRef

	HTTP, Errors, AuthType, Deprecated, DeprecatedMessage, Endpoint, Idempotent, RequestCompression any
}

type payloadRef struct {
	Shape         string
	ResultWrapper string
}

// shape is a type of the model.
type shape struct {
	Type     string
	Members  map[string]*shapeRef // of a structure, whose order the models do not keep
	Required []string
	Member   *shapeRef // of a list
	Key      *shapeRef // of a map
	Value    *shapeRef

	Min       json.Number // of a length, or of a number's value
	Max       json.Number
	Pattern   string // a regular expression of Java's
	RE2       string // what to match instead of Pattern
	Enum      []string
	Sensitive bool

	Flattened       bool
	LocationName    string
	TimestampFormat string
	Union           bool
	EventStream     bool

	Exception bool
	Fault     bool // the server's own
	Error     struct {
		Code           string
		HTTPStatusCode int
		SenderFault    any
	}

	Synthetic, Event, Box, XMLOrder, Deprecated, DeprecatedMessage any
}

// shapeRef is where one type mentions another, with what holds only there.
type shapeRef struct {
	Shape            string
	LocationName     string
	Flattened        bool
	IdempotencyToken bool
	TimestampFormat  string

	Box, ContextParam, Deprecated, DeprecatedMessage any
}

// location is the name that the mention gives the value on the wire, or otherwise.
func (r *shapeRef) location(otherwise string) string {
	if r.LocationName != "" {
		return r.LocationName
	}
	return otherwise
}
