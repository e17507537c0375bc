package events_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/events"
	"vigil/internal/store"
)

func TestRules(t *testing.T) {
	h := open(t)
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("orders"), Description: new("of the shop")})
	must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{EventBusName: new("orders"), Name: new("r"), EventPattern: new(`{"source":["a"]}`),
		Description: new("first"), RoleArn: new("arn:aws:iam::111122223333:role/r")})
	describe := func() *eventbridge.DescribeRuleOutput {
		t.Helper()
		return must[eventbridge.DescribeRuleOutput](h, "DescribeRule", &eventbridge.DescribeRuleInput{EventBusName: new("orders"), Name: new("r")})
	}
	got := describe()
	if *got.Arn != "arn:aws:events:us-west-2:111122223333:rule/orders/r" || *got.EventBusName != "orders" || *got.EventPattern != `{"source":["a"]}` ||
		*got.Description != "first" || *got.RoleArn != "arn:aws:iam::111122223333:role/r" || got.State != types.RuleStateEnabled ||
		*got.CreatedBy != account || got.ManagedBy != nil || got.ScheduleExpression != nil {
		t.Error(asJSON(got))
	}
	// An update replaces all but targets.
	must[eventbridge.PutTargetsOutput](h, "PutTargets", &eventbridge.PutTargetsInput{EventBusName: new("orders"), Rule: new("r"), Targets: []types.Target{to(topic)}})
	must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{EventBusName: new("orders"), Name: new("r"), EventPattern: new(`{"source":["b"]}`), State: types.RuleStateDisabled})
	if got = describe(); got.Description != nil || got.RoleArn != nil || *got.EventPattern != `{"source":["b"]}` || got.State != types.RuleStateDisabled {
		t.Error(asJSON(got))
	}
	h.put("orders", "b", `{}`)
	must[eventbridge.EnableRuleOutput](h, "EnableRule", &eventbridge.EnableRuleInput{EventBusName: new("orders"), Name: new("r")})
	h.put("orders", "b", `{"n":1}`)
	h.put("orders", "a", `{}`)
	must[eventbridge.DisableRuleOutput](h, "DisableRule", &eventbridge.DisableRuleInput{EventBusName: new("orders"), Name: new("r")})
	h.put("orders", "b", `{}`)
	if sent := h.sent(); len(sent) != 1 || !strings.HasSuffix(sent[0], `"detail":{"n":1}}`) {
		t.Errorf("sent %q", sent)
	}
	if bus := must[eventbridge.DescribeEventBusOutput](h, "DescribeEventBus", &eventbridge.DescribeEventBusInput{
		Name: new("arn:aws:events:us-west-2:111122223333:event-bus/orders")}); *bus.Name != "orders" || *bus.Description != "of the shop" || bus.CreationTime == nil {
		t.Error(asJSON(bus))
	}

	if _, err := h.call("DeleteEventBus", &eventbridge.DeleteEventBusInput{Name: new("orders")}); err == nil || !strings.HasPrefix(err.Error(), "ValidationException: Event bus orders can't be deleted since it has rules.") {
		t.Error(err)
	}
	removed := must[eventbridge.RemoveTargetsOutput](h, "RemoveTargets", &eventbridge.RemoveTargetsInput{EventBusName: new("orders"), Rule: new("r"), Ids: []string{"t", "none"}})
	if removed.FailedEntryCount != 1 || *removed.FailedEntries[0].TargetId != "none" || *removed.FailedEntries[0].ErrorCode != "ResourceNotFoundException" {
		t.Error(asJSON(removed))
	}
	for range 2 { // what is gone is no error
		must[eventbridge.DeleteRuleOutput](h, "DeleteRule", &eventbridge.DeleteRuleInput{EventBusName: new("orders"), Name: new("r")})
	}
	for range 2 {
		must[eventbridge.DeleteEventBusOutput](h, "DeleteEventBus", &eventbridge.DeleteEventBusInput{Name: new("orders")})
	}
}

// Each list gives everything once, in order, whatever the size of its pages, and what is asked for only.
func TestPaging(t *testing.T) {
	h := open(t)
	connection := h.connect("c0", types.ConnectionAuthorizationTypeBasic, basic)
	for i := range 5 {
		name := fmt.Sprint("c", i)
		if i > 0 {
			h.connect(name, types.ConnectionAuthorizationTypeBasic, basic)
		}
		h.destination(name, connection, "https://a.example", "POST", 1)
		must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: &name})
		one := to(topic)
		one.Id = &name
		must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{Name: &name, EventPattern: new(`{"source":["a"]}`)})
		must[eventbridge.PutTargetsOutput](h, "PutTargets", &eventbridge.PutTargetsInput{Rule: new("c0"), Targets: []types.Target{one}})
		must[eventbridge.PutTargetsOutput](h, "PutTargets", &eventbridge.PutTargetsInput{Rule: &name, Targets: []types.Target{to(function)}[:min(i, 1)]})
	}
	h.connect("other", types.ConnectionAuthorizationTypeBasic, basic)
	names := "c0 c1 c2 c3 c4"
	for _, list := range []struct {
		name, want string
		page       func(limit *int32, token *string) (names []string, next *string)
	}{
		{"ListEventBuses", names + " default", func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListEventBusesOutput](h, "ListEventBuses", &eventbridge.ListEventBusesInput{Limit: limit, NextToken: token})
			for _, one := range out.EventBuses {
				names = append(names, *one.Name)
			}
			return names, out.NextToken
		}},
		{"ListRules", names, func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListRulesOutput](h, "ListRules", &eventbridge.ListRulesInput{Limit: limit, NextToken: token, NamePrefix: new("c")})
			for _, one := range out.Rules {
				names = append(names, *one.Name)
			}
			return names, out.NextToken
		}},
		{"ListTargetsByRule", names, func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListTargetsByRuleOutput](h, "ListTargetsByRule", &eventbridge.ListTargetsByRuleInput{Rule: new("c0"), Limit: limit, NextToken: token})
			for _, one := range out.Targets {
				names = append(names, *one.Id)
			}
			return names, out.NextToken
		}},
		{"ListRuleNamesByTarget", "c1 c2 c3 c4", func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListRuleNamesByTargetOutput](h, "ListRuleNamesByTarget", &eventbridge.ListRuleNamesByTargetInput{TargetArn: new(function), Limit: limit, NextToken: token})
			return out.RuleNames, out.NextToken
		}},
		{"ListConnections", names + " other", func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListConnectionsOutput](h, "ListConnections", &eventbridge.ListConnectionsInput{Limit: limit, NextToken: token, ConnectionState: "AUTHORIZED"})
			for _, one := range out.Connections {
				names = append(names, *one.Name)
			}
			return names, out.NextToken
		}},
		{"ListApiDestinations", names, func(limit *int32, token *string) (names []string, next *string) {
			out := must[eventbridge.ListApiDestinationsOutput](h, "ListApiDestinations", &eventbridge.ListApiDestinationsInput{Limit: limit, NextToken: token, ConnectionArn: &connection})
			for _, one := range out.ApiDestinations {
				names = append(names, *one.Name)
			}
			return names, out.NextToken
		}},
	} {
		for _, limit := range []int32{1, 2, 5, 100} {
			var all []string
			part, next := list.page(&limit, nil)
			for all = part; next != nil; all = append(all, part...) {
				part, next = list.page(&limit, next)
				if len(part) == 0 || len(part) > int(limit) {
					t.Fatalf("%s: a page of %d with limit %d", list.name, len(part), limit)
				}
			}
			if got := strings.Join(all, " "); got != list.want {
				t.Errorf("%s by %d: %s, want %s", list.name, limit, got, list.want)
			}
		}
	}
	if _, err := h.call("ListRules", &eventbridge.ListRulesInput{NextToken: new("?")}); err == nil || err.Error() != "ValidationException: Parameter NextToken is not valid." {
		t.Error(err)
	}
	deauthorized := must[eventbridge.ListConnectionsOutput](h, "ListConnections", &eventbridge.ListConnectionsInput{ConnectionState: "DEAUTHORIZED"})
	other := must[eventbridge.ListApiDestinationsOutput](h, "ListApiDestinations", &eventbridge.ListApiDestinationsInput{ConnectionArn: new(connection + "0")})
	if len(deauthorized.Connections) != 0 || len(other.ApiDestinations) != 0 {
		t.Errorf("listed are %s, %s", asJSON(deauthorized), asJSON(other))
	}
}

func TestTags(t *testing.T) {
	h := open(t)
	tag := func(pairs ...string) (tags []types.Tag) {
		for pair := range slices.Chunk(pairs, 2) {
			tags = append(tags, types.Tag{Key: &pair[0], Value: &pair[1]})
		}
		return tags
	}
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("b"), Tags: tag("x", "1")})
	for range 2 { // tags of a rule that is there are ignored
		must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{EventBusName: new("b"), Name: new("r"), EventPattern: new(`{"a":[1]}`), Tags: tag("y", "2", "z", "")})
		must[eventbridge.UntagResourceOutput](h, "UntagResource", &eventbridge.UntagResourceInput{ResourceARN: new("arn:aws:events:us-west-2:111122223333:rule/b/r"), TagKeys: []string{"z", "none"}})
	}
	const busARN, defaultARN, ruleARN = "arn:aws:events:us-west-2:111122223333:event-bus/b", "arn:aws:events:us-west-2:111122223333:event-bus/default", "arn:aws:events:us-west-2:111122223333:rule/b/r"
	must[eventbridge.TagResourceOutput](h, "TagResource", &eventbridge.TagResourceInput{ResourceARN: new(busARN), Tags: tag("x", "one", "a", "")})
	must[eventbridge.TagResourceOutput](h, "TagResource", &eventbridge.TagResourceInput{ResourceARN: new(defaultARN), Tags: tag("d", "3")})
	h = h.reopened()
	for arn, want := range map[string]string{busARN: "a= x=one ", defaultARN: "d=3 ", ruleARN: "y=2 "} {
		got := ""
		for _, one := range must[eventbridge.ListTagsForResourceOutput](h, "ListTagsForResource", &eventbridge.ListTagsForResourceInput{ResourceARN: &arn}).Tags {
			got += *one.Key + "=" + *one.Value + " "
		}
		if got != want {
			t.Errorf("%s: %s, want %s", arn, got, want)
		}
	}
	// What is made anew has none of the tags of what had its name.
	must[eventbridge.DeleteRuleOutput](h, "DeleteRule", &eventbridge.DeleteRuleInput{EventBusName: new("b"), Name: new("r")})
	must[eventbridge.DeleteEventBusOutput](h, "DeleteEventBus", &eventbridge.DeleteEventBusInput{Name: new("b")})
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("b")})
	if got := must[eventbridge.ListTagsForResourceOutput](h, "ListTagsForResource", &eventbridge.ListTagsForResourceInput{ResourceARN: new(busARN)}); len(got.Tags) != 0 {
		t.Error(asJSON(got))
	}

	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint("k", i), "")
	}
	for _, test := range []struct {
		arn  string
		tags []types.Tag
		want string
	}{
		{ruleARN, tag("a", ""), "ResourceNotFoundException: Rule r does not exist on EventBus b."},
		{busARN + "0", tag("a", ""), "ResourceNotFoundException: Event bus b0 does not exist."},
		{strings.Replace(busARN, "event-bus", "archive", 1), tag("a", ""), "ValidationException: "},
		{"arn:aws:kms:us-west-2:111122223333:key/a", tag("a", ""), "ValidationException: "},
		{busARN, tag("aws:a", ""), "ValidationException: aws: prefixed"},
		{busARN, tag("a", "", "a", ""), "ValidationException: Duplicate"},
		{busARN, tag(many...), "ValidationException: The number of tags"},
	} {
		if _, err := h.call("TagResource", &eventbridge.TagResourceInput{ResourceARN: &test.arn, Tags: test.tags}); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.arn, err, test.want)
		}
	}
}

// What targets must be, and what a rule may be made of.
func TestRefusedTargets(t *testing.T) {
	h := open(t)
	connection := h.connect("c", types.ConnectionAuthorizationTypeBasic, basic)
	destination := h.destination("d", connection, "https://a.example", "POST", 1)
	must[eventbridge.PutRuleOutput](h, "PutRule", &eventbridge.PutRuleInput{Name: new("r"), EventPattern: new(`{"a":[1]}`)})
	queue := to(topic)
	queue.DeadLetterConfig = &types.DeadLetterConfig{Arn: new("arn:aws:sqs:us-west-2:111122223333:q")}
	none := to(topic)
	none.DeadLetterConfig = &types.DeadLetterConfig{}
	http := to(topic)
	http.HttpParameters = &types.HttpParameters{}
	path := to(topic)
	path.Input = new("{")
	for _, test := range []struct {
		target types.Target
		want   string
	}{
		{none, ""},
		{to(destination), ""},
		{queue, "UnsupportedOperationException: A queue as a target's DeadLetterConfig (what cannot be delivered is listed by ListDeadLetters) is not supported"},
		{http, "ValidationException: Parameters of another kind of target were provided for target t."},
		{path, "ValidationException: JSON syntax error in input for target t"},
		{to(destination + "0"), "ValidationException: Parameter " + destination + "0 is not valid. Reason: The API destination does not exist."},
		{to(strings.Replace(destination, account, "444455556666", 1)), "ValidationException: "},
		{to(strings.Replace(topic, account, "444455556666", 1)), "UnsupportedOperationException: A target in another account is not supported"},
		{to("arn:aws:events:us-west-2:111122223333:event-bus/default"), "ValidationException: "},
		{to(strings.Replace(function, "watch", "none", 1)), "ValidationException: "},
		{to("nothing"), "ValidationException: Parameter nothing is not valid. Reason: Provided Arn is not in correct format."},
	} {
		_, err := h.call("PutTargets", &eventbridge.PutTargetsInput{Rule: new("r"), Targets: []types.Target{test.target}})
		if (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", *test.target.Arn, err, test.want)
		}
	}
	put := func(bus, schedule, pattern string) error {
		in := &eventbridge.PutRuleInput{Name: new("s"), EventBusName: &bus}
		if schedule != "" {
			in.ScheduleExpression = &schedule
		}
		if pattern != "" {
			in.EventPattern = &pattern
		}
		_, err := h.call("PutRule", in)
		return err
	}
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("b")})
	for _, test := range []struct{ bus, schedule, pattern, want string }{
		{"b", "rate(1 day)", "", "ValidationException: ScheduleExpression is supported only on the default event bus."},
		{"default", "", "", "ValidationException: Parameter(s) EventPattern or ScheduleExpression must be specified."},
		{"none", "", `{"a":[1]}`, "ResourceNotFoundException: Event bus none does not exist."},
		{"default", "", `{"a":[{"wildcard":"` + strings.Repeat("a*", 200) + `"}]}`, "InvalidEventPatternException: Event pattern is not valid. Reason: Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character"},
	} {
		if err := put(test.bus, test.schedule, test.pattern); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

// A target's retry policy is its deliveries'; what leads to events too deeply leads to no more.
func TestWhatADeliveryKnows(t *testing.T) {
	var got []events.Delivery
	h := open(t, func(c *events.Config) {
		c.Enqueue = func(_ store.Tx, d events.Delivery) error { got = append(got, d); return nil }
	})
	policy := to(function)
	policy.RetryPolicy = &types.RetryPolicy{MaximumEventAgeInSeconds: new(int32(60))}
	h.rule("default", "r", `{"source":["a"]}`, "", policy)
	for depth := range events.MaxDepth + 2 {
		err := h.watch.Update(t.Context(), func(tx store.Tx) error {
			return h.events.Put(tx, account, region, "default", []byte(`{"id":"e","source":"a"}`), events.Cause{EventID: "e", Depth: depth})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != events.MaxDepth+1 {
		t.Fatalf("%d deliveries", len(got))
	}
	for depth, d := range got {
		if d.MaxRetries != 185 || d.MaxAge != time.Minute || d.Cause != (events.Cause{EventID: "e", Depth: depth + 1}) || d.ID != got[0].ID {
			t.Errorf("%+v", d)
		}
	}
}

// Rules that multiply an event between buses do so for a while only.
func TestMultiplyingBuses(t *testing.T) {
	h := open(t)
	for _, name := range []string{"b", "c"} {
		must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: &name})
	}
	for _, way := range [][2]string{{"b", "c"}, {"c", "b"}} {
		for i := range 20 {
			h.rule(way[0], fmt.Sprint("r", i), `{"source":["a"]}`, "", to("arn:aws:events:us-west-2:111122223333:event-bus/"+way[1]))
		}
	}
	h.rule("c", "out", `{"source":["a"]}`, "", to(topic))
	h.put("b", "a", `{}`) // would come 20 + 20*20*20 times to c
	if n := len(h.sent()); n != 20+1000-1-20-400 {
		t.Errorf("%d events came out, want one for each time that it came to c in the first 1000", n)
	}
}
