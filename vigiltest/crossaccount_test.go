package vigiltest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	trailtypes "github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bridge "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"vigil"
	"vigil/internal/server"
	"vigil/vigiltest"
)

const neighbour = "444455556666"

// accounts are two accounts of a server: the operator's, and a neighbour with a user Bob, who may do all that others let him.
type accounts struct {
	*testing.T
	srv        *vigiltest.Server
	owner, bob aws.CredentialsProvider
	bobID      string // AIDA…
}

func newAccounts(t *testing.T) *accounts {
	srv := vigiltest.NewServer(t)
	a := &accounts{T: t, srv: srv, owner: srv.Credentials}
	admin := iam.New(iam.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: srv.AddAccount(t, neighbour)})
	user, err := admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: new("Bob")})
	a.ok(err)
	a.bobID = *user.User.UserId
	_, err = admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: new("Bob"), PolicyName: new("all"),
		PolicyDocument: new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)})
	a.ok(err)
	key, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: new("Bob")})
	a.ok(err)
	a.bob = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}, nil
	})
	return a
}

func (a *accounts) ok(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// sharedKey is a key of the owner's that the neighbour may encrypt and decrypt with.
func (a *accounts) sharedKey() *types.KeyMetadata {
	a.Helper()
	created, err := clientOf(a.srv, a.owner).CreateKey(a.Context(), &kms.CreateKeyInput{Policy: new(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:CreateGrant"],"Resource":"*"}]}`,
		a.srv.Account, neighbour))})
	a.ok(err)
	return created.KeyMetadata
}

// records are what the account of who has on record of a request, as JSON.
func (a *accounts) records(who aws.CredentialsProvider, name, requestID string) (found []string) {
	a.Helper()
	history := cloudtrail.New(cloudtrail.Options{Region: a.srv.Region, BaseEndpoint: &a.srv.URL, Credentials: who})
	out, err := history.LookupEvents(a.Context(), &cloudtrail.LookupEventsInput{LookupAttributes: []trailtypes.LookupAttribute{
		{AttributeKey: trailtypes.LookupAttributeKeyEventName, AttributeValue: &name}}})
	a.ok(err)
	for _, e := range out.Events {
		if strings.Contains(*e.CloudTrailEvent, requestID) {
			found = append(found, *e.CloudTrailEvent)
		}
	}
	return found
}

// noteRequestID has a client tell the id of each request that it makes.
func noteRequestID(id *string) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("noteRequestID", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if got, ok := awsmiddleware.GetRequestIDMetadata(metadata); ok {
				*id = got
			}
			return out, metadata, err
		}), middleware.Before)
	}
}

// Each call of Bob's on what is the owner's is on record in both accounts, unless it was denied.
func TestCallsAcrossAccountsAreOnRecordInBoth(t *testing.T) {
	a := newAccounts(t)
	key, disabled := a.sharedKey(), a.sharedKey()
	owner, ctx := clientOf(a.srv, a.owner), t.Context()
	var requestID string
	bob := kms.New(kms.Options{Region: a.srv.Region, BaseEndpoint: &a.srv.URL, Credentials: a.bob, APIOptions: []func(*middleware.Stack) error{noteRequestID(&requestID)}})
	bobs, err := bob.CreateKey(ctx, &kms.CreateKeyInput{})
	a.ok(err)
	sealed, err := owner.Encrypt(ctx, &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("attack at dawn")})
	a.ok(err)
	_, err = owner.DisableKey(ctx, &kms.DisableKeyInput{KeyId: disabled.KeyId})
	a.ok(err)
	_, err = owner.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: key.KeyId, GranteePrincipal: new("arn:aws:iam::" + neighbour + ":user/Bob"),
		Operations: []types.GrantOperation{types.GrantOperationGenerateDataKey}})
	a.ok(err)
	_, err = iam.New(iam.Options{Region: a.srv.Region, BaseEndpoint: &a.srv.URL, Credentials: a.owner}).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: new("visitor"), AssumeRolePolicyDocument: new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + neighbour +
			`"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:RoleSessionName":"Bob"}}}}`)})
	a.ok(err)
	visit := func(account, name string) error {
		_, err := sts.New(sts.Options{Region: a.srv.Region, BaseEndpoint: &a.srv.URL, Credentials: a.bob, APIOptions: []func(*middleware.Stack) error{noteRequestID(&requestID)}}).
			AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: new("arn:aws:iam::" + account + ":role/visitor"), RoleSessionName: &name})
		return err
	}
	absent := strings.Replace(*key.Arn, *key.KeyId, "1234abcd-12ab-34cd-56ef-1234567890ab", 1)

	for _, test := range []struct {
		what, operation, errorCode string
		do                         func() error
		shared                     bool
	}{
		{"by the key's policy", "Encrypt", "", func() error {
			_, err := bob.Encrypt(ctx, &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x"), EncryptionContext: map[string]string{"purpose": "visit"}})
			return err
		}, true},
		{"of a ciphertext that alone names the key", "Decrypt", "", func() error {
			_, err := bob.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
			return err
		}, true},
		{"from the owner's key to one's own", "ReEncrypt", "", func() error {
			_, err := bob.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: sealed.CiphertextBlob, DestinationKeyId: bobs.KeyMetadata.KeyId})
			return err
		}, true},
		{"by a grant", "GenerateDataKey", "", func() error {
			_, err := bob.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: key.Arn, KeySpec: types.DataKeySpecAes256})
			return err
		}, true},
		{"that changes something", "CreateGrant", "", func() error {
			_, err := bob.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: key.Arn, GranteePrincipal: new("arn:aws:iam::" + neighbour + ":root"),
				Operations: []types.GrantOperation{types.GrantOperationDecrypt}})
			return err
		}, true},
		{"that is only tried", "Encrypt", "DryRunOperationException", func() error {
			_, err := bob.Encrypt(ctx, &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x"), DryRun: new(true)})
			return err
		}, true},
		{"with a disabled key", "Encrypt", "DisabledException", func() error {
			_, err := bob.Encrypt(ctx, &kms.EncryptInput{KeyId: disabled.Arn, Plaintext: []byte("x")})
			return err
		}, true},
		{"that the key's policy does not allow", "GenerateMac", "AccessDenied", func() error {
			_, err := bob.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: key.Arn, Message: []byte("x"), MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			return err
		}, false},
		{"that is not for other accounts", "DisableKey", "AccessDenied", func() error {
			_, err := bob.DisableKey(ctx, &kms.DisableKeyInput{KeyId: key.Arn})
			return err
		}, false},
		{"on a key that does not exist", "Encrypt", "AccessDenied", func() error {
			_, err := bob.Encrypt(ctx, &kms.EncryptInput{KeyId: &absent, Plaintext: []byte("x")})
			return err
		}, false},
		{"on one's own key", "Encrypt", "", func() error {
			_, err := bob.Encrypt(ctx, &kms.EncryptInput{KeyId: bobs.KeyMetadata.Arn, Plaintext: []byte("x")})
			return err
		}, false},
		{"by the role's trust policy", "AssumeRole", "", func() error { return visit(a.srv.Account, "Bob") }, true},
		{"that the role's trust policy does not allow", "AssumeRole", "AccessDenied", func() error { return visit(a.srv.Account, "Mallory") }, false},
		{"in an account that does not exist", "AssumeRole", "AccessDenied", func() error { return visit("777788889999", "Bob") }, false},
	} {
		t.Run(test.operation+" "+test.what, func(t *testing.T) {
			a := &accounts{T: t, srv: a.srv, owner: a.owner, bob: a.bob, bobID: a.bobID}
			requestID = ""
			if err := test.do(); (err == nil) != (test.errorCode == "") || requestID == "" {
				t.Fatalf("request %q: %v", requestID, err)
			}
			callers, owners := a.records(a.bob, test.operation, requestID), a.records(a.owner, test.operation, requestID)
			if len(callers) != 1 || len(owners) > 1 || (len(owners) == 1) != test.shared {
				t.Fatalf("the caller has %q, and the owner %q", callers, owners)
			}
			own := parse(t, callers[0])
			if own.ErrorCode != test.errorCode || own.UserIdentity.UserName != "Bob" || own.RecipientAccountID != neighbour {
				t.Errorf("the caller has %s", callers[0])
			}
			if !test.shared {
				if own.SharedEventID != "" {
					t.Errorf("what nobody else has is shared: %s", callers[0])
				}
				return
			}
			a.checkOwners(callers[0], owners[0])
		})
	}
}

// checkOwners compares the owner's record of a call with the caller's. It has the form of AWS's example of AssumeRole in the IAM user
// guide's "Logging IAM and AWS STS API calls with AWS CloudTrail".
func (a *accounts) checkOwners(callers, owners string) {
	a.Helper()
	own, theirs := parse(a.T, callers), parse(a.T, owners)
	if own.SharedEventID == "" || own.EventID == theirs.EventID || own.EventID == own.SharedEventID || theirs.EventID == own.SharedEventID {
		a.Errorf("the ids are not AWS's: %s\n%s", callers, owners)
	}
	var want, got map[string]any
	a.ok(json.Unmarshal([]byte(callers), &want))
	a.ok(json.Unmarshal([]byte(owners), &got))
	want["eventID"], want["recipientAccountId"] = theirs.EventID, a.srv.Account
	want["userIdentity"] = map[string]any{"type": "AWSAccount", "principalId": a.bobID, "accountId": neighbour}
	if !reflect.DeepEqual(got, want) {
		a.Errorf("the owner has\n%s\nof\n%s", owners, callers)
	}
}

func parse(t *testing.T, record string) *vigil.Record {
	t.Helper()
	r, err := vigil.ParseRecord([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A call that is on record twice is one use of the key, and one call of its caller's. The owner's trail and rules get the owner's record.
func TestACallAcrossAccountsIsOneCall(t *testing.T) {
	a := newAccounts(t)
	key, ctx, srv := a.sharedKey(), t.Context(), a.srv
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: a.owner})
	_, err := logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("audit")})
	a.ok(err)
	trails := cloudtrail.New(cloudtrail.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: a.owner})
	credentials, err := a.owner.Retrieve(ctx)
	a.ok(err)
	a.ok(server.CreateBucket(ctx, http.DefaultClient, server.Profile{AccessKeyID: credentials.AccessKeyID, Secret: credentials.SecretAccessKey,
		ClientConfig: server.ClientConfig{Endpoint: srv.URL, Region: srv.Region}}, "audit"))
	_, err = trails.CreateTrail(ctx, &cloudtrail.CreateTrailInput{Name: new("all"), S3BucketName: new("audit"),
		CloudWatchLogsLogGroupArn: new("arn:aws:logs:" + srv.Region + ":" + srv.Account + ":log-group:audit:*"),
		CloudWatchLogsRoleArn:     new("arn:aws:iam::" + srv.Account + ":role/deliver")})
	a.ok(err)
	_, err = trails.StartLogging(ctx, &cloudtrail.StartLoggingInput{Name: new("all")})
	a.ok(err)
	_, err = logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("/aws/events/visits")})
	a.ok(err)
	bus := eventbridge.New(eventbridge.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: a.owner})
	_, err = bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: new("visits"), EventPattern: new(`{"detail":{"userIdentity":{"type":["AWSAccount"]}}}`)})
	a.ok(err)
	_, err = bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: new("visits"), Targets: []bridge.Target{
		{Id: new("1"), Arn: new("arn:aws:logs:" + srv.Region + ":" + srv.Account + ":log-group:/aws/events/visits")}}})
	a.ok(err)
	var requestID string
	bob := kms.New(kms.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: a.bob, APIOptions: []func(*middleware.Stack) error{noteRequestID(&requestID)}})
	_, err = bob.Encrypt(ctx, &kms.EncryptInput{KeyId: key.Arn, Plaintext: []byte("x")})
	a.ok(err)
	owners := a.records(a.owner, "Encrypt", requestID)
	if len(owners) != 1 {
		t.Fatalf("the owner has %q", owners)
	}
	used, err := clientOf(srv, a.owner).GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: key.KeyId})
	a.ok(err)
	if last := used.KeyLastUsage; aws.ToString(last.CloudTrailEventId) != parse(t, owners[0]).EventID || aws.ToString(last.KmsRequestId) != requestID {
		t.Errorf("the key's last use is the event %v of the request %v, want %s", last.CloudTrailEventId, last.KmsRequestId, owners[0])
	}
	eventually(t, "the owner's trail delivers", func() bool {
		out, err := logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("audit"), FilterPattern: new("{ $.userIdentity.type = AWSAccount }")})
		a.ok(err)
		return len(out.Events) == 1 && *out.Events[0].Message == owners[0]
	})
	eventually(t, "the owner's rule has the event", func() bool {
		out, err := logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: new("/aws/events/visits")})
		a.ok(err)
		return len(out.Events) == 1 && strings.Contains(*out.Events[0].Message, owners[0])
	})
	calls := func(who aws.CredentialsProvider) (sum float64) {
		now := srv.Advance(t, time.Second)
		out, err := cloudwatch.New(cloudwatch.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: who}).GetMetricStatistics(ctx,
			&cloudwatch.GetMetricStatisticsInput{Namespace: new("AWS/Usage"), MetricName: new("CallCount"), Period: new(int32(3600)),
				Dimensions: []cw.Dimension{{Name: new("Service"), Value: new("KMS")}, {Name: new("Type"), Value: new("API")},
					{Name: new("Resource"), Value: new("Encrypt")}, {Name: new("Class"), Value: new("None")}},
				Statistics: []cw.Statistic{cw.StatisticSum}, StartTime: new(now.Add(-2 * time.Hour)), EndTime: new(now.Add(time.Hour))})
		a.ok(err)
		for _, p := range out.Datapoints {
			sum += *p.Sum
		}
		return sum
	}
	eventually(t, "the call is counted", func() bool { return calls(a.bob) > 0 })
	if bobs, owners := calls(a.bob), calls(a.owner); bobs != 1 || owners != 0 {
		t.Errorf("the caller has %v calls of Encrypt, and the owner %v", bobs, owners)
	}
}
