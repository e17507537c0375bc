package trail

import (
	"bytes"
	"encoding/json"
	"strings"

	"vigil"
	"vigil/internal/arn"
)

// facts are what the history needs of a record.
type facts struct{ vigil.Outline }

// management says that the record is a management event, which alone are in the event history. Records of
// versions before 1.07 have no category, and no other events were mixed with them.
func (f *facts) management() bool {
	return len(f.Category) == 0 || string(f.Category) == "Management"
}

// readOnlyText is how LookupEvents writes readOnly.
func (f *facts) readOnlyText() string {
	if f.ReadOnly {
		return "true"
	}
	return "false"
}

// is says whether an attribute of the record has the value.
func (f *facts) is(k kind, value string) bool {
	switch k {
	case everything:
		return true
	case eventID:
		return string(f.EventID) == value
	case eventName:
		return string(f.EventName) == value
	case eventSource:
		return string(f.EventSource) == value
	case readOnly:
		return f.readOnlyText() == value
	case username:
		return string(f.Username) == value
	case accessKeyID:
		return string(f.AccessKeyID) == value
	}
	for _, r := range f.Resources {
		if k == resourceName && string(r.ARN) == value || k == resourceType && string(r.Type) == value {
			return true
		}
	}
	return false
}

// namedKey is the ARN of the key that a record of KMS without resources names, or empty: in its parameters, or in the message of a call that was
// refused, whose record often has neither.
func (f *facts) namedKey(data []byte) string {
	if len(f.Resources) > 0 || string(f.EventSource) != "kms.amazonaws.com" ||
		!bytes.Contains(f.Parameters, []byte(`"keyId"`)) && (len(f.ErrorCode) == 0 || !bytes.Contains(data, []byte(":key/"))) {
		return ""
	}
	var r struct{ ErrorMessage, RequestParameters json.RawMessage }
	if json.Unmarshal(data, &r) != nil {
		return ""
	}
	var p struct{ KeyID string }
	if json.Unmarshal(r.RequestParameters, &p) == nil && p.KeyID != "" && !strings.Contains(p.KeyID, "alias/") {
		if strings.HasPrefix(p.KeyID, "arn:") {
			return p.KeyID
		}
		return arn.New("kms", string(f.Region), string(f.Account), "key/"+p.KeyID).String()
	}
	var message string
	_ = json.Unmarshal(r.ErrorMessage, &message) // one that is no text names nothing
	return keyInMessage(message)
}

// farKey is the Region of a KMS key of the record's account, by its ARN, if the record is of another Region.
func (f *facts) farKey(key []byte) []byte {
	if string(f.EventSource) != "kms.amazonaws.com" {
		return nil
	}
	_, rest, isKMS := bytes.Cut(key, []byte(":kms:"))
	region, rest, _ := bytes.Cut(rest, []byte(":"))
	account, resource, _ := bytes.Cut(rest, []byte(":"))
	if !isKMS || len(region) == 0 || bytes.Equal(region, f.Region) || !bytes.Equal(account, f.Account) || !bytes.HasPrefix(resource, []byte("key/")) {
		return nil
	}
	return region
}

// keyInMessage is the first ARN of a KMS key in the message of an error, or empty.
func keyInMessage(message string) string {
	for word := range strings.FieldsSeq(message) {
		word = strings.Trim(word, ".,;:()'\"")
		if !strings.HasPrefix(word, "arn:") {
			continue
		}
		if a, err := arn.Parse(word); err == nil && a.Service == "kms" && strings.HasPrefix(a.Resource, "key/") {
			return word
		}
	}
	return ""
}
