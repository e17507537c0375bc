package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"

	"vigil"
)

// inbox is a web server that is sent messages. It refuses them while it is closed.
type inbox struct {
	*httptest.Server
	mu     sync.Mutex
	got    []map[string]string
	closed bool
	tried  int
}

func newInbox(t testing.TB) *inbox {
	box := &inbox{}
	box.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var message map[string]string
		_ = json.Unmarshal(body, &message)
		box.mu.Lock()
		defer box.mu.Unlock()
		box.tried++
		if box.closed {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		box.got = append(box.got, message)
	}))
	t.Cleanup(box.Close)
	return box
}

func (b *inbox) close(closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.tried = closed, 0
}

func (b *inbox) attempts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tried
}

func (b *inbox) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.got, func(m map[string]string) bool { return strings.Contains(m["Message"], text) })
}

// topic makes a topic with that key, to which the inbox is subscribed.
func (h *house) topic(name, key string, box *inbox) string {
	h.t.Helper()
	client := sns.NewFromConfig(h.config())
	made, err := client.CreateTopic(h.t.Context(), &sns.CreateTopicInput{Name: &name, Attributes: map[string]string{"KmsMasterKeyId": key}})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := client.Subscribe(h.t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: new("http"), Endpoint: &box.URL}); err != nil {
		h.t.Fatal(err)
	}
	confirm := ""
	h.eventually("the subscriber is asked", func() bool {
		box.mu.Lock()
		defer box.mu.Unlock()
		for _, m := range box.got {
			if m["TopicArn"] == *made.TopicArn {
				confirm = m["SubscribeURL"]
			}
		}
		return confirm != ""
	})
	answer, err := http.Get(confirm)
	if err != nil || answer.StatusCode != http.StatusOK {
		h.t.Fatal(answer, err)
	}
	answer.Body.Close()
	return *made.TopicArn
}

func publish(h *house, topic, text string, as ...aws.CredentialsProvider) error {
	_, err := sns.NewFromConfig(h.config(as...)).Publish(h.t.Context(), &sns.PublishInput{TopicArn: &topic, Message: &text})
	return err
}

// Who publishes to an encrypted topic uses its key by way of SNS, on record; the message lies encrypted until it arrives, over a restart
// and after the data key was forgotten.
func TestAnEncryptedTopic(t *testing.T) {
	h, box := openHouse(t), newInbox(t)
	key := h.key("")
	topic := h.topic("alarms", key, box)
	alice := h.user("alice", `["sns:Publish","kms:GenerateDataKey","kms:Decrypt"]`)
	bob := h.user("bob", `["sns:Publish"]`)

	if err := publish(h, topic, "the-first-message", alice); err != nil {
		t.Fatal(err)
	}
	h.eventually("it arrives", func() bool { return box.has("the-first-message") })
	if err := publish(h, topic, "another", alice); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GenerateDataKey", "Decrypt"} {
		found := h.records(name)
		if len(found) != 1 { // two messages, one data key
			t.Fatalf("%d records of %s", len(found), name)
		}
		r := found[0]
		who := r.UserIdentity
		if who.Type != "IAMUser" || who.UserName != "alice" || who.InvokedBy != "sns.amazonaws.com" || who.AccessKeyID == "" ||
			r.SourceIPAddress != "sns.amazonaws.com" || r.UserAgent != "sns.amazonaws.com" || r.TLSDetails != nil || r.RecipientAccountID != account ||
			!strings.Contains(string(r.RequestParameters), `"encryptionContext":{"aws:sns:topicArn":"`+topic+`"}`) ||
			len(r.Resources) != 1 || r.Resources[0].ARN != key || r.EventType != vigil.AwsAPICall || !r.ReadOnly || !r.ManagementEvent {
			t.Errorf("%s is recorded as %s", name, r.AppendJSON(nil))
		}
	}

	var denied *snstypes.KMSAccessDeniedException
	if err := publish(h, topic, "by bob", bob); !errors.As(err, &denied) ||
		!strings.Contains(*denied.Message, "is not authorized to perform: kms:GenerateDataKey") {
		t.Errorf("without permission: %v", err)
	}
	if found := h.records("GenerateDataKey"); found[len(found)-1].UserIdentity.UserName != "bob" || found[len(found)-1].ErrorCode != "AccessDenied" {
		t.Errorf("the denial is not on record: %s", found[len(found)-1].AppendJSON(nil))
	}

	box.close(true)
	if err := publish(h, topic, "kept-over-a-restart", alice); err != nil {
		t.Fatal(err)
	}
	h.eventually("it was attempted", func() bool { return box.attempts() > 0 })
	h.running.Stop()
	if h.stored("kept-over-a-restart") {
		t.Error("the message lies in the outbox as it is")
	}
	h.start()
	box.close(false)
	h.eventually("it arrives after all", func() bool {
		h.advance(20 * time.Second)
		return box.has("kept-over-a-restart")
	})
	found := h.records("Decrypt")
	if last := found[len(found)-1]; len(found) != 2 || last.UserIdentity.UserName != "alice" || last.UserIdentity.InvokedBy != "sns.amazonaws.com" {
		t.Errorf("%d times decrypted, lastly %s", len(found), last.AppendJSON(nil))
	}

	if _, err := kms.NewFromConfig(h.config()).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	h.advance(5 * time.Minute)
	var disabled *snstypes.KMSDisabledException
	if err := publish(h, topic, "too late", alice); !errors.As(err, &disabled) {
		t.Errorf("with a key that is disabled: %v", err)
	}
	var missing *snstypes.KMSNotFoundException
	if err := publish(h, h.topic("lost", "alias/none", box), "x"); !errors.As(err, &missing) {
		t.Errorf("with a key that does not exist: %v", err)
	}
}

// SNS's own key in an account is made when it is first used, and serves who may use SNS and nothing else.
func TestATopicUnderTheManagedKey(t *testing.T) {
	h, box := openHouse(t), newInbox(t)
	topic := h.topic("alarms", "alias/aws/sns", box)
	if err := publish(h, topic, "hello", h.user("carol", `"sns:Publish"`)); err != nil {
		t.Fatal(err)
	}
	h.eventually("it arrives", func() bool { return box.has("hello") })
	made, err := kms.NewFromConfig(h.config()).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: new("alias/aws/sns")})
	if err != nil || made.KeyMetadata.KeyManager != types.KeyManagerTypeAws {
		t.Fatalf("%+v %v", made, err)
	}
	if _, err := kms.NewFromConfig(h.config()).Encrypt(t.Context(), &kms.EncryptInput{KeyId: new("alias/aws/sns"), Plaintext: []byte("x")}); err == nil {
		t.Error("root encrypts with SNS's key directly")
	}
	set := func(value string) {
		t.Helper()
		if _, err := sns.NewFromConfig(h.config()).SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{
			TopicArn: &topic, AttributeName: new("KmsMasterKeyId"), AttributeValue: &value}); err != nil {
			t.Fatal(err)
		}
	}
	attributes := func() map[string]string {
		out, err := sns.NewFromConfig(h.config()).GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &topic})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	if got := attributes()["KmsMasterKeyId"]; got != "alias/aws/sns" {
		t.Errorf("KmsMasterKeyId is %q", got)
	}
	set("")
	if got, has := attributes()["KmsMasterKeyId"]; has {
		t.Errorf("a topic that is not encrypted has the KmsMasterKeyId %q", got)
	}
	box.close(true)
	if err := publish(h, topic, "in the clear"); err != nil {
		t.Fatal(err)
	}
	if !h.stored("in the clear") {
		t.Error("the message of a topic that is not encrypted is not found in the outbox")
	}
}

// A rule publishes to an encrypted topic as EventBridge itself, whom the key's policy has to let in. Until it does, the message waits.
func TestARulePublishesToAnEncryptedTopic(t *testing.T) {
	h, box := openHouse(t), newInbox(t)
	key := h.key("")
	topic := h.topic("alarms", key, box)
	bus := eventbridge.NewFromConfig(h.config())
	rule, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: new("all"), EventPattern: new(`{"source":["my.app"]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: new("all"), Targets: []ebtypes.Target{{Id: new("1"), Arn: &topic}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		{Source: new("my.app"), DetailType: new("t"), Detail: new(`{"what":"an-event-of-mine"}`)}}}); err != nil {
		t.Fatal(err)
	}
	h.eventually("KMS refuses", func() bool { return len(h.records("GenerateDataKey")) > 0 })
	more := slices.Repeat([]ebtypes.PutEventsRequestEntry{{Source: new("my.app"), DetailType: new("t"), Detail: new(`{"what":"one-of-many"}`)}}, 8)
	if _, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: more}); err != nil {
		t.Fatal(err)
	}
	r := h.records("GenerateDataKey")[0]
	if who := r.UserIdentity; who.Type != "AWSService" || who.InvokedBy != "events.amazonaws.com" || who.ARN != "" || who.AccountID != "" ||
		r.ErrorCode != "AccessDenied" || r.RecipientAccountID != account || r.SourceIPAddress != "events.amazonaws.com" {
		t.Errorf("it is recorded as %s", r.AppendJSON(nil))
	}
	if h.stored("an-event-of-mine") {
		t.Error("the message lies beside the outbox as it is")
	}
	if _, err := kms.NewFromConfig(h.config()).PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: &key, Policy: new(keyPolicy(fmt.Sprintf(
		`,{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["kms:GenerateDataKey*","kms:Decrypt"],"Resource":"*",`+
			`"Condition":{"ArnEquals":{"aws:SourceArn":%q},"StringEquals":{"aws:SourceAccount":%q,"kms:EncryptionContext:aws:sns:topicArn":%q}}}`,
		*rule.RuleArn, account, topic)))}); err != nil {
		t.Fatal(err)
	}
	h.eventually("the event arrives", func() bool {
		h.advance(10 * time.Second)
		return box.has("an-event-of-mine") && box.has("one-of-many")
	})
	if got := len(slices.DeleteFunc(h.records("GenerateDataKey"), func(r *vigil.Record) bool { return r.ErrorCode == "" })); got >= len(more) {
		t.Errorf("KMS refused %d times, once for each event", got)
	}
	found, err := cloudtrail.NewFromConfig(h.config()).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	if err != nil || !slices.ContainsFunc(h.records("Decrypt"), func(r *vigil.Record) bool { return r.ErrorCode == "" }) || len(found.Events) == 0 {
		t.Errorf("%v %v", found, err)
	}
}
