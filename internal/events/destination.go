package events

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/pattern"
	"vigil/internal/store"
)

// defaultRate is an API destination's invocation rate per second where it was given none.
const defaultRate = 300

// destinationTimeout is how long an API destination may take to answer (User Guide, "API destinations").
const destinationTimeout = 5 * time.Second

// destination is an API destination as it was committed. It is not changed.
type destination struct {
	ref         namedRef
	id          string // the last part of its ARN
	description string
	connection  string // ARN
	endpoint    string // URL of scheme https; a * in its path is filled in by the target
	method      types.ApiDestinationHttpMethod
	rate        int32 // invocations a second
	version     int64 // counts its changes

	created, modified time.Time
}

func (d *destination) arn() arn.ARN {
	return arn.New("events", d.ref.region, d.ref.account, "api-destination/"+d.ref.name+"/"+d.id)
}

// destinationState is INACTIVE while the connection is not authorized.
func (e *Events) destinationState(d *destination) types.ApiDestinationState {
	if c := e.known.connectionByARN(d.connection); c != nil && c.state() == types.ConnectionStateAuthorized {
		return types.ApiDestinationStateActive
	}
	return types.ApiDestinationStateInactive
}

// CreateApiDestination makes an HTTP endpoint that rules can have as a target.
func (e *Events) CreateApiDestination(ctx context.Context, c *call.Call, in *eventbridge.CreateApiDestinationInput) (*eventbridge.CreateApiDestinationOutput, error) {
	if in.InvocationRateLimitPerSecond == nil {
		in.InvocationRateLimitPerSecond = new(int32(defaultRate))
	}
	now := time.UnixMilli(c.Time.UnixMilli())
	d := &destination{ref: namedRef{c.Account(), c.Region, *in.Name}, id: uuid.NewString(), description: text(in.Description),
		connection: *in.ConnectionArn, endpoint: *in.InvocationEndpoint, method: in.HttpMethod, rate: *in.InvocationRateLimitPerSecond,
		version: 1, created: now, modified: now}
	if err := allow(c, "events:CreateApiDestination", d.arn()); err != nil {
		return nil, err
	}
	if err := e.checkDestination(d); err != nil {
		return nil, err
	}
	exists := call.Errorf("ResourceAlreadyExistsException", "An api-destination '%s' already exists.", d.ref.name)
	if e.known.destination(d.ref) != nil {
		return nil, exists
	}
	c.Effect(func(tx store.Tx) error {
		if err := e.roomFor(tx, "events_destination", d.ref); err != nil {
			return err
		}
		if err := hasConnection(tx, d); err != nil {
			return err
		}
		made, err := tx.Exec(`INSERT INTO events_destination (account, region, name, id, description, connection, endpoint, method, rate, version,
			created, modified) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING`,
			d.ref.account, d.ref.region, d.ref.name, d.id, d.description, d.connection, d.endpoint, string(d.method), d.rate, d.version, now.UnixMilli())
		if err != nil {
			return err
		}
		if made == 0 {
			return exists
		}
		tx.OnCommit(func() { e.known.putDestination(d) })
		return nil
	})
	return &eventbridge.CreateApiDestinationOutput{ApiDestinationArn: new(d.arn().String()), ApiDestinationState: e.destinationState(d),
		CreationTime: &d.created, LastModifiedTime: &d.modified}, nil
}

// UpdateApiDestination changes what it is given of an API destination. What is waiting to be delivered stays as it was.
func (e *Events) UpdateApiDestination(ctx context.Context, c *call.Call, in *eventbridge.UpdateApiDestinationInput) (*eventbridge.UpdateApiDestinationOutput, error) {
	old, err := e.ownDestination(c, "events:UpdateApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	d := *old
	d.version, d.modified = old.version+1, time.UnixMilli(c.Time.UnixMilli())
	for _, m := range []struct{ place, given *string }{
		{&d.description, in.Description}, {&d.connection, in.ConnectionArn}, {&d.endpoint, in.InvocationEndpoint},
	} {
		if m.given != nil {
			*m.place = *m.given
		}
	}
	if in.HttpMethod != "" {
		d.method = in.HttpMethod
	}
	if in.InvocationRateLimitPerSecond != nil {
		d.rate = *in.InvocationRateLimitPerSecond
	}
	if err := e.checkDestination(&d); err != nil && (in.ConnectionArn != nil || in.InvocationEndpoint != nil) {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if in.ConnectionArn != nil {
			if err := hasConnection(tx, &d); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`UPDATE events_destination SET description = $5, connection = $6, endpoint = $7, method = $8, rate = $9, version = $10,
			modified = $11 WHERE account = $1 AND region = $2 AND id = $3 AND version = $4`,
			old.ref.account, old.ref.region, old.id, old.version, d.description, d.connection, d.endpoint, string(d.method), d.rate, d.version,
			d.modified.UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			return call.Errorf("ConcurrentModificationException", "An api-destination '%s' has been modified concurrently.", old.ref.name)
		}
		tx.OnCommit(func() { e.known.putDestination(&d) })
		return nil
	})
	return &eventbridge.UpdateApiDestinationOutput{ApiDestinationArn: new(d.arn().String()), ApiDestinationState: e.destinationState(&d),
		CreationTime: &d.created, LastModifiedTime: &d.modified}, nil
}

// DescribeApiDestination tells of an API destination.
func (e *Events) DescribeApiDestination(ctx context.Context, c *call.Call, in *eventbridge.DescribeApiDestinationInput) (*eventbridge.DescribeApiDestinationOutput, error) {
	d, err := e.ownDestination(c, "events:DescribeApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	return &eventbridge.DescribeApiDestinationOutput{
		Name: &d.ref.name, ApiDestinationArn: new(d.arn().String()), ApiDestinationState: e.destinationState(d), Description: given(d.description),
		ConnectionArn: &d.connection, InvocationEndpoint: &d.endpoint, HttpMethod: d.method, InvocationRateLimitPerSecond: &d.rate,
		CreationTime: &d.created, LastModifiedTime: &d.modified,
	}, nil
}

// ListApiDestinations lists API destinations by name, 100 at a time unless the caller says fewer.
func (e *Events) ListApiDestinations(ctx context.Context, c *call.Call, in *eventbridge.ListApiDestinationsInput) (*eventbridge.ListApiDestinationsOutput, error) {
	if err := allow(c, "events:ListApiDestinations", c.ARN("api-destination/*")); err != nil {
		return nil, err
	}
	all := e.known.destinationsOf(c.Account(), c.Region, func(d *destination) bool {
		return in.ConnectionArn == nil || d.connection == *in.ConnectionArn
	})
	part, next, err := page(all, func(d *destination) string { return d.ref.name }, in.NamePrefix, in.NextToken, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.ListApiDestinationsOutput{ApiDestinations: []types.ApiDestination{}, NextToken: next}
	for _, d := range part {
		out.ApiDestinations = append(out.ApiDestinations, types.ApiDestination{
			Name: &d.ref.name, ApiDestinationArn: new(d.arn().String()), ApiDestinationState: e.destinationState(d),
			ConnectionArn: &d.connection, InvocationEndpoint: &d.endpoint, HttpMethod: d.method, InvocationRateLimitPerSecond: &d.rate,
			CreationTime: &d.created, LastModifiedTime: &d.modified,
		})
	}
	return out, nil
}

// DeleteApiDestination removes an API destination. Rules keep it as a target that gets nothing.
func (e *Events) DeleteApiDestination(ctx context.Context, c *call.Call, in *eventbridge.DeleteApiDestinationInput) (*eventbridge.DeleteApiDestinationOutput, error) {
	d, err := e.ownDestination(c, "events:DeleteApiDestination", in.Name)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM events_destination WHERE account = $1 AND region = $2 AND id = $3`, d.ref.account, d.ref.region, d.id)
		if err != nil {
			return err
		}
		if n == 0 {
			return noDestination(d.ref.name)
		}
		tx.OnCommit(func() { e.known.removeDestination(d.ref) })
		return nil
	})
	return &eventbridge.DeleteApiDestinationOutput{}, nil
}

// ownDestination is the API destination that a caller names, if the caller may do that with it.
func (e *Events) ownDestination(c *call.Call, action string, name *string) (*destination, error) {
	d := e.known.destination(namedRef{c.Account(), c.Region, *name})
	if d == nil {
		if err := allow(c, action, c.ARN("api-destination/"+*name)); err != nil {
			return nil, err
		}
		return nil, noDestination(*name)
	}
	return d, allow(c, action, d.arn())
}

func noDestination(name string) error {
	return call.Errorf("ResourceNotFoundException", "Failed to describe the api-destination(s). An api-destination '%s' does not exist.", name)
}

func (e *Events) checkDestination(d *destination) error {
	if err := checkEndpoint("InvocationEndpoint", d.endpoint); err != nil {
		return err
	}
	c := e.known.connectionByARN(d.connection)
	if c == nil || c.ref.account != d.ref.account || c.ref.region != d.ref.region {
		return lacksConnection(d)
	}
	return nil
}

func lacksConnection(d *destination) error {
	return call.Errorf("ResourceNotFoundException", "Connection '%s' does not exist.", d.connection)
}

// hasConnection checks, in the transaction, that the connection is there.
func hasConnection(tx store.Tx, d *destination) error {
	n, err := count(tx, `SELECT COUNT(*) FROM events_connection WHERE account = $1 AND region = $2 AND id = $3`,
		d.ref.account, d.ref.region, d.connection[strings.LastIndexByte(d.connection, '/')+1:])
	if err == nil && n == 0 {
		return lacksConnection(d)
	}
	return err
}

// roomFor refuses one more in a table than EventBridge allows in an account and region.
func (e *Events) roomFor(tx store.Tx, table string, ref namedRef) error {
	n, err := count(tx, `SELECT COUNT(*) FROM `+table+` WHERE account = $1 AND region = $2`, ref.account, ref.region)
	if err == nil && n >= e.limit.named {
		return limitExceeded()
	}
	return err
}

// request is an invocation's URL and header: those of the destination, with what the target's HttpParameters add. Any of their values may
// be a JSON path into the event. Path parameters fill in the endpoint's * in order; one too many is left out, a * without one stays. What is
// filled in remains in its place in the path: an event that would make a segment . or .. of it fails.
func (d *destination) request(p *types.HttpParameters, event []byte) (endpoint string, header map[string]string, err error) {
	header = map[string]string{"Content-Type": "application/json; charset=utf-8"}
	endpoint = d.endpoint
	if p != nil {
		for name, value := range p.HeaderParameters {
			if name = http.CanonicalHeaderKey(name); !isReserved[name] {
				header[name] = strings.TrimSpace(strings.Map(printable, dynamic(value, event)))
			}
		}
		if endpoint, err = fill(endpoint, p, event); err != nil {
			return "", nil, err
		}
	}
	header["User-Agent"] = "Amazon/EventBridge/ApiDestinations"
	header["Range"] = "bytes=0-1048575"
	header["Accept-Encoding"] = "gzip,deflate"
	return endpoint, header, nil
}

// isReserved are headers that a target can't set: those that make up the connection, and those that EventBridge sets.
var isReserved = map[string]bool{
	"Host": true, "Content-Length": true, "Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Via": true, "Expect": true, "User-Agent": true, "Range": true, "Accept-Encoding": true,
}

// printable keeps a value of an event from being more than one header.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

var errDots = errors.New("events: a path parameter is . or .., which would lead elsewhere")

func fill(endpoint string, p *types.HttpParameters, event []byte) (string, error) {
	path, query, hasQuery := strings.Cut(endpoint, "?")
	for _, value := range p.PathParameterValues {
		before, after, ok := strings.Cut(path, "*")
		if !ok {
			break
		}
		// What is filled in has no * any more: it is escaped.
		path = before + strings.ReplaceAll(url.PathEscape(dynamic(value, event)), "*", "%2A") + after
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return "", errDots
		}
	}
	if len(p.QueryStringParameters) > 0 {
		values, _ := url.ParseQuery(query)
		for name, value := range p.QueryStringParameters {
			values.Set(name, dynamic(value, event))
		}
		query, hasQuery = values.Encode(), true
	}
	if hasQuery {
		path += "?" + query
	}
	return path, nil
}

// dynamic is a value of HttpParameters, or what it leads to in the event when it is a JSON path: a string's text, other values as JSON, and
// nothing where there is none (User Guide, "Amazon EventBridge targets").
func dynamic(value string, event []byte) string {
	if !strings.HasPrefix(value, "$.") && !strings.HasPrefix(value, "$[") && value != "$" {
		return value
	}
	part, ok := pattern.Select(value, event)
	if !ok {
		return ""
	}
	var s string
	if part[0] == '"' && jsonv2.Unmarshal(part, &s) == nil {
		return s
	}
	return string(part)
}
