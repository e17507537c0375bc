// Package vigil holds the formats by which a trail proves itself, and their verification, free of server code:
// the CloudTrail record, the page that the journal keeps records in, the leaves, tiles, checkpoints and proofs of the Merkle tree over them, and the log files and
// digest files that trails deliver.
package vigil

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// RecordVersion is the eventVersion of the records that Vigil writes.
const RecordVersion = "1.11"

// Values of Record.EventType.
const (
	AwsAPICall      = "AwsApiCall"
	AwsServiceEvent = "AwsServiceEvent"

	AwsCloudTrailInsight = "AwsCloudTrailInsight"
)

// Values of Record.EventCategory.
const (
	CategoryManagement = "Management"
	CategoryData       = "Data"
	CategoryInsight    = "Insight"
)

// Record is one CloudTrail event of form 1.11, as the CloudTrail user guide describes it under "record contents".
// Fields are written in the order in which AWS writes them.
type Record struct {
	EventVersion        string          `json:"eventVersion"`
	UserIdentity        UserIdentity    `json:"userIdentity"`
	EventTime           time.Time       `json:"eventTime"` // UTC, written in whole seconds
	EventSource         string          `json:"eventSource"`
	EventName           string          `json:"eventName"`
	AWSRegion           string          `json:"awsRegion"`
	SourceIPAddress     string          `json:"sourceIPAddress"`
	UserAgent           string          `json:"userAgent"`
	ErrorCode           string          `json:"errorCode,omitempty"`
	ErrorMessage        string          `json:"errorMessage,omitempty"`
	RequestParameters   json.RawMessage `json:"requestParameters"` // a JSON object; nil is written as null
	ResponseElements    json.RawMessage `json:"responseElements"`  // a JSON object; nil is written as null
	AdditionalEventData json.RawMessage `json:"additionalEventData,omitempty"`
	RequestID           string          `json:"requestID,omitempty"` // absent from service events
	EventID             string          `json:"eventID"`
	ReadOnly            bool            `json:"readOnly"`
	Resources           []Resource      `json:"resources,omitempty"`
	EventType           string          `json:"eventType"`
	ManagementEvent     bool            `json:"managementEvent"`
	RecipientAccountID  string          `json:"recipientAccountId"`
	ServiceEventDetails json.RawMessage `json:"serviceEventDetails,omitempty"`
	SharedEventID       string          `json:"sharedEventID,omitempty"`
	VPCEndpointID       string          `json:"vpcEndpointId,omitempty"`
	EventCategory       string          `json:"eventCategory"`
	TLSDetails          *TLSDetails     `json:"tlsDetails,omitempty"`
}

// UserIdentity says who called.
type UserIdentity struct {
	Type        string `json:"type,omitempty"` // Root, IAMUser, AssumedRole, AWSService …; absent from service events
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	// SessionContext says how temporary credentials were made; absent for long-term ones.
	SessionContext *SessionContext `json:"sessionContext,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
	// IdentityProvider is who vouched for the caller of AssumeRoleWithWebIdentity.
	IdentityProvider string `json:"identityProvider,omitempty"`
}

// SessionContext is the session of temporary credentials.
type SessionContext struct {
	SessionIssuer       *SessionIssuer       `json:"sessionIssuer,omitempty"`       // absent for GetSessionToken
	WebIDFederationData *WebIDFederationData `json:"webIdFederationData,omitempty"` // absent unless a web identity made the session
	Attributes          *SessionAttributes   `json:"attributes,omitempty"`
	SourceIdentity      string               `json:"sourceIdentity,omitempty"`
	EC2RoleDelivery     string               `json:"ec2RoleDelivery,omitempty"`
}

// SessionIssuer is whose permissions a session has.
type SessionIssuer struct {
	Type        string `json:"type,omitempty"` // Role, IAMUser or Root
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	UserName    string `json:"userName,omitempty"` // of the role or user
}

// WebIDFederationData is what a web identity's provider said.
type WebIDFederationData struct {
	FederatedProvider string            `json:"federatedProvider,omitempty"`
	Attributes        map[string]string `json:"attributes,omitempty"`
}

// SessionAttributes are texts, as AWS writes them.
type SessionAttributes struct {
	CreationDate     string `json:"creationDate,omitempty"`     // 2006-01-02T15:04:05Z
	MFAAuthenticated string `json:"mfaAuthenticated,omitempty"` // true or false
}

// Resource is something that the call touched.
type Resource struct {
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"` // such as AWS::KMS::Key
	ARN       string `json:"ARN,omitempty"`
	ARNPrefix string `json:"ARNPrefix,omitempty"` // in place of ARN, of all resources whose ARN begins so
}

// TLSDetails says how the connection was protected. It is absent from calls over plain HTTP.
type TLSDetails struct {
	TLSVersion               string `json:"tlsVersion"`
	CipherSuite              string `json:"cipherSuite"`
	ClientProvidedHostHeader string `json:"clientProvidedHostHeader,omitempty"`
	KeyExchange              string `json:"keyExchange,omitempty"`
}

// ParseRecord reads one record of any event version. Members that it does not know are passed over.
func ParseRecord(data []byte) (*Record, error) {
	r := new(Record)
	if err := jsonv2.Unmarshal(data, r); err != nil {
		return nil, err
	}
	return r, nil
}

// AppendJSON appends the record as AWS writes it to dst, and returns the result.
func (r *Record) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"eventVersion":`...)
	dst = appendString(dst, r.EventVersion)
	dst = append(dst, `,"userIdentity":`...)
	dst = r.UserIdentity.appendJSON(dst)
	dst = append(dst, `,"eventTime":"`...)
	dst = r.EventTime.UTC().AppendFormat(dst, time.RFC3339)
	dst = append(dst, '"')
	dst = appendMember(dst, "eventSource", r.EventSource)
	dst = appendMember(dst, "eventName", r.EventName)
	dst = appendMember(dst, "awsRegion", r.AWSRegion)
	dst = appendMember(dst, "sourceIPAddress", r.SourceIPAddress)
	dst = appendMember(dst, "userAgent", r.UserAgent)
	dst = appendOptional(dst, "errorCode", r.ErrorCode)
	dst = appendOptional(dst, "errorMessage", r.ErrorMessage)
	dst = appendRaw(dst, "requestParameters", r.RequestParameters)
	dst = appendRaw(dst, "responseElements", r.ResponseElements)
	if r.AdditionalEventData != nil {
		dst = appendRaw(dst, "additionalEventData", r.AdditionalEventData)
	}
	dst = appendOptional(dst, "requestID", r.RequestID)
	dst = appendMember(dst, "eventID", r.EventID)
	dst = appendBool(dst, "readOnly", r.ReadOnly)
	if len(r.Resources) > 0 {
		dst = append(dst, `,"resources":[`...)
		for i, res := range r.Resources {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = res.appendJSON(dst)
		}
		dst = append(dst, ']')
	}
	dst = appendMember(dst, "eventType", r.EventType)
	dst = appendBool(dst, "managementEvent", r.ManagementEvent)
	dst = appendMember(dst, "recipientAccountId", r.RecipientAccountID)
	if r.ServiceEventDetails != nil {
		dst = appendRaw(dst, "serviceEventDetails", r.ServiceEventDetails)
	}
	dst = appendOptional(dst, "sharedEventID", r.SharedEventID)
	dst = appendOptional(dst, "vpcEndpointId", r.VPCEndpointID)
	dst = appendMember(dst, "eventCategory", r.EventCategory)
	if t := r.TLSDetails; t != nil {
		dst = append(dst, `,"tlsDetails":`...)
		dst = t.appendJSON(dst)
	}
	return append(dst, '}')
}

func (u *UserIdentity) appendJSON(dst []byte) []byte {
	start := len(dst)
	dst = appendOptional(dst, "type", u.Type)
	dst = appendOptional(dst, "principalId", u.PrincipalID)
	dst = appendOptional(dst, "arn", u.ARN)
	dst = appendOptional(dst, "accountId", u.AccountID)
	dst = appendOptional(dst, "accessKeyId", u.AccessKeyID)
	dst = appendOptional(dst, "userName", u.UserName)
	if u.SessionContext != nil {
		dst = u.SessionContext.appendJSON(appendName(dst, "sessionContext"))
	}
	dst = appendOptional(dst, "invokedBy", u.InvokedBy)
	dst = appendOptional(dst, "identityProvider", u.IdentityProvider)
	return closeObject(dst, start)
}

func (c *SessionContext) appendJSON(dst []byte) []byte {
	start := len(dst)
	if i := c.SessionIssuer; i != nil {
		dst = appendObject(appendName(dst, "sessionIssuer"), "type", i.Type, "principalId", i.PrincipalID, "arn", i.ARN,
			"accountId", i.AccountID, "userName", i.UserName)
	}
	if c.WebIDFederationData != nil {
		dst = c.WebIDFederationData.appendJSON(appendName(dst, "webIdFederationData"))
	}
	if a := c.Attributes; a != nil {
		dst = appendObject(appendName(dst, "attributes"), "creationDate", a.CreationDate, "mfaAuthenticated", a.MFAAuthenticated)
	}
	dst = appendOptional(dst, "sourceIdentity", c.SourceIdentity)
	dst = appendOptional(dst, "ec2RoleDelivery", c.EC2RoleDelivery)
	return closeObject(dst, start)
}

func (w *WebIDFederationData) appendJSON(dst []byte) []byte {
	start := len(dst)
	dst = appendOptional(dst, "federatedProvider", w.FederatedProvider)
	if w.Attributes != nil {
		dst = appendName(dst, "attributes")
		inner := len(dst)
		for _, name := range slices.Sorted(maps.Keys(w.Attributes)) {
			dst = appendString(append(dst, ','), name)
			dst = appendString(append(dst, ':'), w.Attributes[name])
		}
		dst = closeObject(dst, inner)
	}
	return closeObject(dst, start)
}

func (r *Resource) appendJSON(dst []byte) []byte {
	return appendObject(dst, "accountId", r.AccountID, "type", r.Type, "ARN", r.ARN, "ARNPrefix", r.ARNPrefix)
}

func (t *TLSDetails) appendJSON(dst []byte) []byte {
	return appendObject(dst, "tlsVersion", t.TLSVersion, "cipherSuite", t.CipherSuite,
		"clientProvidedHostHeader", t.ClientProvidedHostHeader, "keyExchange", t.KeyExchange)
}

// appendObject appends an object of the name, value pairs whose value is not empty.
func appendObject(dst []byte, pairs ...string) []byte {
	start := len(dst)
	for i := 0; i < len(pairs); i += 2 {
		dst = appendOptional(dst, pairs[i], pairs[i+1])
	}
	return closeObject(dst, start)
}

// closeObject makes an object of the members that were appended since start, each of which begins with a comma.
func closeObject(dst []byte, start int) []byte {
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{'
	return append(dst, '}')
}

// appendName begins a member.
func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendMember(dst []byte, name, value string) []byte {
	return appendString(appendName(dst, name), value)
}

func appendOptional(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendMember(dst, name, value)
}

func appendBool(dst []byte, name string, value bool) []byte {
	return strconv.AppendBool(appendName(dst, name), value)
}

func appendRaw(dst []byte, name string, raw []byte) []byte {
	dst = appendName(dst, name)
	if raw == nil {
		return append(dst, "null"...)
	}
	return append(dst, raw...)
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 are replaced, as a record must be valid whatever a client sent.
func appendString(dst []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	dst, _ = jsontext.AppendQuote(dst, s) // its error only reports the replaced bytes
	return dst
}
