package server_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	cwltypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// letLogsIn is a statement of a key policy that lets CloudWatch Logs use the key for a group, as its user guide has it.
func letLogsIn(group string) string {
	return `,{"Effect":"Allow","Principal":{"Service":"logs.us-east-1.amazonaws.com"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*",` +
		`"kms:GenerateDataKey*","kms:Describe*"],"Resource":"*","Condition":{"ArnEquals":{"kms:EncryptionContext:aws:logs:arn":"arn:aws:logs:us-east-1:` +
		account + `:log-group:` + group + `"}}}`
}

// reader reads a group in both ways.
type reader struct {
	*testing.T
	client *cloudwatchlogs.Client
}

func (r reader) get(group string) (messages []string, err error) {
	out, err := r.client.GetLogEvents(r.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: new("s"), StartFromHead: new(true)})
	if err != nil {
		return nil, err
	}
	for _, e := range out.Events {
		messages = append(messages, *e.Message)
	}
	return messages, nil
}

func (r reader) find(group, pattern string) (messages []string) {
	r.Helper()
	out, err := r.client.FilterLogEvents(r.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group, FilterPattern: &pattern})
	if err != nil {
		r.Fatal(err)
	}
	for _, e := range out.Events {
		messages = append(messages, *e.Message)
	}
	return messages
}

// An encrypted log group keeps its events encrypted under the user's key, and reads and searches them as any other, for as long as the
// key lets CloudWatch Logs and the reader have them.
func TestAnEncryptedLogGroup(t *testing.T) {
	h := openHouse(t)
	key := h.key(letLogsIn("secret"))
	client := cloudwatchlogs.NewFromConfig(h.config())
	if _, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("secret")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: new("secret"), LogStreamName: new("s")}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().UnixMilli() - 1000
	put := func(message string) {
		t.Helper()
		at++
		if _, err := cloudwatchlogs.NewFromConfig(h.config()).PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{LogGroupName: new("secret"), LogStreamName: new("s"),
			LogEvents: []cwltypes.InputLogEvent{{Message: &message, Timestamp: &at}}}); err != nil {
			t.Fatal(err)
		}
	}
	put("plain-one")
	if _, err := client.AssociateKmsKey(t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: new("secret"), KmsKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	put("sealed-one ERROR")
	groups, err := client.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	if err != nil || len(groups.LogGroups) != 1 || aws.ToString(groups.LogGroups[0].KmsKeyId) != key {
		t.Errorf("%+v %v", groups, err)
	}
	describe, made := h.records("DescribeKey"), h.records("GenerateDataKey")
	if len(describe) != 1 || describe[0].UserIdentity.Type != "Root" || describe[0].UserIdentity.InvokedBy != "logs.us-east-1.amazonaws.com" {
		t.Errorf("DescribeKey is not on record as root's by way of CloudWatch Logs: %+v", describe)
	}
	if len(made) != 1 || made[0].UserIdentity.Type != "AWSService" || made[0].UserIdentity.InvokedBy != "logs.us-east-1.amazonaws.com" ||
		made[0].RecipientAccountID != account ||
		!strings.Contains(string(made[0].RequestParameters), `{"aws:logs:arn":"arn:aws:logs:us-east-1:`+account+`:log-group:secret"}`) {
		t.Errorf("GenerateDataKey is not on record as CloudWatch Logs' own: %+v", made)
	}

	if _, err := client.DisassociateKmsKey(t.Context(), &cloudwatchlogs.DisassociateKmsKeyInput{LogGroupName: new("secret")}); err != nil {
		t.Fatal(err)
	}
	put("plain-two ERROR")
	h.running.Stop()
	if !h.stored("plain-one") || h.stored("sealed-one") {
		t.Error("what came in before the key is encrypted, or what came in with it is not")
	}
	h.start()
	root := reader{t, cloudwatchlogs.NewFromConfig(h.config())}
	if got, err := root.get("secret"); err != nil || !slices.Equal(got, []string{"plain-one", "sealed-one ERROR", "plain-two ERROR"}) {
		t.Errorf("read %q, %v", got, err)
	}
	if got := root.find("secret", "ERROR"); !slices.Equal(got, []string{"sealed-one ERROR", "plain-two ERROR"}) {
		t.Errorf("found %q", got)
	}
	if got := root.find("secret", `"sealed-one"`); !slices.Equal(got, []string{"sealed-one ERROR"}) {
		t.Errorf("found %q", got)
	}
	if got := h.records("Decrypt"); len(got) != 3 { // when the key was made; then as CloudWatch Logs, and as root, once for all that was read
		t.Errorf("decrypted %d times", len(got))
	}

	keyless := reader{t, cloudwatchlogs.NewFromConfig(h.config(h.user("dave", `"logs:*"`)))}
	const refused = "AccessDeniedException: The specified KMS key does not exist or is not allowed to be used with Arn 'arn:aws:logs:us-east-1:" +
		account + ":log-group:secret'"
	if _, err := keyless.get("secret"); err == nil || !strings.Contains(err.Error(), refused) {
		t.Errorf("a reader who may not use the key: %v", err)
	}
	if _, err := kms.NewFromConfig(h.config()).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
		t.Fatal(err)
	}
	h.advance(5 * time.Minute)
	if _, err := root.get("secret"); err == nil || !strings.Contains(err.Error(), "InvalidParameterException") || !strings.Contains(err.Error(), "is disabled") {
		t.Errorf("with a key that is disabled: %v", err)
	}
}

// A key serves only the log groups that its policy lets CloudWatch Logs use it for, and a group is not made without its key.
func TestALogGroupNeedsItsKey(t *testing.T) {
	h := openHouse(t)
	client := cloudwatchlogs.NewFromConfig(h.config())
	key := h.key(letLogsIn("mine"))
	for _, test := range []struct{ group, key, want string }{
		{"mine", key, ""},
		{"other", key, "AccessDeniedException: The specified KMS key does not exist or is not allowed to be used with Arn"},
		{"other", strings.Replace(key, ":key/", ":key/0", 1), "AccessDeniedException"},
		{"other", "alias/mine", "InvalidParameterException"},
	} {
		_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &test.group, KmsKeyId: &test.key})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %s: %v", test.group, test.key, err)
		}
	}
	groups, err := client.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	if err != nil || len(groups.LogGroups) != 1 || aws.ToString(groups.LogGroups[0].KmsKeyId) != key {
		t.Errorf("%+v %v", groups, err)
	}
}
