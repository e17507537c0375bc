package events

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/call"
	"vigil/internal/pattern"
	"vigil/internal/store"
)

// PutRule makes a rule or replaces all of it but its targets and tags: tags are for a new rule only.
func (e *Events) PutRule(ctx context.Context, c *call.Call, in *eventbridge.PutRuleInput) (*eventbridge.PutRuleOutput, error) {
	if in.State == "" {
		in.State = types.RuleStateEnabled
	}
	ref, err := e.ownRule(c, "events:PutRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case text(in.ScheduleExpression) != "" && ref.bus.name != defaultBus:
		return nil, invalid("ScheduleExpression is supported only on the default event bus.")
	case text(in.ScheduleExpression) != "":
		return nil, call.NotBuilt("ScheduleExpression")
	case text(in.EventPattern) == "":
		return nil, invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	}
	if err := checkNewTags(c, ref.arn(), in.Tags); err != nil {
		return nil, err
	}
	if _, err := parse(*in.EventPattern); err != nil {
		return nil, err
	}
	if e.known.bus(ref.bus) == nil {
		return nil, noBus(ref.bus.name)
	}
	c.Effect(func(tx store.Tx) error {
		if err := hasBus(tx, ref.bus); err != nil {
			return err
		}
		n, err := count(tx, `SELECT COUNT(*) FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name <> $4`,
			ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
		if err != nil {
			return err
		}
		if n >= e.limit.rules {
			return limitExceeded()
		}
		if had, err := hasRule(tx, ref); err != nil {
			return err
		} else if !had {
			if err := putTags(tx, ref.arn(), in.Tags); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`INSERT INTO events_rule (account, region, bus, name, pattern, state, description, role) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (account, region, bus, name) DO UPDATE SET pattern = excluded.pattern, state = excluded.state,
			description = excluded.description, role = excluded.role`,
			ref.bus.account, ref.bus.region, ref.bus.name, ref.name, *in.EventPattern, string(in.State), text(in.Description), text(in.RoleArn))
		if err != nil {
			return err
		}
		return e.changed(tx, ref)
	})
	return &eventbridge.PutRuleOutput{RuleArn: new(ref.arn().String())}, nil
}

// parse reads an event pattern.
func parse(text string) (*pattern.Pattern, error) {
	p, err := pattern.Parse(text)
	var refused *pattern.Error
	if errors.As(err, &refused) {
		return nil, call.Errorf("InvalidEventPatternException", "%s", refused.Error())
	}
	return p, err
}

// DescribeRule tells of a rule, without its targets.
func (e *Events) DescribeRule(ctx context.Context, c *call.Call, in *eventbridge.DescribeRuleInput) (*eventbridge.DescribeRuleOutput, error) {
	r, err := e.rule(c, "events:DescribeRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	return &eventbridge.DescribeRuleOutput{
		Name: &r.ref.name, Arn: new(r.ref.arn().String()), EventBusName: &r.ref.bus.name, CreatedBy: &r.ref.bus.account,
		EventPattern: new(r.pattern.String()), State: r.state, Description: given(r.description), RoleArn: given(r.role),
	}, nil
}

// ListRules lists a bus's rules by name, 100 at a time unless the caller says fewer.
func (e *Events) ListRules(ctx context.Context, c *call.Call, in *eventbridge.ListRulesInput) (*eventbridge.ListRulesOutput, error) {
	ref, err := e.ownBus(c, "events:ListRules", in.EventBusName)
	if err != nil {
		return nil, err
	}
	if e.known.bus(ref) == nil {
		return nil, noBus(ref.name)
	}
	rules, next, err := page(e.known.rulesOf(ref), func(r *rule) string { return r.ref.name }, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListRulesOutput{Rules: []types.Rule{}, NextToken: next}
	for _, r := range rules {
		out.Rules = append(out.Rules, types.Rule{
			Name: &r.ref.name, Arn: new(r.ref.arn().String()), EventBusName: &r.ref.bus.name, EventPattern: new(r.pattern.String()),
			State: r.state, Description: given(r.description), RoleArn: given(r.role),
		})
	}
	return out, nil
}

// DeleteRule removes a rule that has no targets. A rule that does not exist is no error.
func (e *Events) DeleteRule(ctx context.Context, c *call.Call, in *eventbridge.DeleteRuleInput) (*eventbridge.DeleteRuleOutput, error) {
	ref, err := e.ownRule(c, "events:DeleteRule", in.EventBusName, in.Name)
	if err != nil {
		return nil, err
	}
	if e.known.bus(ref.bus) == nil {
		return nil, noBus(ref.bus.name)
	}
	c.Effect(func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM events_target WHERE account = $1 AND region = $2 AND bus = $3 AND rule = $4`,
			ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
		if err != nil {
			return err
		}
		if n > 0 {
			return invalid("Rule can't be deleted since it has targets.")
		}
		_, err = tx.Exec(`DELETE FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`,
			ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
		if err != nil {
			return err
		}
		if err := forgetTags(tx, ref.arn()); err != nil {
			return err
		}
		return e.changed(tx, ref)
	})
	return &eventbridge.DeleteRuleOutput{}, nil
}

// EnableRule sets a rule's state to ENABLED.
func (e *Events) EnableRule(ctx context.Context, c *call.Call, in *eventbridge.EnableRuleInput) (*eventbridge.EnableRuleOutput, error) {
	return &eventbridge.EnableRuleOutput{}, e.setState(c, "events:EnableRule", in.EventBusName, in.Name, types.RuleStateEnabled)
}

// DisableRule sets a rule's state to DISABLED, in which it matches nothing.
func (e *Events) DisableRule(ctx context.Context, c *call.Call, in *eventbridge.DisableRuleInput) (*eventbridge.DisableRuleOutput, error) {
	return &eventbridge.DisableRuleOutput{}, e.setState(c, "events:DisableRule", in.EventBusName, in.Name, types.RuleStateDisabled)
}

func (e *Events) setState(c *call.Call, action string, busName, name *string, state types.RuleState) error {
	r, err := e.rule(c, action, busName, name)
	if err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		n, err := tx.Exec(`UPDATE events_rule SET state = $5 WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`,
			r.ref.bus.account, r.ref.bus.region, r.ref.bus.name, r.ref.name, string(state))
		if err != nil {
			return err
		}
		if n == 0 {
			return noRule(r.ref)
		}
		return e.changed(tx, r.ref)
	})
	return nil
}

// ownRule is the rule that a caller means, if the caller may do that with it. It need not exist.
func (e *Events) ownRule(c *call.Call, action string, busName, name *string) (ruleRef, error) {
	ref, err := e.ownBus(c, action, busName)
	if err != nil {
		return ruleRef{}, err
	}
	r := ruleRef{ref, *name}
	return r, allow(c, action, r.arn())
}

// rule is an existing one.
func (e *Events) rule(c *call.Call, action string, busName, name *string) (*rule, error) {
	ref, err := e.ownRule(c, action, busName, name)
	if err != nil {
		return nil, err
	}
	if e.known.bus(ref.bus) == nil {
		return nil, noBus(ref.bus.name)
	}
	r := e.known.rule(ref)
	if r == nil {
		return nil, noRule(ref)
	}
	return r, nil
}

// hasRule says, in the transaction, whether a rule is there.
func hasRule(tx store.Tx, ref ruleRef) (bool, error) {
	n, err := count(tx, `SELECT COUNT(*) FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`,
		ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
	return n > 0, err
}

func noRule(ref ruleRef) error {
	return call.Errorf("ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", ref.name, ref.bus.name)
}

// TestEventPattern says whether a pattern matches an event.
func (e *Events) TestEventPattern(ctx context.Context, c *call.Call, in *eventbridge.TestEventPatternInput) (*eventbridge.TestEventPatternOutput, error) {
	if err := allow(c, "events:TestEventPattern", c.ARN("*")); err != nil {
		return nil, err
	}
	p, err := parse(*in.EventPattern)
	if err != nil {
		return nil, err
	}
	event := []byte(*in.Event)
	for _, name := range strings.Fields("id account source time region resources detail-type") {
		if _, ok := pattern.Select(`$['`+name+`']`, event); !ok {
			return nil, invalid("Parameter Event is not valid.")
		}
	}
	matches, err := p.Match(event)
	if err != nil {
		return nil, invalid("Parameter Event is not valid.")
	}
	return &eventbridge.TestEventPatternOutput{Result: matches}, nil
}
