package events

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/pattern"
	"vigil/internal/store"
)

// Put hands an event over to the targets of the rules that match it on a bus, in a transaction of Watch. The event is a JSON object as
// EventBridge delivers it. A bus that does not exist has no rules.
func (e *Events) Put(tx store.Tx, account, region, busName string, event []byte, cause Cause) error {
	r := e.newRound(tx)
	if err := r.route(busRef{account, region, busName}, &passing{event: event, cause: cause}); err != nil {
		return err
	}
	return r.flush()
}

// Emit puts an event of a service on the default bus.
func (e *Events) Emit(tx store.Tx, account, region string, event []byte) error {
	var named struct{ ID string }
	if err := json.Unmarshal(event, &named); err != nil {
		return err
	}
	return e.Put(tx, account, region, defaultBus, event, Cause{EventID: named.ID})
}

// passing is an event on its way.
type passing struct {
	event []byte
	cause Cause
	// reading is that it is about a call that only reads: few rules want these.
	reading bool
}

// stop is a bus that an event comes to; hop is how many buses it has been on then.
type stop struct {
	bus busRef
	hop int
}

// maxStops is how many stops an event has, over all of its ways. Rules that multiply an event from bus to bus end here.
const maxStops = 1000

// round is the events of one transaction. What goes into one stream of a log group goes there together.
type round struct {
	*Events
	tx    store.Tx
	logs  map[arn.ARN]map[string][]LogEvent // by group and stream
	order []logStream
}

type logStream struct {
	group arn.ARN
	name  string
}

func (e *Events) newRound(tx store.Tx) *round {
	return &round{Events: e, tx: tx, logs: map[arn.ARN]map[string][]LogEvent{}}
}

// route hands an event over, first what is one hop away, then what is two.
func (r *round) route(on busRef, p *passing) error {
	var buffer [4]stop
	stops := append(buffer[:0], stop{on, 1})
	for i := 0; i < len(stops); i++ {
		at := stops[i]
		if p.cause.Depth > MaxDepth || at.hop > MaxDepth || i == maxStops {
			r.log.Warn("an event led to events too deeply, or to too many, and goes no further", "bus", at.bus.arn().String(), "event", p.cause.EventID)
			return nil // all that is left is as deep
		}
		next, err := r.arrive(at, p)
		if err != nil {
			return err
		}
		stops = append(stops, next...)
	}
	return nil
}

// arrive hands an event over to the targets of a bus, but for the buses among them, which it returns.
func (r *round) arrive(at stop, p *passing) (next []stop, err error) {
	rules, err := r.known.matching(at.bus, p.event)
	if err != nil {
		r.log.Warn("an event is no JSON object and goes nowhere", "bus", at.bus.arn().String(), "event", p.cause.EventID)
		return nil, nil
	}
	for _, rule := range rules {
		if p.reading && rule.state != types.RuleStateEnabledWithAllCloudtrailManagementEvents {
			continue
		}
		for _, t := range rule.targets {
			if t.kind() == eventBus { // gets the event itself, whatever its target's input says
				next = append(next, stop{busRef{t.arn.Account, t.arn.Region, t.arn.ID()}, at.hop + 1})
				continue
			}
			err := r.handOver(rule, t, p)
			if isMissing(err) {
				r.log.Warn("an event was not delivered", "rule", rule.ref.arn().String(), "target", t.arn.String(), "event", p.cause.EventID, "error", err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return next, nil
}

// isMissing says whether an error is about the target alone.
func isMissing(err error) bool {
	var refused *call.Error
	return errors.Is(err, ErrNoTarget) || errors.As(err, &refused)
}

func (r *round) handOver(rule *rule, t *target, p *passing) error {
	now := r.clock.Now()
	input, err := t.input(p.event, pattern.Delivery{RuleARN: rule.ref.arn().String(), RuleName: rule.ref.name, Ingested: now})
	if err != nil {
		r.noInput(rule, t, p.cause, err)
		return nil
	}
	next := Cause{EventID: p.cause.EventID, Depth: p.cause.Depth + 1}
	switch t.kind() {
	case logGroup:
		r.toLog(rule, t, p.event, input, now)
	case topic:
		if r.config.Publish == nil {
			return ErrNoTarget
		}
		return r.config.Publish(r.tx, rule.ref.arn(), t.arn, string(input), next)
	case function:
		return r.invoke(rule, t, input, next)
	case apiDestination:
		return r.request(rule, t, p.event, input, next)
	default:
		return ErrNoTarget
	}
	return nil
}

func (r *round) noInput(rule *rule, t *target, cause Cause, err error) {
	r.log.Warn("an event gives its target no input", "rule", rule.ref.arn().String(), "target", t.arn.String(), "event", cause.EventID, "error", err)
}

func (r *round) invoke(rule *rule, t *target, input []byte, cause Cause) error {
	url := r.config.Functions[*t.given.Arn]
	if url == "" {
		return ErrNoTarget
	}
	return r.enqueue(rule, t, cause, Delivery{
		URL: url, Body: input,
		Header: map[string]string{"Content-Type": "application/json", "X-Amz-Invocation-Type": "Event"},
	})
}

func (r *round) request(rule *rule, t *target, event, input []byte, cause Cause) error {
	d := r.known.destinationByARN(*t.given.Arn)
	if d == nil {
		return ErrNoTarget
	}
	url, header, err := d.request(t.given.HttpParameters, event)
	if err != nil {
		r.noInput(rule, t, cause, err)
		return nil
	}
	return r.enqueue(rule, t, cause, Delivery{
		Method: string(d.method), URL: url, Header: header, Body: input,
		Connection: d.connection, Lane: d.arn().String(), Rate: int(d.rate), Timeout: destinationTimeout,
	})
}

// enqueue completes a delivery and writes it down.
func (r *round) enqueue(rule *rule, t *target, cause Cause, d Delivery) error {
	if r.config.Enqueue == nil {
		return ErrNoTarget
	}
	d.ID = uuid.NewSHA1(namespace, []byte(cause.EventID+" "+rule.ref.arn().String()+" "+*t.given.Id)).String()
	d.MaxRetries, d.MaxAge = t.retry()
	d.Account, d.Region = rule.ref.bus.account, rule.ref.bus.region
	d.Rule, d.Target, d.Cause = rule.ref.arn().String(), t.arn.String(), cause
	return r.config.Enqueue(r.tx, d)
}

// toLog keeps an event for its log group, at the event's time. Each rule has a stream of its own.
func (r *round) toLog(rule *rule, t *target, event, input []byte, now time.Time) {
	group := t.arn
	group.Resource = groupOf(group.Resource)
	at, message := logEvent(t, event, input, now)
	stream := uuid.NewSHA1(namespace, []byte(rule.ref.arn().String())).String()
	if r.logs[group] == nil {
		r.logs[group] = map[string][]LogEvent{}
	}
	if r.logs[group][stream] == nil {
		r.order = append(r.order, logStream{group, stream})
	}
	r.logs[group][stream] = append(r.logs[group][stream], LogEvent{at, message})
}

// flush hands over what goes to log groups.
func (r *round) flush() error {
	for _, s := range r.order {
		if r.config.PutLogs == nil {
			return nil
		}
		err := r.config.PutLogs(r.tx, s.group, s.name, r.logs[s.group][s.name])
		if isMissing(err) {
			r.log.Warn("events were not delivered", "target", s.group.String(), "events", len(r.logs[s.group][s.name]), "error", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// namespace is what ids that are made of others are told apart by from those of other programs.
var namespace = uuid.MustParse("5a2f1c1e-7c0f-4b6e-9f43-0c5d0c2f7b11")
