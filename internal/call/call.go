// Package call is the thread through everything: one API call, with who makes it, when, what it touched,
// what it may do, and what it wants to change.
//
// The door begins a call, a service's handler adds to it and returns a value, and the door journals and answers it. A handler
// never writes to a socket, to the database or to the record.
package call

import (
	"slices"
	"time"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/store"
)

// Call is one API call. It belongs to one goroutine.
type Call struct {
	Principal Principal
	Service   string // the service's signing name: kms
	Operation string // the operation's name in the API: Encrypt
	Region    string // the region called
	Time      time.Time
	RequestID string
	EventID   string
	SourceIP  string
	UserAgent string
	Referer   string
	TLS       *vigil.TLSDetails // nil over plain HTTP

	resources []vigil.Resource
	response  []pair
	notes     []pair
	effect    func(store.Tx) error
	keys      []string // what conditions are told in the course of Allow
	allowed   bool     // Allow has said yes
	also      []func(vigil.Record) vigil.Record
}

// pair is a member of a JSON object: a text, or an object if it has members.
type pair struct {
	name, value string
	members     []pair
}

// Account is the caller's account, in which the call happens.
func (c *Call) Account() string { return c.Principal.Account }

// ARN is the ARN of a resource of the called service in the caller's account and region.
func (c *Call) ARN(resource string) arn.ARN {
	return arn.New(c.Service, c.Region, c.Principal.Account, resource)
}

// Touch notes a resource that the call is about, for the record. A resource is noted once; order is kept.
// typ is CloudTrail's name of the kind, such as AWS::KMS::Key.
func (c *Call) Touch(typ string, resource arn.ARN) { c.TouchOf(typ, resource, resource.Account) }

// TouchOf is Touch for a resource whose ARN does not say whose it is, as those of S3 do not.
func (c *Call) TouchOf(typ string, resource arn.ARN, account string) {
	c.touch(vigil.Resource{AccountID: account, Type: typ, ARN: resource.String()})
}

// TouchAll notes all resources whose ARN begins so.
func (c *Call) TouchAll(typ string, prefix arn.ARN) {
	c.touch(vigil.Resource{Type: typ, ARNPrefix: prefix.String()})
}

// TouchType notes that the call is about resources of a kind that have no ARNs, such as AWS::CloudWatch::Metric.
func (c *Call) TouchType(typ string) { c.touch(vigil.Resource{Type: typ}) }

func (c *Call) touch(touched vigil.Resource) {
	for _, r := range c.resources {
		if r.ARN == touched.ARN && r.ARNPrefix == touched.ARNPrefix {
			return
		}
	}
	c.resources = append(c.resources, touched)
}

// Note adds a member to the record's additionalEventData. The value must not be secret.
func (c *Call) Note(name, value string) { c.notes = append(c.notes, pair{name: name, value: value}) }

// NoteObject is Note for an object of texts: names and values in turn, at least one of each.
func (c *Call) NoteObject(name string, namesAndValues ...string) {
	var members []pair
	for member := range slices.Chunk(namesAndValues, 2) {
		members = append(members, pair{name: member[0], value: member[1]})
	}
	c.notes = append(c.notes, pair{name: name, members: members})
}

// Responded sets a member of the record's responseElements. An operation that says nothing here is
// recorded with its whole output.
func (c *Call) Responded(name, value string) {
	c.response = append(c.response, pair{name: name, value: value})
}

// Effect has fn run in the transaction that records the call. It checks again, in that transaction, all that it depends on:
// the call is answered and recorded with the error that it returns, and then nothing that it did remains.
// It runs on the committer's goroutine: it uses its Tx and memory, and waits for nothing.
// A call has at most one effect.
func (c *Call) Effect(fn func(store.Tx) error) {
	if c.effect != nil {
		panic("call: a call has one effect")
	}
	c.effect = fn
}

// Also adds a record to those that a call leaves when it succeeds: of the same call in another region, or of what it makes the
// service do by itself. It is made from the call's own record, in the commit that makes both durable, and must not
// share the other's eventID. A call that fails leaves its own record only.
func (c *Call) Also(record func(own vigil.Record) vigil.Record) { c.also = append(c.also, record) }

// What the door needs to finish the call.

// PendingEffect is what Effect was given, or nil.
func (c *Call) PendingEffect() func(store.Tx) error { return c.effect }

// DropEffect forgets the effect, for a call whose handler failed.
func (c *Call) DropEffect() { c.effect = nil }

// AlsoRecords are what Also was told to make of the call's own record.
func (c *Call) AlsoRecords(own vigil.Record) []vigil.Record {
	if len(c.also) == 0 {
		return nil
	}
	records := make([]vigil.Record, len(c.also))
	for i, record := range c.also {
		records[i] = record(own)
	}
	return records
}

// Recipient is the account that has the call's own record: the caller's, or, as a service is of none, that of the resource for which it calls.
func (c *Call) Recipient() string {
	if account := c.Principal.Account; account != "" || c.Principal.SourceARN == "" {
		return account
	}
	source, _ := arn.Parse(c.Principal.SourceARN)
	return source.Account
}

// Owners are the other accounts whose resources the call touched, once something allowed it to: who may not even know whether
// there is such an account or such a resource has no owner to tell.
func (c *Call) Owners() (owners []string) {
	if !c.allowed {
		return nil
	}
	recipient := c.Recipient()
	for _, r := range c.resources {
		if r.AccountID != recipient && r.AccountID != "" && !slices.Contains(owners, r.AccountID) {
			owners = append(owners, r.AccountID)
		}
	}
	return owners
}

// Resources are those that the call touched.
func (c *Call) Resources() []vigil.Resource { return c.resources }

// ResponseElements is a JSON object of what Responded was told, or nil.
func (c *Call) ResponseElements() []byte { return object(c.response) }

// AdditionalEventData is a JSON object of what Note was told, or nil.
func (c *Call) AdditionalEventData() []byte { return object(c.notes) }
