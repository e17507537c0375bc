package front

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"vigil/internal/call"
)

// Perform makes a call from inside: a service of Vigil calls an operation of another, as it would in AWS. The input is validated, the
// caller has to be allowed, and the call is on record before Perform returns, as that of any client. The record's sourceIPAddress and
// userAgent are the calling service's name, as AWS writes them.
//
// by says who calls, and names the calling service in Service, which is the record's invokedBy. There are two kinds, as in AWS: while it
// serves a user's request a service calls as that user (IAM user guide, "Forward access sessions"): by is the user's principal. For what
// it does by itself it is the caller: by is of type AWSService, and SourceARN is the resource for which it calls, whose account has the record.
//
// in is a pointer to the operation's input, which the call may fill in. An error of the API's is a *call.Error. requestID is that of the
// record. Perform waits for the commit of the record: it must not be called within a transaction, nor by an effect.
func (d *Door) Perform(ctx context.Context, by call.Principal, region, service, operation string, in any) (out any, requestID string, err error) {
	req, err := d.router.within(service, operation)
	if err != nil {
		return nil, "", err
	}
	if by.Service == "" {
		return nil, "", fmt.Errorf("front: %s:%s is called from inside by no service", service, operation)
	}
	s := d.scratch.Get().(*scratch)
	defer d.putBack(s)
	now := d.clock.Now()
	c := &call.Call{
		Principal: by,
		Service:   req.service.Name,
		Operation: operation,
		Region:    region,
		Time:      now,
		RequestID: uuid.NewString(),
		EventID:   call.NewEventID(now),
		SourceIP:  by.Service,
		UserAgent: by.Service,
	}
	if err = req.operation.wire.Validate(in); err != nil {
		err = decodeError(err)
	} else {
		out, err = d.do(ctx, c, req, in)
	}
	if err != nil {
		c.DropEffect()
	}
	if err = d.commit(ctx, c, req, s, in, out, err); err != nil {
		var e *call.Error
		if !errors.As(err, &e) {
			d.log.Error("A call from inside failed.", "request", c.RequestID, "error", err)
		}
		return nil, c.RequestID, err
	}
	return out, c.RequestID, nil
}

// within finds an operation that is built, by name.
func (t *router) within(service, operation string) (*request, error) {
	for _, s := range t.services {
		if op := s.operations[operation]; s.Name == service && op != nil {
			return &request{service: s, operation: op, name: operation}, nil
		}
	}
	return nil, fmt.Errorf("front: there is no operation %s:%s", service, operation)
}
