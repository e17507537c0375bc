package front

import (
	"net/http"

	"vigil/internal/call"
	"vigil/internal/front/wire"
)

// protocol is how requests and answers look on the wire. Each is stateless, and a service's model names those that it speaks.
type protocol interface {
	decode(req *request, body []byte, in any) error
	appendOutput(dst []byte, req *request, out any, requestID string) []byte
	appendError(dst []byte, req *request, e *call.Error, requestID string) []byte
	// head sets the headers of the answer, all but its length, which the server counts, and returns its status. e is nil when the call succeeded.
	head(h http.Header, req *request, e *call.Error) (status int)
	// signatureCode is the code of an error of authentication in this protocol.
	signatureCode(reason authReason) string
}

// jsonProtocol is AWS JSON 1.0 or 1.1: a POST whose X-Amz-Target names the operation.
type jsonProtocol struct{ contentType []string }

var jsonProtocols = map[string]jsonProtocol{
	"1.0": {[]string{"application/x-amz-json-1.0"}},
	"1.1": {[]string{"application/x-amz-json-1.1"}},
}

func (jsonProtocol) decode(req *request, body []byte, in any) error {
	return req.operation.wire.DecodeJSON(body, in)
}

func (jsonProtocol) appendOutput(dst []byte, req *request, out any, _ string) []byte {
	return req.operation.wire.AppendJSON(dst, out)
}

func (jsonProtocol) appendError(dst []byte, req *request, e *call.Error, _ string) []byte {
	return req.errorShape(e).AppendJSON(dst, e.Message)
}

func (p jsonProtocol) head(h http.Header, req *request, e *call.Error) int {
	h["Content-Type"] = p.contentType
	return req.errorHead(h, e)
}

func (jsonProtocol) signatureCode(reason authReason) string { return reason.json }

// cborProtocol is Smithy RPC v2 CBOR: a POST whose path names the service and the operation.
// https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
type cborProtocol struct{}

const rpcV2CBOR = "rpc-v2-cbor" // in the header Smithy-Protocol, of requests and answers

var (
	cborSmithy = []string{rpcV2CBOR}
	cborHeader = []string{"application/cbor"}
)

func (cborProtocol) decode(req *request, body []byte, in any) error {
	return req.operation.wire.DecodeCBOR(body, in)
}

func (cborProtocol) appendOutput(dst []byte, req *request, out any, _ string) []byte {
	return req.operation.wire.AppendCBOR(dst, out)
}

func (cborProtocol) appendError(dst []byte, req *request, e *call.Error, _ string) []byte {
	return req.errorShape(e).AppendCBOR(dst, e.Message)
}

func (cborProtocol) head(h http.Header, req *request, e *call.Error) int {
	h["Smithy-Protocol"] = cborSmithy
	if e != nil || req.operation.wire.HasOutput() {
		h["Content-Type"] = cborHeader
	}
	return req.errorHead(h, e)
}

func (cborProtocol) signatureCode(reason authReason) string { return reason.json }

// queryProtocol is AWS query: a form with Action and Version, answered in XML.
type queryProtocol struct{}

var xmlHeader = []string{"text/xml"}

// noNamespace is that in which AWS answers a query request that no service knows.
const noNamespace = "http://webservices.amazon.com/AWSFault/2005-15-09"

func (queryProtocol) decode(req *request, _ []byte, in any) error {
	return req.operation.wire.DecodeQuery(req.form, in)
}

func (queryProtocol) appendOutput(dst []byte, req *request, out any, requestID string) []byte {
	return req.operation.wire.AppendXML(dst, out, requestID)
}

func (queryProtocol) appendError(dst []byte, req *request, e *call.Error, requestID string) []byte {
	namespace := noNamespace
	if req.service != nil {
		namespace = req.service.wire.XMLNamespace
	}
	return req.errorShape(e).AppendXML(dst, namespace, e.Message, requestID)
}

func (queryProtocol) head(h http.Header, req *request, e *call.Error) int {
	h["Content-Type"] = xmlHeader
	if e == nil {
		return http.StatusOK
	}
	return req.errorShape(e).Status
}

func (queryProtocol) signatureCode(reason authReason) string { return reason.query }

// queryErrors are errors that are not a service's own, and that the query services call otherwise than the JSON ones, with their
// statuses there. The services that have both call them so in the header x-amzn-query-error.
var queryErrors = map[string]struct {
	code   string
	status int
}{
	"AccessDeniedException":  {"AccessDenied", http.StatusForbidden},
	"ValidationException":    {"ValidationError", http.StatusBadRequest},
	"SerializationException": {"MalformedInput", http.StatusBadRequest},
	missingToken.json:        {missingToken.query, missingToken.queryStatus},
	incomplete.json:          {incomplete.query, incomplete.queryStatus},
	invalidSignature.json:    {invalidSignature.query, invalidSignature.queryStatus},
	unknownKey.json:          {unknownKey.query, unknownKey.queryStatus},
}

// errorShape is how the protocols of the request's service write an error. A handler names an error as the model names its
// shape, which is the name of the SDK's type, and the model has its name and its status in query. A service that has query
// answers with that status in its other protocols too; one that has not answers 400 for any mistake of the client's, whatever
// its model says.
func (req *request) errorShape(e *call.Error) wire.ErrorShape {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	shape := wire.UnknownError(e.Code, status)
	var model wire.ErrorShape
	known := false
	if req.service != nil {
		model, known = req.service.wire.Error(e.Code)
	}
	_, query := req.protocol.(queryProtocol)
	if !query && (req.service == nil || !req.service.wire.QueryCompatible) {
		if known && model.Fault() == wire.Receiver {
			shape.Status = model.Status
		}
		return shape
	}
	if other, ok := queryErrors[e.Code]; ok {
		shape.Code, shape.Status = other.code, other.status
	} else if known {
		return model
	}
	return shape
}

// errorHead sets the header in which a service that was once of the query protocol alone says what an error was called there,
// to clients that say that they were made for it, and returns the answer's status. e may be nil.
func (req *request) errorHead(h http.Header, e *call.Error) int {
	if e == nil {
		return http.StatusOK
	}
	shape := req.errorShape(e)
	if req.queryMode {
		h["X-Amzn-Query-Error"] = []string{shape.Code + ";" + string(shape.Fault())}
	}
	return shape.Status
}
