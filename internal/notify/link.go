package notify

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
)

// anonymous is who follows a link, in the words of CloudTrail.
const anonymous = "ANONYMOUS_PRINCIPAL"

func isAnonymous(c *call.Call) bool { return c.Principal.Account == anonymous }

// Open returns what answers a request that needs no signature, or nil when it needs one: the links in messages, by which a subscription
// is confirmed or ended, and the certificates by which messages are verified. They are answered at paths of the API's own endpoint, so
// they are looked for before the door.
//
// A link is a GET of the action without a signature, as with SNS. Having the token, or the ARN with its UUID, is what lets
// whoever follows it do so. One that changes something is recorded, as a call of the anonymous principal; one that cannot is
// not, or anyone could fill the journal.
func (n *Notify) Open(r *http.Request) http.Handler {
	if r.Method != http.MethodGet {
		return nil
	}
	if id, ok := strings.CutPrefix(r.URL.Path, "/SimpleNotificationService-"); ok {
		return n.certificate(strings.TrimSuffix(id, ".pem"))
	}
	if r.URL.Path != "/" && r.URL.Path != "" || r.Header.Get("Authorization") != "" || r.Header.Get("X-Amz-Target") != "" {
		return nil
	}
	q := r.URL.Query()
	if q.Has("X-Amz-Signature") || q.Has("X-Amz-Algorithm") || q.Has("Signature") {
		return nil
	}
	switch q.Get("Action") {
	case "ConfirmSubscription":
		return link(n.confirmByLink)
	case "Unsubscribe":
		return link(n.endByLink)
	}
	return nil
}

// certificate answers with a certificate in PEM.
func (n *Notify) certificate(id string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		certificate, ok := n.signer.certificates[id]
		if !ok || r.URL.Path != certificatePath(id) {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(certificate)
	})
}

// link is a handler of requests without a signature: it returns the members of the answer's result.
type link func(r *http.Request, requestID string) (action, result string, err error)

const namespace = "http://sns.amazonaws.com/doc/2010-03-31/"

func (l link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := uuid.NewString()
	action, result, err := l(r, requestID)
	h := w.Header()
	h.Set("X-Amzn-Requestid", requestID)
	h.Set("Content-Type", "text/xml")
	if err == nil {
		_, _ = w.Write([]byte(`<` + action + `Response xmlns="` + namespace + `">` + result +
			`<ResponseMetadata><RequestId>` + requestID + `</RequestId></ResponseMetadata></` + action + `Response>`))
		return
	}
	e := &call.Error{Code: "InternalError", Status: http.StatusInternalServerError}
	errors.As(err, &e)
	fault := "Sender"
	if e.Status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write([]byte(`<ErrorResponse xmlns="` + namespace + `"><Error><Type>` + fault + `</Type><Code>` + escape(e.Code) +
		`</Code><Message>` + escape(e.Message) + `</Message></Error><RequestId>` + requestID + `</RequestId></ErrorResponse>`))
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

func (n *Notify) confirmByLink(r *http.Request, requestID string) (action, result string, err error) {
	action = "ConfirmSubscription"
	q := r.URL.Query()
	topic, secret := q.Get("TopicArn"), q.Get("Token")
	in := &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &secret}
	if guarded := q.Get("AuthenticateOnUnsubscribe"); guarded != "" {
		in.AuthenticateOnUnsubscribe = &guarded
	}
	c := n.anonymousCall(r, action, topic, requestID)
	out, err := n.ConfirmSubscription(r.Context(), c, in)
	if err != nil {
		return action, "", err
	}
	c.Responded("subscriptionArn", *out.SubscriptionArn)
	if err := n.commit(r.Context(), c, "topicArn", topic); err != nil {
		return action, "", err
	}
	return action, `<ConfirmSubscriptionResult><SubscriptionArn>` + escape(*out.SubscriptionArn) + `</SubscriptionArn></ConfirmSubscriptionResult>`, nil
}

func (n *Notify) endByLink(r *http.Request, requestID string) (action, result string, err error) {
	action = "Unsubscribe"
	name := r.URL.Query().Get("SubscriptionArn")
	c := n.anonymousCall(r, action, name, requestID)
	if _, err := n.Unsubscribe(r.Context(), c, &sns.UnsubscribeInput{SubscriptionArn: &name}); err != nil {
		return action, "", err
	}
	return action, "", n.commit(r.Context(), c, "subscriptionArn", name)
}

// anonymousCall is a call by link. Its region is that of what it names.
func (n *Notify) anonymousCall(r *http.Request, action, resource, requestID string) *call.Call {
	region := ""
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 {
		region = parts[3]
	}
	now := n.clock.Now()
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return &call.Call{
		Principal: call.Principal{Type: "AWSAccount", Account: anonymous},
		Service:   "sns", Operation: action, Region: region, Time: now, RequestID: requestID, EventID: call.NewEventID(now),
		SourceIP: host, UserAgent: r.UserAgent(),
	}
}

// commit makes the effect and the record of a call by link durable. The record is in the account of what was changed.
func (n *Notify) commit(ctx context.Context, c *call.Call, parameter, value string) error {
	parameters, err := jsonObject(parameter, value)
	if err != nil {
		return err
	}
	return n.config.Journal.Commit(ctx, c.PendingEffect(), func(failed error) []journal.Record {
		r := vigil.Record{
			EventVersion:       vigil.RecordVersion,
			UserIdentity:       vigil.UserIdentity{Type: c.Principal.Type, AccountID: anonymous},
			EventTime:          c.Time,
			EventSource:        eventSource,
			EventName:          c.Operation,
			AWSRegion:          c.Region,
			SourceIPAddress:    c.SourceIP,
			UserAgent:          c.UserAgent,
			RequestParameters:  parameters,
			ResponseElements:   c.ResponseElements(),
			RequestID:          c.RequestID,
			EventID:            c.EventID,
			Resources:          c.Resources(),
			EventType:          vigil.AwsAPICall,
			ManagementEvent:    true,
			RecipientAccountID: c.Resources()[0].AccountID,
			EventCategory:      vigil.CategoryManagement,
		}
		var e *call.Error
		if errors.As(failed, &e) { // somebody else was first
			r.ErrorCode, r.ErrorMessage, r.ResponseElements = e.Code, e.Message, nil
		}
		return []journal.Record{{Time: c.Time, Data: r.AppendJSON(nil)}}
	})
}
