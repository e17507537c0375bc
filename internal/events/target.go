package events

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/pattern"
	"vigil/internal/store"
)

// target is a target with its input made ready. It is not changed.
type target struct {
	given       types.Target
	arn         arn.ARN
	path        *pattern.Path
	transformer *pattern.Transformer
}

// newTarget reads a target: it fails with a *call.Error.
func newTarget(given types.Target) (*target, error) {
	t := &target{given: given}
	var err error
	if t.arn, err = arn.Parse(*given.Arn); err != nil {
		return nil, invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", *given.Arn)
	}
	inputs := 0
	for _, is := range []bool{given.Input != nil, given.InputPath != nil, given.InputTransformer != nil} {
		if is {
			inputs++
		}
	}
	if inputs > 1 {
		return nil, invalid("Only one of Input, InputPath, or InputTransformer must be provided for target %s.", *given.Id)
	}
	if given.Input != nil && !json.Valid([]byte(*given.Input)) {
		return nil, invalid("JSON syntax error in input for target %s : it is not valid JSON.", *given.Id)
	}
	if given.InputPath != nil {
		t.path, _ = pattern.ParsePath(*given.InputPath) // a path that can't be read leads nowhere
	}
	if in := given.InputTransformer; in != nil {
		t.transformer, err = pattern.NewTransformer(in.InputPathsMap, text(in.InputTemplate))
		var placeholder *pattern.TemplateError
		switch {
		case errors.As(err, &placeholder):
			return nil, invalid("%s", placeholder.For(*given.Id))
		case err != nil:
			return nil, invalid("%s", err)
		}
	}
	return t, nil
}

// Kinds of targets.
type kind int

const (
	otherKind kind = iota
	logGroup
	topic
	eventBus
	function
	apiDestination
)

func (t *target) kind() kind {
	switch {
	case t.arn.Service == "logs" && strings.HasPrefix(t.arn.Resource, "log-group:"):
		return logGroup
	case t.arn.Service == "sns":
		return topic
	case t.arn.Service == "events" && t.arn.Type() == "event-bus":
		return eventBus
	case t.arn.Service == "lambda" && strings.HasPrefix(t.arn.Resource, "function:"):
		return function
	case t.arn.Service == "events" && t.arn.Type() == "api-destination":
		return apiDestination
	}
	return otherKind
}

// supports says why a target can't be delivered to by this server.
func (e *Events) supports(t *target, owner busRef) error {
	switch kind := t.kind(); {
	case kind == logGroup && e.config.PutLogs != nil, kind == topic && e.config.Publish != nil, kind == eventBus:
		if t.arn.Account != owner.account {
			return call.NotBuilt("A target in another account")
		}
		if kind == eventBus && t.arn == owner.arn() {
			return invalid("Parameter %s is not valid. Reason: A bus can not be a target of its own rules.", *t.given.Arn)
		}
	case kind == function && e.config.Enqueue != nil:
		if e.config.Functions[*t.given.Arn] == "" {
			return invalid("Parameter %s is not valid. Reason: The server was given no invoke URL for this function.", *t.given.Arn)
		}
	case kind == apiDestination && e.config.Enqueue != nil:
		if t.arn.Account != owner.account || t.arn.Region != owner.region {
			return invalid("Parameter %s is not valid. Reason: An API destination is a target in its own account and Region only.", *t.given.Arn)
		}
		if e.known.destinationByARN(*t.given.Arn) == nil {
			return invalid("Parameter %s is not valid. Reason: The API destination does not exist.", *t.given.Arn)
		}
	default:
		return call.NotBuilt("The target " + *t.given.Arn)
	}
	g := &t.given
	if g.DeadLetterConfig != nil && g.DeadLetterConfig.Arn != nil {
		return call.NotBuilt("A queue as a target's DeadLetterConfig (what cannot be delivered is listed by ListDeadLetters)")
	}
	if g.AppSyncParameters != nil || g.BatchParameters != nil || g.EcsParameters != nil || g.HttpParameters != nil && t.kind() != apiDestination || g.KinesisParameters != nil ||
		g.RedshiftDataParameters != nil || g.RunCommandParameters != nil || g.SageMakerPipelineParameters != nil || g.SqsParameters != nil {
		return invalid("Parameters of another kind of target were provided for target %s.", *g.Id)
	}
	return nil
}

// PutTargets gives a rule targets, or replaces those of the same id. What can't be delivered to a function or an API destination becomes a
// dead letter of the outbox, whatever the target: a DeadLetterConfig that names a queue is refused, as there are no queues.
func (e *Events) PutTargets(ctx context.Context, c *call.Call, in *eventbridge.PutTargetsInput) (*eventbridge.PutTargetsOutput, error) {
	r, err := e.rule(c, "events:PutTargets", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(in.Targets))
	for i, given := range in.Targets {
		t, err := newTarget(given)
		if err != nil {
			return nil, err
		}
		if err := e.supports(t, r.ref.bus); err != nil {
			return nil, err
		}
		data, err := json.Marshal(given)
		if err != nil {
			return nil, err
		}
		texts[i] = string(data)
	}
	c.Effect(func(tx store.Tx) error {
		ref := r.ref
		if _, err := e.readRule(tx, ref); errors.Is(err, store.ErrNoRows) {
			return noRule(ref)
		} else if err != nil {
			return err
		}
		for i := range texts {
			_, err := tx.Exec(`INSERT INTO events_target (account, region, bus, rule, id, target) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (account, region, bus, rule, id) DO UPDATE SET target = excluded.target`,
				ref.bus.account, ref.bus.region, ref.bus.name, ref.name, *in.Targets[i].Id, texts[i])
			if err != nil {
				return err
			}
		}
		n, err := count(tx, `SELECT COUNT(*) FROM events_target WHERE account = $1 AND region = $2 AND bus = $3 AND rule = $4`,
			ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
		if err != nil {
			return err
		}
		if n > e.limit.targets {
			return limitExceeded()
		}
		return e.changed(tx, ref)
	})
	return &eventbridge.PutTargetsOutput{FailedEntries: []types.PutTargetsResultEntry{}}, nil
}

// ListTargetsByRule lists a rule's targets by id.
func (e *Events) ListTargetsByRule(ctx context.Context, c *call.Call, in *eventbridge.ListTargetsByRuleInput) (*eventbridge.ListTargetsByRuleOutput, error) {
	r, err := e.rule(c, "events:ListTargetsByRule", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	targets, next, err := page(r.targets, func(t *target) string { return *t.given.Id }, nil, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListTargetsByRuleOutput{Targets: []types.Target{}, NextToken: next}
	for _, t := range targets {
		out.Targets = append(out.Targets, t.given)
	}
	return out, nil
}

// ListRuleNamesByTarget lists the names of a bus's rules that have a target of an ARN.
func (e *Events) ListRuleNamesByTarget(ctx context.Context, c *call.Call, in *eventbridge.ListRuleNamesByTargetInput) (*eventbridge.ListRuleNamesByTargetOutput, error) {
	ref, err := e.ownBus(c, "events:ListRuleNamesByTarget", in.EventBusName)
	if err != nil {
		return nil, err
	}
	if e.known.bus(ref) == nil {
		return nil, noBus(ref.name)
	}
	var with []*rule
	for _, r := range e.known.rulesOf(ref) {
		if slices.ContainsFunc(r.targets, func(t *target) bool { return *t.given.Arn == *in.TargetArn }) {
			with = append(with, r)
		}
	}
	part, next, err := page(with, func(r *rule) string { return r.ref.name }, nil, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListRuleNamesByTargetOutput{RuleNames: []string{}, NextToken: next}
	for _, r := range part {
		out.RuleNames = append(out.RuleNames, r.ref.name)
	}
	return out, nil
}

// RemoveTargets takes targets from a rule. Ids that it does not have are told in FailedEntries.
func (e *Events) RemoveTargets(ctx context.Context, c *call.Call, in *eventbridge.RemoveTargetsInput) (*eventbridge.RemoveTargetsOutput, error) {
	r, err := e.rule(c, "events:RemoveTargets", in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.RemoveTargetsOutput{FailedEntries: []types.RemoveTargetsResultEntry{}}
	c.Effect(func(tx store.Tx) error {
		for _, id := range in.Ids {
			n, err := tx.Exec(`DELETE FROM events_target WHERE account = $1 AND region = $2 AND bus = $3 AND rule = $4 AND id = $5`,
				r.ref.bus.account, r.ref.bus.region, r.ref.bus.name, r.ref.name, id)
			if err != nil {
				return err
			}
			if n == 0 {
				out.FailedEntryCount++
				out.FailedEntries = append(out.FailedEntries, types.RemoveTargetsResultEntry{TargetId: &id, ErrorCode: new("ResourceNotFoundException"),
					ErrorMessage: new("Target " + id + " does not exist on rule " + r.ref.name + ".")})
			}
		}
		return e.changed(tx, r.ref)
	})
	return out, nil
}

// EventBridge's retry policy where a target has none.
const (
	defaultRetries = 185
	defaultAge     = 24 * time.Hour
)

func (t *target) retry() (retries int, age time.Duration) {
	retries, age = defaultRetries, defaultAge
	if p := t.given.RetryPolicy; p != nil {
		if p.MaximumRetryAttempts != nil {
			retries = int(*p.MaximumRetryAttempts)
		}
		if p.MaximumEventAgeInSeconds != nil {
			age = time.Duration(*p.MaximumEventAgeInSeconds) * time.Second
		}
	}
	return retries, age
}
