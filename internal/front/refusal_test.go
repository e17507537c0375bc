package front_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"vigil"
)

// refusal is a request that is refused. <NAME> in its message is one of the house's names, or one of:
//
//	<SIGNED>         the time at which the request was signed
//	<AUTHORIZATION>  its Authorization header, as hashed in messages
//	TIME             any other time
type refusal struct {
	name    string
	request *http.Request
	status  int
	code    string // as on the wire
	message string
	event   string // the name under which the event history has it; empty when it is nobody's, and so must not be there
}

// TestRefusals holds what is answered to requests that are malformed, unauthorised or invalid against what AWS answers, and then
// the event history against what it must and must not have of them.
//
// Messages recorded of AWS are spelt as they were recorded; none is taken from the code that writes it.
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	asked := map[string]refusal{} // by request id
	for _, table := range []struct {
		name     string
		refusals []refusal
	}{
		{"signature", h.badSignatures()},
		{"presigned", h.badPresigned(t)},
		{"STS signature", h.badSignaturesOfSTS()},
		{"route", h.badRoutes()},
		{"body", h.badBodies()},
		{"constraint", h.brokenConstraints()},
		{"key", h.wrongKeys()},
		{"KMS", h.refusedByKMS()},
		{"others", h.refusedByOthers()},
	} {
		t.Run(table.name, func(t *testing.T) {
			for _, r := range table.refusals {
				t.Run(r.name, func(t *testing.T) {
					id := h.refused(t, r)
					if _, twice := asked[id]; twice {
						t.Errorf("the request id %s was given before", id)
					}
					asked[id] = r
				})
			}
		})
	}
	t.Logf("%d requests", len(asked))
	t.Run("event history", func(t *testing.T) { h.checkHistory(t, asked) })
	t.Run("afterwards", h.stillWorks)
}

// stamps are the times in messages about signatures.
var stamps = regexp.MustCompile(`\d{8}T\d{6}Z`)

// refused makes the request, checks the answer, and returns its request id.
func (h *house) refused(t *testing.T, r refusal) string {
	t.Helper()
	signed, authorization := r.request.Header.Get("X-Amz-Date"), r.request.Header.Get("Authorization")
	if signed == "" {
		signed = r.request.URL.Query().Get("X-Amz-Date")
	}
	resp, body := send(t, r.request)
	h.noSecrets(t, string(body))
	id := resp.Header.Get("X-Amzn-Requestid")
	if _, err := uuid.Parse(id); err != nil {
		t.Errorf("x-amzn-RequestId is %q", id)
	}
	if resp.StatusCode != r.status {
		t.Errorf("status %d, want %d", resp.StatusCode, r.status)
	}

	var code, message string
	switch kind := resp.Header.Get("Content-Type"); {
	case kind == "application/x-amz-json-1.1" && !isForm(r.request):
		code, message = jsonError(t, body)
	case kind == "text/xml" && isForm(r.request):
		code, message = xmlError(t, body, resp)
	default:
		t.Fatalf("an answer of %s: %s", kind, body)
	}
	message = stamps.ReplaceAllStringFunc(message, func(stamp string) string {
		if stamp == signed {
			return "<SIGNED>"
		}
		return "TIME"
	})
	sum := sha256.Sum256([]byte(authorization))
	want := strings.ReplaceAll(h.fill(r.message), "<AUTHORIZATION>", base64.StdEncoding.EncodeToString(sum[:]))
	if code != r.code || message != want {
		t.Errorf("it says\n  %s: %s\nand not\n  %s: %s", code, message, r.code, want)
	}
	return id
}

// isForm says that a request is of the query protocol: a form, or a GET of a URL.
func isForm(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
		r.Method == http.MethodGet && r.Header.Get("X-Amz-Target") == ""
}

// jsonError reads an error of a JSON protocol: its code and, unless it is empty, its message, and nothing else.
func jsonError(t *testing.T, body []byte) (code, message string) {
	t.Helper()
	var e struct {
		Type    string  `json:"__type"`
		Message *string `json:"message"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || d.More() {
		t.Errorf("not an error in JSON: %v: %s", err, body)
	}
	if e.Message == nil {
		return e.Type, ""
	}
	if *e.Message == "" {
		t.Error("the message is empty and yet there")
	}
	return e.Type, *e.Message
}

// xmlError reads an error of the query protocol, of STS or, for what no service knows, of AWS as a whole.
func xmlError(t *testing.T, body []byte, resp *http.Response) (code, message string) {
	t.Helper()
	var e struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Error     struct{ Type, Code, Message string }
		RequestId string
	}
	if err := xml.Unmarshal(body, &e); err != nil {
		t.Errorf("not an error in XML: %v: %s", err, body)
	}
	fault := "Sender"
	if resp.StatusCode >= 500 {
		fault = "Receiver"
	}
	space := e.XMLName.Space
	if e.Error.Type != fault || space != "https://sts.amazonaws.com/doc/2011-06-15/" && space != "http://webservices.amazon.com/AWSFault/2005-15-09" {
		t.Errorf("%s in %s", e.Error.Type, space)
	}
	if id := resp.Header.Get("X-Amzn-Requestid"); e.RequestId != id {
		t.Errorf("RequestId %s, and the header says %s", e.RequestId, id)
	}
	return e.Error.Code, e.Error.Message
}

// recordedCodes are codes that a record has otherwise than the wire.
var recordedCodes = map[string]string{"AccessDeniedException": "AccessDenied", "MalformedInput": "SerializationException"}

// checkHistory compares all events there are with what was asked: a call of somebody known is there exactly once and with its
// error, and a request of nobody's is not.
func (h *house) checkHistory(t *testing.T, asked map[string]refusal) {
	found := map[string][]*vigil.Record{}
	for _, event := range h.events(t) {
		h.noSecrets(t, event)
		r, err := vigil.ParseRecord([]byte(event))
		if err != nil {
			t.Fatal(err)
		}
		found[r.RequestID] = append(found[r.RequestID], r)
	}
	for id, r := range asked {
		records := found[id]
		if r.event == "" {
			if len(records) > 0 {
				t.Errorf("%s: it is nobody's, and on record as %s", r.name, records[0].EventName)
			}
			continue
		}
		if len(records) != 1 {
			t.Errorf("%s: it is on record %d times", r.name, len(records))
			continue
		}
		code, ok := recordedCodes[r.code]
		if !ok {
			code = r.code
		}
		got, want := records[0], h.fill(r.message)
		if got.EventName != r.event || got.ErrorCode != code || got.ErrorMessage != want {
			t.Errorf("%s: it is on record as\n  %s %s: %s\nand not as\n  %s %s: %s", r.name,
				got.EventName, got.ErrorCode, got.ErrorMessage, r.event, code, want)
		}
		if got.ResponseElements != nil && string(got.ResponseElements) != "null" {
			t.Errorf("%s: it failed, and on record it has %s", r.name, got.ResponseElements)
		}
	}
}

// stillWorks uses the server as if nothing had been.
func (h *house) stillWorks(t *testing.T) {
	opened := h.ask(t, "Decrypt", `{"CiphertextBlob":"<BLOB>","EncryptionContext":{"tenant":"7"}}`)
	if opened["Plaintext"] != h.names["PLAINTEXT"] {
		t.Error("what was encrypted before does not decrypt")
	}
	resp, body := send(t, h.request(http.MethodGet, "/health", ""))
	if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"ready"`)) {
		t.Errorf("/health: %s: %s", resp.Status, body)
	}
}
