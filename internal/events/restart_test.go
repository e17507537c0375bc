package events_test

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/journal"
	"vigil/internal/store/storetest"
)

// All of the configuration is there after a restart, and events go where they went.
func TestRestart(t *testing.T) {
	h := open(t)
	must[eventbridge.CreateEventBusOutput](h, "CreateEventBus", &eventbridge.CreateEventBusInput{Name: new("orders"), Description: new("d")})
	transformed := to(topic)
	transformed.InputTransformer = &types.InputTransformer{
		InputPathsMap: map[string]string{"n": "$.detail.n", "list": "$.detail.list", "none": "$.detail.none"},
		InputTemplate: new(`{"n":<n>,"text":"n is <n>","list":<list>,"none":<none>,"rule":"<aws.events.rule-name>"}`)}
	h.rule("orders", "kept", `{"source":[{"prefix":"sh"}]}`, "", transformed)
	h.rule("orders", "off", `{"source":["shop"]}`, types.RuleStateDisabled, to(topic))
	h.rule("orders", "gone", `{"source":["shop"]}`, "", to(topic))
	must[eventbridge.RemoveTargetsOutput](h, "RemoveTargets", &eventbridge.RemoveTargetsInput{EventBusName: new("orders"), Rule: new("gone"), Ids: []string{"t"}})
	must[eventbridge.DeleteRuleOutput](h, "DeleteRule", &eventbridge.DeleteRuleInput{EventBusName: new("orders"), Name: new("gone")})
	before := asJSON([]any{
		must[eventbridge.ListRulesOutput](h, "ListRules", &eventbridge.ListRulesInput{EventBusName: new("orders")}),
		must[eventbridge.ListTargetsByRuleOutput](h, "ListTargetsByRule", &eventbridge.ListTargetsByRuleInput{EventBusName: new("orders"), Rule: new("kept")}),
		must[eventbridge.ListEventBusesOutput](h, "ListEventBuses", &eventbridge.ListEventBusesInput{})})

	h = h.reopened()
	after := asJSON([]any{
		must[eventbridge.ListRulesOutput](h, "ListRules", &eventbridge.ListRulesInput{EventBusName: new("orders")}),
		must[eventbridge.ListTargetsByRuleOutput](h, "ListTargetsByRule", &eventbridge.ListTargetsByRuleInput{EventBusName: new("orders"), Rule: new("kept")}),
		must[eventbridge.ListEventBusesOutput](h, "ListEventBuses", &eventbridge.ListEventBusesInput{})})
	if before != after || !strings.Contains(after, `"Name":"kept"`) || strings.Contains(after, `"Name":"gone"`) {
		t.Errorf("before %s\nafter  %s", before, after)
	}
	h.put("orders", "shop", `{"n":7,"list":[1,"a"]}`)
	want := `{"n":7,"text":"n is 7","list":[1,"a"],"none":"","rule":"kept"}`
	if sent := h.sent(); len(sent) != 1 || sent[0] != want {
		t.Errorf("sent %q, want %s", sent, want)
	}
}

// Records that are committed while nothing follows, and whatever happens to the commits that follow them, become one event each.
func TestExactlyOnceAcrossRestarts(t *testing.T) {
	h := open(t)
	h.rule("default", "calls", `{"detail":{"eventName":["DisableKey"]}}`, "", to(topic))
	records, n := func() (some []journal.Record) {
		for range 7 {
			some = append(some, record(h.clock.Now(), "DisableKey", false))
		}
		return some
	}, 0
	for _, fault := range []storetest.Fault{storetest.FailedInDoubt, storetest.PersistedInDoubt, storetest.Before} {
		n += 14
		if err := h.journal.Commit(context.Background(), nil, func(error) []journal.Record { return records() }); err != nil {
			t.Fatal(err) // nothing follows yet
		}
		h = h.reopened()
		h.watch.FailUpdate(1, fault)
		h.run(h.events.Follow)
		h.commit(records()...)
		if got := len(h.sent()); got != n {
			t.Fatalf("fault %d: %d events, want %d", fault, got, n)
		}
		h = h.reopened()
	}
}
