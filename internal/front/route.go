package front

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"vigil/internal/call"
	"vigil/internal/front/wire"
)

// service is an API with its model.
type service struct {
	call.Service
	wire       *wire.Service
	operations map[string]*operation // those that are built
}

// operation is an operation with the plans of its input and output.
type operation struct {
	call.Operation
	wire *wire.Operation
}

// request is a routed request.
type request struct {
	service   *service
	operation *operation // nil when the API has it and Vigil has not
	name      string     // of the operation
	protocol  protocol
	form      url.Values // of the query protocol
	gzip      bool       // the body is compressed; that of a form no more
	queryMode bool       // the client wants to know what the query protocol would have called an error
}

// router finds the operation that a request asks for. A service may be reached by several protocols: which one a request is of
// says its path, its target or its form.
type router struct {
	services []*service
	targets  map[string]request  // by X-Amz-Target
	rpc      map[string]*service // by name in the path of an RPC v2 protocol
	actions  map[string]*service // by the query protocol's Version
}

// add binds a service's operations. All operations of its model are known from then on; those that are not built are answered so.
func (t *router) add(s call.Service) error {
	model, err := wire.Load(s.Name)
	if err != nil {
		return err
	}
	bound := &service{Service: s, wire: model, operations: map[string]*operation{}}
	for _, op := range s.Operations {
		in, out := typesOf(op)
		plan, err := model.Bind(op.Name, in, out)
		if err != nil {
			return fmt.Errorf("%s: %w", op.Name, err)
		}
		bound.operations[op.Name] = &operation{Operation: op, wire: plan}
	}
	t.services = append(t.services, bound)
	for _, protocol := range model.Protocols {
		switch protocol {
		case "json":
			t.addJSON(bound)
		case "smithy-rpc-v2-cbor":
			t.addRPC(bound)
		case "query":
			t.addQuery(bound)
		default:
			return fmt.Errorf("protocol %q is not known", protocol)
		}
	}
	return nil
}

func (t *router) addJSON(s *service) {
	if t.targets == nil {
		t.targets = map[string]request{}
	}
	for _, name := range s.wire.OperationNames() {
		req := request{service: s, operation: s.operations[name], name: name, protocol: jsonProtocols[s.wire.JSONVersion]}
		for _, target := range s.wire.Targets(name) {
			t.targets[target] = req
		}
	}
}

func (t *router) addRPC(s *service) {
	if t.rpc == nil {
		t.rpc = map[string]*service{}
	}
	for _, name := range s.wire.RPCNames() {
		t.rpc[name] = s
	}
}

func (t *router) addQuery(s *service) {
	if t.actions == nil {
		t.actions = map[string]*service{}
	}
	t.actions[s.wire.APIVersion] = s
}

// route finds what a request asks for. When it is an error, the request returned says in which protocol to answer it.
func (t *router) route(r *http.Request, body []byte) (*request, error) {
	var req *request
	var err error
	switch {
	case len(r.Header["Smithy-Protocol"]) > 0:
		req, err = t.routeRPC(r, body)
	case r.URL.Path != "/" && r.URL.Path != "":
		return &request{protocol: guessProtocol(r)}, errNoSuchPath
	case len(r.Header["X-Amz-Target"]) > 0:
		req, err = t.routeJSON(r)
	default:
		return t.routeQuery(r, body)
	}
	if err == nil {
		req.gzip = isGzip(r)
		req.queryMode = req.service.wire.QueryCompatible && r.Header.Get("X-Amzn-Query-Mode") == "true"
	}
	return req, err
}

// routeJSON finds the operation of a request of the AWS JSON protocols, which is its target.
func (t *router) routeJSON(r *http.Request) (*request, error) {
	target := r.Header["X-Amz-Target"]
	req, ok := t.targets[target[0]]
	if !ok || r.Method != http.MethodPost || len(target) > 1 {
		return &request{protocol: guessProtocol(r)}, errUnknownOperation
	}
	return &req, nil
}

// routeRPC finds the operation of a request of Smithy RPC v2 CBOR, whose path is /service/NAME/operation/NAME. A target beside
// it is refused, as the protocol demands: it could mean another operation to who stands between.
func (t *router) routeRPC(r *http.Request, body []byte) (*request, error) {
	unknown := &request{protocol: guessProtocol(r)}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch h := r.Header; {
	case r.Method != http.MethodPost || len(h["Smithy-Protocol"]) > 1 || h["Smithy-Protocol"][0] != rpcV2CBOR:
		return unknown, errUnknownOperation
	case len(h["X-Amz-Target"]) > 0 || len(h["X-Amzn-Target"]) > 0:
		return unknown, call.Errorf("SerializationException", "A request of "+rpcV2CBOR+" must not have a target")
	case len(body) > 0 && kind != "application/cbor":
		return unknown, &call.Error{Code: "UnsupportedMediaTypeException", Status: http.StatusUnsupportedMediaType}
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/service/")
	name, operation, _ := strings.Cut(path, "/operation/")
	s := t.rpc[name]
	if !ok || s == nil || !s.wire.HasOperation(operation) {
		return unknown, errNoSuchPath
	}
	return &request{service: s, operation: s.operations[operation], name: operation, protocol: cborProtocol{}}, nil
}

// routeQuery finds the operation of a request of the query protocol: a form in the body or, as in presigned URLs, in the query.
func (t *router) routeQuery(r *http.Request, body []byte) (*request, error) {
	unknown := &request{protocol: guessProtocol(r)}
	text := r.URL.RawQuery
	if r.Method == http.MethodPost {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
			return unknown, errUnknownOperation
		}
		unknown.protocol = queryProtocol{}
		if isGzip(r) {
			var err error // whoever it is from: it is found in the form what is asked for
			if body, err = inflate(nil, body, MaxBody); err != nil {
				return unknown, err
			}
		}
		if len(body) > 0 {
			text = string(body)
		}
	} else if r.Method != http.MethodGet || len(body) > 0 {
		return unknown, errUnknownOperation
	}
	unknown.protocol = queryProtocol{}
	form, err := url.ParseQuery(text)
	if err != nil {
		return unknown, call.Errorf("MalformedQueryString", "The query string is malformed.")
	}
	action, version := form.Get("Action"), form.Get("Version")
	if action == "" {
		return unknown, call.Errorf("MissingAction", "The request is missing an action or a required parameter.")
	}
	if version == "" {
		version = "NO_VERSION_SPECIFIED"
	}
	s, ok := t.actions[version]
	if !ok || !s.wire.HasOperation(action) {
		return unknown, call.Errorf("InvalidAction", "Could not find operation %s for version %s", clip(action), clip(version))
	}
	return &request{service: s, operation: s.operations[action], name: action, protocol: queryProtocol{}, form: form}, nil
}

var (
	errNoSuchPath       = &call.Error{Code: "UnknownOperationException", Status: http.StatusNotFound}
	errUnknownOperation = &call.Error{Code: "UnknownOperationException", Status: http.StatusBadRequest}
)

// guessProtocol is the protocol of a request that is answered before it is routed.
func guessProtocol(r *http.Request) protocol {
	kind := r.Header.Get("Content-Type")
	switch {
	case r.Header.Get("Smithy-Protocol") == rpcV2CBOR:
		return cborProtocol{}
	case strings.HasPrefix(kind, "application/x-amz-json-1.0"):
		return jsonProtocols["1.0"]
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded") && r.Header.Get("X-Amz-Target") == "":
		return queryProtocol{}
	}
	return jsonProtocols["1.1"]
}

// clip shortens a client's text for a message.
func clip(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most]
	}
	return string(bytes.ToValidUTF8([]byte(s), []byte("?")))
}
