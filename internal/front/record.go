package front

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
)

// recordOf is the call's CloudTrail record: one form for success, denial and failure alike.
// in is nil when the input could not be decoded.
func recordOf(c *call.Call, req *request, in, out any, e *call.Error) vigil.Record {
	r := vigil.Record{
		EventVersion:        vigil.RecordVersion,
		UserIdentity:        userIdentity(&c.Principal),
		EventTime:           c.Time,
		EventSource:         req.service.EventSource,
		EventName:           c.Operation,
		AWSRegion:           c.Region,
		SourceIPAddress:     c.SourceIP,
		UserAgent:           c.UserAgent,
		AdditionalEventData: c.AdditionalEventData(),
		RequestID:           c.RequestID,
		EventID:             c.EventID,
		Resources:           c.Resources(),
		EventType:           vigil.AwsAPICall,
		ManagementEvent:     true,
		RecipientAccountID:  c.Recipient(),
		EventCategory:       vigil.CategoryManagement,
		TLSDetails:          c.TLS,
	}
	if e != nil {
		r.ErrorCode, r.ErrorMessage = recordedCode(e.Code), e.Message
	}
	if op := req.operation; op != nil {
		r.ReadOnly = op.ReadOnly
		if op.Data {
			r.ManagementEvent, r.EventCategory = false, vigil.CategoryData
		}
		var params []byte
		if in != nil {
			params = op.wire.AppendRequestRecord(make([]byte, 0, 256), in, op.Unrecorded)
			r.RequestParameters = orNull(params)
		}
		if e == nil && (!op.ReadOnly || op.Responds) {
			if r.ResponseElements = c.ResponseElements(); r.ResponseElements == nil {
				r.ResponseElements = orNull(op.wire.AppendResponseRecord(nil, out))
			}
		}
	}
	return r
}

// share makes the records that a call leaves with the owners of other accounts' resources, and marks own, the caller's, as one of
// them: all have one sharedEventID, and each its own eventID. A call that is denied is on record with its caller only. See
// "sharedEventID" in the CloudTrail user guide, and "Logging AWS KMS API calls with AWS CloudTrail" in the KMS developer guide.
func share(c *call.Call, own *vigil.Record) []vigil.Record {
	owners := c.Owners()
	if len(owners) == 0 || own.ErrorCode == accessDenied {
		return nil
	}
	own.SharedEventID = uuid.NewString()
	records := make([]vigil.Record, len(owners))
	for i, owner := range owners {
		r := *own
		r.EventID = call.NewEventID(c.Time)
		r.RecipientAccountID = owner
		r.UserIdentity = toOthers(own.UserIdentity)
		records[i] = r
	}
	return records
}

// toOthers is what another account is told of who called: the account, the principal's unique id and the service that it
// called by, but neither names nor credentials. See "AWSAccount" at the CloudTrail user guide's "CloudTrail userIdentity element".
func toOthers(u vigil.UserIdentity) vigil.UserIdentity {
	if u.Type == "AWSService" { // is in no account
		return u
	}
	return vigil.UserIdentity{Type: "AWSAccount", PrincipalID: u.PrincipalID, AccountID: u.AccountID, InvokedBy: u.InvokedBy}
}

// userIdentity says who called, as the CloudTrail user guide's "CloudTrail userIdentity element" has it.
func userIdentity(p *call.Principal) vigil.UserIdentity {
	u := vigil.UserIdentity{
		Type:        p.Type,
		PrincipalID: p.PrincipalID,
		ARN:         p.ARN,
		AccountID:   p.Account,
		AccessKeyID: p.AccessKeyID,
		UserName:    p.UserName,
		InvokedBy:   p.Service,
	}
	switch p.Type {
	case "WebIdentityUser": // who has no credentials yet
		u.IdentityProvider = p.Provider
	case "AWSService": // only says which
		return vigil.UserIdentity{Type: p.Type, InvokedBy: p.Service}
	}
	if p.Session != nil {
		u.SessionContext = sessionContext(p.Session)
	}
	return u
}

func sessionContext(s *call.Session) *vigil.SessionContext {
	c := &vigil.SessionContext{
		Attributes: &vigil.SessionAttributes{
			CreationDate:     s.Created.UTC().Format("2006-01-02T15:04:05Z"),
			MFAAuthenticated: strconv.FormatBool(s.MFA),
		},
		SourceIdentity: s.SourceIdentity,
	}
	if i := s.Issuer; i != nil {
		c.SessionIssuer = &vigil.SessionIssuer{Type: i.Type, PrincipalID: i.PrincipalID, ARN: i.ARN, AccountID: i.Account, UserName: i.UserName}
	}
	if s.FederatedProvider != "" {
		c.WebIDFederationData = &vigil.WebIDFederationData{FederatedProvider: s.FederatedProvider, Attributes: s.FederatedAttributes}
	}
	return c
}

// orNull is nil for the text null, which is how a record says that there is nothing to write.
func orNull(raw []byte) []byte {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// recordedCode is an error's code as records write it. They say AccessDenied whatever the API's own name for it is.
func recordedCode(code string) string {
	if code == "AccessDeniedException" {
		return accessDenied
	}
	return code
}

const accessDenied = "AccessDenied"

// tlsDetails says how the connection is protected, in the words of the records, or is nil over plain HTTP.
func tlsDetails(r *http.Request) *vigil.TLSDetails {
	if r.TLS == nil {
		return nil
	}
	d := &vigil.TLSDetails{
		TLSVersion:               tlsVersions[r.TLS.Version],
		CipherSuite:              tls.CipherSuiteName(r.TLS.CipherSuite),
		ClientProvidedHostHeader: r.Host,
	}
	if name, ok := cipherNames[r.TLS.CipherSuite]; ok {
		d.CipherSuite = name
	}
	if r.TLS.CurveID == tls.X25519MLKEM768 { // records name the key exchange when it is a post-quantum one
		d.KeyExchange = "X25519MLKEM768"
	}
	return d
}

var tlsVersions = map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}

// cipherNames are the suites of TLS 1.2 as records write them, in OpenSSL's form.
var cipherNames = map[uint16]string{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
}
