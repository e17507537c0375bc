// Package front is the door: every request comes in here and is answered here.
//
// A request is read, routed to an operation, authenticated, decoded and validated; the operation's function is called;
// what it did and what it says are journaled; and only then is the client answered. Handlers return values. That is
// the whole story, and ServeHTTP tells it in that order.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/front/wire"
	"vigil/internal/journal"
)

// Config is what the door needs of the house.
type Config struct {
	Journal  *journal.Journal
	Clock    clock.Clock
	Services []call.Service
	REST     call.REST // the API of methods on resources; without a Route there is none
	// Hosts are names of the server's under which REST's resources have names of their own: bucket.host.
	Hosts []string
	// Secret looks an access key up: its secret and whose it is. sessionToken is empty for a long-term key. Its error is
	// call.ErrExpiredToken for a session that is over, and any other for what is not known.
	Secret func(accessKeyID, sessionToken string) (secret string, p call.Principal, err error)
	// Region is where calls happen that are not signed, and so for no region.
	Region string
	// AsksForData says whether a trail of the account asks for the data events of a type of resources. Nil is never.
	AsksForData func(account, resourceType string) bool
	// Observe is told how long each call of KMS took, after it was answered. It may be nil.
	Observe func(c *call.Call, took time.Duration)
	Log     *slog.Logger
}

// Door is an http.Handler that answers every API.
type Door struct {
	journal  *journal.Journal
	clock    clock.Clock
	log      *slog.Logger
	secret   func(string, string) (string, call.Principal, error)
	region   string
	observe  func(*call.Call, time.Duration)
	asks     func(account, resourceType string) bool
	router   router
	rest     *rest
	keys     signingKeys
	refusals refusals
	scratch  sync.Pool
}

// scratch is the memory that a request works in. It goes back to the pool when the answer is written.
type scratch struct{ body, plain, record, answer []byte }

// New binds the services' operations to their models. An operation whose types do not fit its model is an error.
func New(cfg Config) (*Door, error) {
	d := &Door{
		journal:  cfg.Journal,
		clock:    cfg.Clock,
		log:      cfg.Log,
		secret:   cfg.Secret,
		region:   cfg.Region,
		observe:  cfg.Observe,
		asks:     cfg.AsksForData,
		refusals: refusals{log: cfg.Log},
		rest:     newREST(cfg.REST, cfg.Hosts),
		scratch:  sync.Pool{New: func() any { return new(scratch) }},
	}
	for _, s := range cfg.Services {
		if err := d.router.add(s); err != nil {
			return nil, fmt.Errorf("front: %s: %w", s.Name, err)
		}
	}
	return d, nil
}

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.rest.isFor(r) {
		d.serveREST(w, r)
		return
	}
	begun := time.Now()
	s := d.scratch.Get().(*scratch)
	defer d.putBack(s)
	requestID := uuid.NewString()

	body, err := readBody(w, r, s.body)
	s.body = body[:0]
	if err != nil {
		d.refusals.note(r, err)
		d.answer(w, s, &request{protocol: guessProtocol(r)}, requestID, nil, err)
		return
	}
	req, err := d.router.route(r, body)
	if err != nil {
		d.refusals.note(r, err)
		d.answer(w, s, req, requestID, nil, err)
		return
	}
	principal, region, err := d.authenticate(r, req, body)
	if err != nil {
		d.refusals.note(r, err)
		d.answer(w, s, req, requestID, nil, err)
		return
	}
	if req.service.Global != "" {
		region = req.service.Global
	}

	now := d.clock.Now()
	c := &call.Call{
		Principal: principal,
		Service:   req.service.Name,
		Operation: req.name,
		Region:    region,
		Time:      now,
		RequestID: requestID,
		EventID:   call.NewEventID(now),
		SourceIP:  sourceIP(r),
		UserAgent: r.UserAgent(),
		Referer:   r.Referer(),
		TLS:       tlsDetails(r),
	}
	in, out, err := d.perform(r.Context(), c, req, s, body)
	if err != nil && isNobodys(c) {
		d.refusals.note(r, err)
		d.answer(w, s, req, requestID, nil, err)
		return
	}
	if err != nil {
		c.DropEffect()
	}
	err = d.commit(r.Context(), c, req, s, in, out, err)
	d.answer(w, s, req, requestID, out, err)
	if d.observe != nil && c.Service == "kms" {
		d.observe(c, time.Since(begun))
	}
}

// perform decodes the input and calls the operation. in is nil when the input was not of the operation's form.
func (d *Door) perform(ctx context.Context, c *call.Call, req *request, s *scratch, body []byte) (in, out any, err error) {
	op := req.operation
	if op == nil {
		return nil, nil, notBuilt(req)
	}
	if req.gzip {
		if body, err = inflate(s.plain[:0], body, bodyLimit(req.name)); err != nil {
			return nil, nil, err
		}
		s.plain = body
	}
	in = op.NewInput()
	if err := req.protocol.decode(req, body, in); err != nil {
		return nil, nil, decodeError(err)
	}
	if err := op.wire.Validate(in); err != nil {
		return nil, nil, decodeError(err)
	}
	out, err = d.do(ctx, c, req, in)
	return in, out, err
}

// do calls the operation. One that panics is a failure of the server's own.
func (d *Door) do(ctx context.Context, c *call.Call, req *request, in any) (out any, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%s:%s panicked: %v\n%s", c.Service, c.Operation, p, debug.Stack())
		}
	}()
	return req.operation.Do(ctx, c, in)
}

// commit makes the call's effect and its record durable. It returns what the client is told: err, or the effect's
// own error, or that the call could not be recorded.
func (d *Door) commit(ctx context.Context, c *call.Call, req *request, s *scratch, in, out any, err error) error {
	if op := req.operation; op != nil && op.Data && !d.asked(c, op.DataType) {
		return err
	}
	answer := err
	failed := d.journal.Commit(ctx, c.PendingEffect(), func(effectErr error) []journal.Record {
		if effectErr != nil {
			answer = d.apiError(req, effectErr)
		}
		own := recordOf(c, req, in, out, d.apiError(req, answer))
		var more []vigil.Record
		if answer == nil {
			more = c.AlsoRecords(own)
		}
		more = append(more, share(c, &own)...)
		s.record = own.AppendJSON(s.record[:0])
		records := []journal.Record{{Time: c.Time, Data: s.record}}
		for i := range more {
			records = append(records, journal.Record{Time: c.Time, Data: more[i].AppendJSON(nil)})
		}
		return records
	})
	switch {
	case failed == nil:
		return answer
	case errors.Is(failed, journal.ErrClosed), errors.Is(failed, journal.ErrNotRecorded), errors.Is(failed, journal.ErrInDoubt):
		return fmt.Errorf("%s:%s is not answered, as it could not be recorded: %w", c.Service, c.Operation, failed)
	}
	return failed
}

// asked says that a call is on record though it is a data event: a trail asks for it.
func (d *Door) asked(c *call.Call, resourceType string) bool {
	return resourceType != "" && d.asks != nil && d.asks(c.Account(), resourceType)
}

// answer writes what the client is told.
func (d *Door) answer(w http.ResponseWriter, s *scratch, req *request, requestID string, out any, err error) {
	h := w.Header()
	h["X-Amzn-Requestid"] = []string{requestID}
	e := d.apiError(req, err)
	status := req.protocol.head(h, req, e)
	if e != nil {
		if e.Cause != nil {
			d.log.Error("A call failed inside.", "request", requestID, "error", e.Cause)
		}
		s.answer = req.protocol.appendError(s.answer[:0], req, e, requestID)
	} else {
		s.answer = req.protocol.appendOutput(s.answer[:0], req, out, requestID)
	}
	w.WriteHeader(status)
	_, _ = w.Write(s.answer) // a client that has gone is its own affair: the call is recorded
}

// apiError is what the client is told of err, or nil. An error that is not the API's own becomes an internal failure,
// whose text stays inside.
func (d *Door) apiError(req *request, err error) *call.Error {
	if err == nil {
		return nil
	}
	var e *call.Error
	if errors.As(err, &e) {
		return e
	}
	code := "InternalFailure"
	if req.service != nil {
		code = req.service.InternalError
	}
	return &call.Error{Code: code, Status: http.StatusInternalServerError, Cause: err}
}

// decodeError puts what was wrong with an input into the API's terms.
func decodeError(err error) error {
	var invalid *wire.ValidationError
	if errors.As(err, &invalid) {
		return call.Errorf("ValidationException", "%s", invalid.Message)
	}
	var malformed *wire.SerializationError
	if errors.As(err, &malformed) {
		return call.Errorf("SerializationException", "%s", malformed.Message)
	}
	return err
}

// notBuilt answers an operation that the API has and Vigil has not.
func notBuilt(req *request) *call.Error {
	return &call.Error{Code: "NotImplementedException", Status: http.StatusNotImplemented,
		Message: fmt.Sprintf("%s:%s is not supported by this version of Vigil.", req.service.Name, req.name)}
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// typesOf are the types by which an operation is bound to its model.
func typesOf(op call.Operation) (in, out reflect.Type) {
	return reflect.TypeOf(op.NewInput()), reflect.TypeOf(op.Output)
}
