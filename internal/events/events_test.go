package events_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store/storetest"
)

// rule makes a rule with targets.
func (h *house) rule(bus, name, pattern string, state types.RuleState, targets ...types.Target) {
	h.t.Helper()
	must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{EventBusName: &bus, Name: &name, EventPattern: &pattern, State: state})
	must[eventbridge.PutTargetsOutput](h, "PutTargets", &eventbridge.PutTargetsInput{EventBusName: &bus, Rule: &name, Targets: targets})
}

func to(arn string) types.Target { return types.Target{Id: new("t"), Arn: &arn} }

func (h *house) put(bus, source, detail string) {
	h.t.Helper()
	out := must[eventbridge.PutEventsOutput](h, "PutEvents", &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		{EventBusName: &bus, Source: &source, DetailType: new("d"), Detail: &detail}}})
	if out.FailedEntryCount != 0 {
		h.t.Fatalf("%s", *out.Entries[0].ErrorMessage)
	}
}

func TestEventsReachTargets(t *testing.T) {
	h := open(t)
	must[cloudwatchlogs.CreateLogGroupOutput](h, "CreateLogGroup", &cloudwatchlogs.CreateLogGroupInput{LogGroupName: new("/aws/events/all")})
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("orders")})
	h.rule("orders", "on", `{"source":["shop"]}`, "", to("arn:aws:events:us-west-2:111122223333:event-bus/default"))
	invoke := to(function)
	invoke.InputPath = new("$.detail")
	invoke.RetryPolicy = &types.RetryPolicy{MaximumRetryAttempts: new(int32(3)), MaximumEventAgeInSeconds: new(int32(60))}
	publish := to(topic)
	publish.Id = new("u")
	publish.InputTransformer = &types.InputTransformer{InputPathsMap: map[string]string{"n": "$.detail.n"}, InputTemplate: new(`"order <n> by <aws.events.rule-name>"`)}
	constant := to(topic)
	constant.Id, constant.Input = new("v"), new(`{"a":1}`)
	group := to("arn:aws:logs:us-west-2:111122223333:log-group:/aws/events/all:*")
	group.Id = new("w")
	h.rule("default", "all", `{"source":["shop"]}`, "", invoke, publish, constant, group)

	h.put("orders", "shop", `{"n":7}`)
	h.put("orders", "other", `{"n":8}`)
	want := []string{`http://127.0.0.1:9/watch retries=3 age=1m0s {"n":7}`, `"order 7 by all"`, `{"a":1}`}
	if got := h.sent(); !reflect.DeepEqual(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
	messages := h.logged("/aws/events/all")
	if len(messages) != 1 || !strings.Contains(messages[0], `"account":"111122223333"`) || !strings.HasSuffix(messages[0], `"detail":{"n":7}}`) {
		t.Errorf("logged %q", messages)
	}
}

// Buses that are each other's targets don't keep an event for ever.
func TestBusesInACircle(t *testing.T) {
	h := open(t)
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("other")})
	back := to("arn:aws:events:us-west-2:111122223333:event-bus/default")
	out := to(topic)
	out.Id = new("u")
	h.rule("default", "there", `{"source":["a"]}`, "", to("arn:aws:events:us-west-2:111122223333:event-bus/other"))
	h.rule("other", "back", `{"source":["a"]}`, "", back, out)
	h.put("default", "a", `{}`)
	if got := len(h.sent()); got != 2 {
		t.Errorf("the topic got %d events, want 2: the buses pass the event on until it has been on 5", got)
	}
}

func TestServiceEventsOfKMS(t *testing.T) {
	for file, name := range map[string]string{
		"KMS-CMK-Deletion": "DeleteKey", "KMS-CMK-Rotation-2022": "RotateKey", "KMS-CMK-Rotation-2025": "RotateKey",
		"KMS-Imported-Key-Material-Expiration-2022": "DeleteExpiredKeyMaterial",
		"KMS-Imported-Key-Material-Expiration-2025": "DeleteExpiredKeyMaterial",
	} {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile("testdata/" + file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Time      time.Time
				Resources []string
				Detail    map[string]string
			}
			var wantAll, got map[string]any
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			json.Unmarshal(data, &wantAll)
			h := open(t)
			h.run(h.events.Follow)
			h.rule("default", "kms", `{"source":["aws.kms"],"detail":{"key-id":[{"exists":true}]}}`, "", to(topic))
			h.commit(call.ServiceEvent{
				Source: "kms.amazonaws.com", Name: name, Region: region, Account: account, Time: want.Time,
				Resources: []vigil.Resource{{AccountID: account, Type: "AWS::KMS::Key", ARN: want.Resources[0]}},
				Details: []call.Detail{{Name: "rotationType", Value: want.Detail["rotation-type"]}, {Name: "keyOrigin", Value: want.Detail["key-origin"]},
					{Name: "previousKeyMaterialId", Value: want.Detail["previous-key-material-id"]}, {Name: "currentKeyMaterialId", Value: want.Detail["current-key-material-id"]},
					{Name: "keyMaterialId", Value: want.Detail["key-material-id"]}},
			}.Record())
			sent := h.sent()
			if len(sent) != 1 {
				t.Fatalf("sent %q", sent)
			}
			if err := json.Unmarshal([]byte(sent[0]), &got); err != nil {
				t.Fatal(err)
			}
			delete(got, "id")
			delete(wantAll, "id")
			if !reflect.DeepEqual(got, wantAll) {
				t.Errorf("got  %v\nwant %v", got, wantAll)
			}
		})
	}
}

// Which calls a rule gets depends on its state.
func TestCallsByState(t *testing.T) {
	for state, want := range map[types.RuleState]string{
		types.RuleStateEnabled:                                  "Decrypt DisableKey",
		types.RuleStateEnabledWithAllCloudtrailManagementEvents: "DescribeKey ListKeys Decrypt DisableKey",
		types.RuleStateDisabled:                                 "",
	} {
		h := open(t)
		h.run(h.events.Follow)
		input := to(topic)
		input.InputTransformer = &types.InputTransformer{InputPathsMap: map[string]string{"n": "$.detail.eventName"}, InputTemplate: new(`"<n>"`)}
		h.rule("default", "calls", `{"detail-type":["AWS API Call via CloudTrail"],"detail":{"eventName":[{"suffix":"Key"},{"suffix":"Keys"},"Decrypt"]}}`, state, input)
		now := h.clock.Now()
		h.commit(record(now, "DescribeKey", true), record(now, "ListKeys", true), record(now, "Decrypt", true), record(now, "DisableKey", false))
		if got := strings.ReplaceAll(strings.Join(h.sent(), " "), `"`, ""); got != want {
			t.Errorf("%s: got %s, want %s", state, got, want)
		}
	}
}

// Whatever happens to a commit, each record becomes one event.
func TestExactlyOnce(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.Before, storetest.Failed, storetest.FailedInDoubt, storetest.PersistedInDoubt} {
		h := open(t)
		h.rule("default", "calls", `{"detail":{"eventName":["DisableKey"]}}`, "", to(topic))
		h.watch.FailUpdate(1, fault)
		h.run(h.events.Follow)
		var records []journal.Record
		for range 10 {
			records = append(records, record(h.clock.Now(), "DisableKey", false))
		}
		h.commit(records...)
		if got := len(h.sent()); got != len(records) {
			t.Errorf("fault %d: %d events, want %d", fault, got, len(records))
		}
	}
}

func TestErrors(t *testing.T) {
	h := open(t)
	h.rule("default", "r", `{"source":["a"]}`, "", to(topic))
	twice := to(topic)
	twice.Input, twice.InputPath = new("{}"), new("$")
	unknown := to(topic)
	unknown.InputTransformer = &types.InputTransformer{InputTemplate: new(`"<x>"`)}
	many := make([]types.Target, 5)
	for i := range many {
		many[i] = to(topic)
		many[i].Id = new(fmt.Sprint(i))
	}
	targets := func(t ...types.Target) any { return &eventbridge.PutTargetsInput{Rule: new("r"), Targets: t} }
	for _, test := range []struct {
		op   string
		in   any
		want string
	}{
		{"DescribeRule", &eventbridge.DescribeRuleInput{Name: new("x")}, "ResourceNotFoundException: Rule x does not exist on EventBus default."},
		{"DescribeEventBus", &eventbridge.DescribeEventBusInput{Name: new("b")}, "ResourceNotFoundException: Event bus b does not exist."},
		{"DeleteEventBus", &eventbridge.DeleteEventBusInput{Name: new("default")}, "ValidationException: Cannot delete event bus default."},
		{"CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("default")}, "ResourceAlreadyExistsException: Event bus default already exists."},
		{"DeleteRule", &eventbridge.DeleteRuleInput{Name: new("r")}, "ValidationException: Rule can't be deleted since it has targets."},
		{"PutRule", &eventbridge.PutRuleInput{Name: new("s"), ScheduleExpression: new("rate(1 day)")}, "UnsupportedOperationException: ScheduleExpression is not supported by this version of Vigil."},
		{"PutRule", &eventbridge.PutRuleInput{Name: new("s"), EventPattern: new(`[]`)}, "InvalidEventPatternException: Event pattern is not valid. Reason: Filter is not an object"},
		{"PutTargets", &eventbridge.PutTargetsInput{Rule: new("x"), Targets: many}, "ResourceNotFoundException: Rule x does not exist on EventBus default."},
		{"PutTargets", targets(twice), "ValidationException: Only one of Input, InputPath, or InputTransformer must be provided for target t."},
		{"PutTargets", targets(unknown), "ValidationException: InputTemplate for target t contains invalid placeholder x."},
		{"PutTargets", targets(many...), "LimitExceededException: The requested resource exceeds the maximum number allowed."},
		{"PutTargets", targets(to("arn:aws:sqs:us-west-2:111122223333:q")), "UnsupportedOperationException: The target arn:aws:sqs:us-west-2:111122223333:q is not supported"},
		{"TestEventPattern", &eventbridge.TestEventPatternInput{Event: new(`{}`), EventPattern: new(`{"source":["a"]}`)}, "ValidationException: Parameter Event is not valid."},
	} {
		if _, err := h.call(test.op, test.in); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.op, err, test.want)
		}
	}
}

func TestEntriesThatAreRefused(t *testing.T) {
	h := open(t)
	out := must[eventbridge.PutEventsOutput](h, "PutEvents", &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{
		{DetailType: new("d"), Detail: new("{}")},
		{Source: new("s"), DetailType: new("d"), Detail: new("[]")},
		{Source: new("aws.kms"), DetailType: new("d"), Detail: new("{}")},
		{Source: new("s"), DetailType: new("d"), Detail: new("{}")},
	}})
	want := []string{"InvalidArgument Parameter Source is not valid. Reason: Source is a required argument.", "MalformedDetail Detail is malformed.",
		"NotAuthorizedForSourceException Not authorized for the source."}
	for i, text := range want {
		if got := *out.Entries[i].ErrorCode + " " + *out.Entries[i].ErrorMessage; got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	if out.FailedEntryCount != 3 || out.Entries[3].EventId == nil {
		t.Errorf("%d failed, want 3 and an id for the last", out.FailedEntryCount)
	}
}
