package events

import (
	"context"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// CreateEventBus makes an event bus.
func (e *Events) CreateEventBus(ctx context.Context, c *call.Call, in *eventbridge.CreateEventBusInput) (*eventbridge.CreateEventBusOutput, error) {
	switch {
	case in.EventSourceName != nil || strings.HasPrefix(*in.Name, "aws."):
		return nil, call.NotBuilt("A bus of a partner event source")
	case in.KmsKeyIdentifier != nil:
		return nil, call.NotBuilt("KmsKeyIdentifier of an event bus")
	case in.LogConfig != nil:
		return nil, call.NotBuilt("LogConfig of an event bus")
	case in.DeadLetterConfig != nil:
		return nil, call.NotBuilt("DeadLetterConfig of an event bus")
	case strings.Contains(*in.Name, "/"):
		return nil, invalid("Event bus name must not contain '/'.")
	}
	b := &bus{ref: busRef{c.Account(), c.Region, *in.Name}, description: text(in.Description), created: time.UnixMilli(c.Time.UnixMilli())}
	if err := allow(c, "events:CreateEventBus", b.ref.arn()); err != nil {
		return nil, err
	}
	if err := checkNewTags(c, b.ref.arn(), in.Tags); err != nil {
		return nil, err
	}
	exists := call.Errorf("ResourceAlreadyExistsException", "Event bus %s already exists.", b.ref.name)
	if e.known.bus(b.ref) != nil {
		return nil, exists
	}
	c.Effect(func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM events_bus WHERE account = $1 AND region = $2`, b.ref.account, b.ref.region)
		if err != nil {
			return err
		}
		if n+1 >= e.limit.buses { // with the default one
			return limitExceeded()
		}
		made, err := tx.Exec(`INSERT INTO events_bus (account, region, name, description, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			b.ref.account, b.ref.region, b.ref.name, b.description, b.created.UnixMilli())
		if err != nil {
			return err
		}
		if made == 0 {
			return exists
		}
		if err := putTags(tx, b.ref.arn(), in.Tags); err != nil {
			return err
		}
		tx.OnCommit(func() { e.known.putBus(b) })
		return nil
	})
	return &eventbridge.CreateEventBusOutput{EventBusArn: new(b.ref.arn().String()), Description: in.Description}, nil
}

// DescribeEventBus tells of a bus: the default one when none is named.
func (e *Events) DescribeEventBus(ctx context.Context, c *call.Call, in *eventbridge.DescribeEventBusInput) (*eventbridge.DescribeEventBusOutput, error) {
	ref, err := e.ownBus(c, "events:DescribeEventBus", in.Name)
	if err != nil {
		return nil, err
	}
	b := e.known.bus(ref)
	if b == nil {
		return nil, noBus(ref.name)
	}
	return &eventbridge.DescribeEventBusOutput{Name: &b.ref.name, Arn: new(b.ref.arn().String()), Description: given(b.description),
		CreationTime: b.made(), LastModifiedTime: b.made()}, nil
}

// made is when the bus was created, nil for the default one.
func (b *bus) made() *time.Time {
	if b.created.IsZero() {
		return nil
	}
	return &b.created
}

// ListEventBuses lists buses by name, 100 at a time unless the caller says fewer.
func (e *Events) ListEventBuses(ctx context.Context, c *call.Call, in *eventbridge.ListEventBusesInput) (*eventbridge.ListEventBusesOutput, error) {
	if err := allow(c, "events:ListEventBuses", c.ARN("event-bus/*")); err != nil {
		return nil, err
	}
	buses, next, err := page(e.known.busesOf(c.Account(), c.Region), func(b *bus) string { return b.ref.name }, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListEventBusesOutput{EventBuses: []types.EventBus{}, NextToken: next}
	for _, b := range buses {
		out.EventBuses = append(out.EventBuses, types.EventBus{Name: &b.ref.name, Arn: new(b.ref.arn().String()),
			Description: given(b.description), CreationTime: b.made(), LastModifiedTime: b.made()})
	}
	return out, nil
}

// DeleteEventBus removes a bus that has no rules. A bus that does not exist is no error.
func (e *Events) DeleteEventBus(ctx context.Context, c *call.Call, in *eventbridge.DeleteEventBusInput) (*eventbridge.DeleteEventBusOutput, error) {
	ref, err := e.ownBus(c, "events:DeleteEventBus", in.Name)
	if err != nil {
		return nil, err
	}
	if ref.name == defaultBus {
		return nil, invalid("Cannot delete event bus default.")
	}
	c.Effect(func(tx store.Tx) error {
		n, err := count(tx, `SELECT COUNT(*) FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3`, ref.account, ref.region, ref.name)
		if err != nil {
			return err
		}
		if n > 0 {
			return invalid("Event bus %s can't be deleted since it has rules.", ref.name)
		}
		if _, err := tx.Exec(`DELETE FROM events_bus WHERE account = $1 AND region = $2 AND name = $3`, ref.account, ref.region, ref.name); err != nil {
			return err
		}
		if err := forgetTags(tx, ref.arn()); err != nil {
			return err
		}
		tx.OnCommit(func() { e.known.removeBus(ref) })
		return nil
	})
	return &eventbridge.DeleteEventBusOutput{}, nil
}

// ownBus is the bus that a caller means by a name, an ARN or nothing, if the caller may do that with it. It need not exist.
func (e *Events) ownBus(c *call.Call, action string, name *string) (busRef, error) {
	ref := busRef{c.Account(), c.Region, defaultBus}
	if name != nil && strings.HasPrefix(*name, "arn:") {
		a, err := arn.Parse(*name)
		if err != nil || a.Service != "events" || a.Type() != "event-bus" {
			return ref, invalid("Parameter EventBusName is not valid. Reason: Provided Arn is not in correct format.")
		}
		if a.Account != ref.account || a.Region != ref.region {
			return ref, call.NotBuilt("Naming an event bus of another account or Region")
		}
		ref.name = a.ID()
	} else if name != nil {
		ref.name = *name
	}
	return ref, allow(c, action, ref.arn())
}

func noBus(name string) error {
	return call.Errorf("ResourceNotFoundException", "Event bus %s does not exist.", name)
}

// hasBus checks, in the transaction, that a bus is there.
func hasBus(tx store.Tx, ref busRef) error {
	if ref.name == defaultBus {
		return nil
	}
	n, err := count(tx, `SELECT COUNT(*) FROM events_bus WHERE account = $1 AND region = $2 AND name = $3`, ref.account, ref.region, ref.name)
	if err == nil && n == 0 {
		return noBus(ref.name)
	}
	return err
}

// allow asks whether the caller may do an action with a resource.
func allow(c *call.Call, action string, resource arn.ARN) error {
	return c.Allow(action, policy.Resource{ARN: resource.String(), Account: resource.Account}, nil)
}

// maxPage is how many items a list gives at most.
const maxPage = 100

// page is the part of items, which are in the order of their names, that follows a token, and the token of the rest.
func page[T any](items []T, name func(T) string, prefix, token *string, limit *int32) (part []T, next *string, err error) {
	after := ""
	if token != nil {
		last, err := base64.RawURLEncoding.Strict().DecodeString(*token)
		if err != nil || len(last) == 0 || !utf8.Valid(last) {
			return nil, nil, invalid("Parameter NextToken is not valid.")
		}
		after = string(last)
	}
	most := maxPage
	if limit != nil {
		most = min(int(*limit), maxPage)
	}
	for _, one := range items {
		if n := name(one); n <= after && after != "" || !strings.HasPrefix(n, text(prefix)) {
			continue
		}
		if len(part) == most {
			return part, new(base64.RawURLEncoding.EncodeToString([]byte(name(part[most-1])))), nil
		}
		part = append(part, one)
	}
	return part, nil, nil
}
