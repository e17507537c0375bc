package wire

import "net/http"

// ErrorShape is an error of an API as each protocol writes it.
type ErrorShape struct {
	Name   string // in JSON and CBOR: InvalidParameterValueException
	Code   string // in query, and in the header x-amzn-query-error: InvalidParameterValue
	Status int    // of HTTP, by the model; AWS's servers of JSON 1.1 answer 400 in place of anything below 500
	Text   string // the member that has the message: message or Message

	id string // the name within the service's namespace, when it is known
}

// UnknownError is an error that no model has, such as those that AWS answers before it asks a service. Every protocol calls
// it the same.
func UnknownError(name string, status int) ErrorShape {
	return ErrorShape{Name: name, Code: name, Status: status, Text: "message", id: name}
}

// Error is the error that the model calls so, and whether it has one. The name is that of the shape, which is the name of the
// SDK's type.
func (s *Service) Error(name string) (ErrorShape, bool) {
	e, ok := s.errors[name]
	return e, ok
}

func (m *model) errors() map[string]ErrorShape {
	found := map[string]ErrorShape{}
	for name, s := range m.Shapes {
		if !s.Exception {
			continue
		}
		e := UnknownError(name, http.StatusBadRequest)
		if s.Fault {
			e.Status = http.StatusInternalServerError
		}
		if s.Error.HTTPStatusCode != 0 {
			e.Status = s.Error.HTTPStatusCode
		}
		if s.Error.Code != "" {
			e.Code = s.Error.Code
		}
		if s.Members["Message"] != nil {
			e.Text = "Message"
		}
		if m.Metadata.Namespace != "" {
			e.id = m.Metadata.Namespace + "#" + name
		}
		found[name] = e
	}
	return found
}

// Fault says whose mistake the error is.
func (e ErrorShape) Fault() Fault {
	if e.Status >= http.StatusInternalServerError {
		return Receiver
	}
	return Sender
}

// Fault says whose mistake an error is, in the words of the query protocol.
type Fault string

const (
	Sender   Fault = "Sender"   // the client's, any status below 500
	Receiver Fault = "Receiver" // the server's
)

// AppendJSON appends the body of the error in an AWS JSON protocol. The message may be empty, as some of AWS's are, and is left
// out then.
func (e ErrorShape) AppendJSON(dst []byte, message string) []byte {
	dst = append(dst, `{"__type":`...)
	dst = appendText(dst, e.Name)
	if message != "" {
		dst = append(dst, ',')
		dst = append(dst, quotedKey(e.Text)...)
		dst = appendText(dst, message)
	}
	return append(dst, '}')
}

// AppendCBOR appends the body of the error in the Smithy RPC v2 CBOR protocol, which asks for the error's absolute identifier.
// The message may be empty, and is left out then.
func (e ErrorShape) AppendCBOR(dst []byte, message string) []byte {
	dst = append(dst, cborOpenMap)
	dst = appendCBORText(dst, "__type")
	dst = appendCBORText(dst, e.id)
	if message != "" {
		dst = appendCBORText(dst, e.Text)
		dst = appendCBORText(dst, message)
	}
	return append(dst, cborBreak)
}

// AppendXML appends the body of the error in the AWS query protocol, content type text/xml. The namespace is the service's.
func (e ErrorShape) AppendXML(dst []byte, namespace, message, requestID string) []byte {
	dst = append(dst, `<ErrorResponse xmlns="`...)
	dst = appendXMLText(dst, namespace)
	dst = append(dst, `"><Error><Type>`...)
	dst = append(dst, e.Fault()...)
	dst = append(dst, "</Type><Code>"...)
	dst = appendXMLText(dst, e.Code)
	dst = append(dst, "</Code>"...)
	if message != "" {
		dst = append(dst, "<Message>"...)
		dst = appendXMLText(dst, message)
		dst = append(dst, "</Message>"...)
	}
	dst = append(dst, "</Error><RequestId>"...)
	dst = appendXMLText(dst, requestID)
	return append(dst, "</RequestId></ErrorResponse>"...)
}
