// Package wire turns bytes into the Go values of an API and back, and checks them by the API's public model.
//
// The Go values are the AWS SDK's own input and output structs; a handler never sees the wire. What an operation looks like on
// the wire, and what its members must satisfy, is in models/: the public API models of AWS without their prose, and a patch
// beside each for what the SDK has and the model has not yet. [Service.Bind] joins one operation of a model with its two Go
// types into a plan, and fails when they do not fit, so a member can be neither forgotten nor invented. After that a request
// costs no look-up of a field by its name.
//
// Protocols: AWS JSON 1.0 and 1.1, Smithy RPC v2 CBOR, and AWS query (forms in, XML out). A value has one more form,
// [Operation.AppendRequestRecord], in which CloudTrail shows it.
package wire

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Service is an API as its model describes it.
type Service struct {
	Name         string   // the model's name, which is the one that ARNs have: kms, cloudwatch
	FullName     string   // AWS Key Management Service
	Protocol     string   // the one that its clients prefer: json, query, smithy-rpc-v2-cbor
	Protocols    []string // all that it speaks
	JSONVersion  string   // 1.0 or 1.1, the end of application/x-amz-json-1.1; empty when it has no JSON protocol
	TargetPrefix string   // before the operation in X-Amz-Target: TrentService; see Targets and RPCNames
	APIVersion   string   // a query request's Version: 2011-06-15
	XMLNamespace string
	SigningName  string // in a request's credential scope: kms, monitoring

	// QueryCompatible says that the service was once of the query protocol alone. The errors of its other protocols say in a
	// header, x-amzn-query-error, what query would have called them.
	QueryCompatible bool

	model  *model
	errors map[string]ErrorShape
}

// Operation is one operation of a service, bound to the Go types of its input and its output.
// Its methods may be called by many goroutines. Those that take an input or an output panic when it is of another type than
// was bound, as that is a mistake of the program and not of a client.
type Operation struct {
	Name    string
	Service *Service

	in, out         *plan
	inType, outType reflect.Type
	hasOutput       bool   // the model names an output, though it may have no members
	resultWrapper   string // the element around a query response's members
}

// A SerializationError says that a request is not what its operation's input looks like on the wire.
// AWS answers it as SerializationException, or MalformedInput in the query protocol, with status 400.
// Message is in the words of AWS's servers and never holds a value of the request.
type SerializationError struct{ Message string }

func (e *SerializationError) Error() string { return "wire: " + e.Message }

// A ValidationError says that a request breaks constraints of the model. Message is the text that AWS answers, as
// ValidationException or ValidationError. Values of sensitive members are never in it.
type ValidationError struct{ Message string }

func (e *ValidationError) Error() string { return "wire: " + e.Message }

// Names are the services that have a model here.
func Names() []string {
	names := make([]string, 0, len(services))
	for name := range services {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Load is the service of that name. Its model is read at the first call.
func Load(name string) (*Service, error) {
	load, ok := services[name]
	if !ok {
		return nil, fmt.Errorf("wire: no model of a service %q; there are %v", name, Names())
	}
	return load()
}

// OperationNames are all operations of the model, built or not, in order of name.
func (s *Service) OperationNames() []string {
	names := make([]string, 0, len(s.model.Operations))
	for name := range s.model.Operations {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Targets are the values of X-Amz-Target that ask for the operation. A prefix that is qualified, as CloudTrail's, is sent whole
// by clients that are made from the same models as these, such as the AWS CLI, and without its qualifier by the newer SDKs.
func (s *Service) Targets(operation string) []string {
	targets := []string{s.TargetPrefix + "." + operation}
	if dot := strings.LastIndexByte(s.TargetPrefix, '.'); dot >= 0 {
		targets = append(targets, s.TargetPrefix[dot+1:]+"."+operation)
	}
	return targets
}

// RPCNames are the names that stand for the service in the path of a request of an RPC v2 protocol: its own, which is the same
// as its TargetPrefix, and the same within its namespace.
func (s *Service) RPCNames() []string {
	names := []string{s.TargetPrefix}
	if namespace := s.model.Metadata.Namespace; namespace != "" {
		names = append(names, namespace+"."+s.TargetPrefix)
	}
	return names
}

// HasOperation says whether the model has the operation.
func (s *Service) HasOperation(name string) bool {
	_, ok := s.model.Operations[name]
	return ok
}

// Bind makes the plans by which values of in and out, the operation's input and output structs or pointers to them, are read,
// checked and written. It fails when a struct has a member that the model has not, or lacks one, or has it with another type,
// and when the model asks for something that this package cannot do, such as a stream of events: it is called at start, with
// every operation that is built.
func (s *Service) Bind(operation string, in, out reflect.Type) (*Operation, error) {
	shape, ok := s.model.Operations[operation]
	if !ok {
		return nil, fmt.Errorf("wire: the model of %s has no operation %q", s.Name, operation)
	}
	fail := func(err error) (*Operation, error) {
		return nil, fmt.Errorf("wire: %s %s: %w", s.Name, operation, err)
	}
	o := &Operation{Name: operation, Service: s, inType: structOf(in), outType: structOf(out)}
	c := compiler{model: s.model, done: map[planKey]*plan{}}
	var err error
	if o.in, err = c.payload(shape.Input, o.inType); err != nil {
		return fail(err)
	}
	if o.out, err = c.payload(shape.Output, o.outType); err != nil {
		return fail(err)
	}
	if shape.Output != nil {
		o.hasOutput = true
		o.resultWrapper = shape.Output.ResultWrapper
		if o.resultWrapper == "" {
			o.resultWrapper = operation + "Result"
		}
	}
	return o, nil
}

func structOf(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// input is the struct that in points to.
func (o *Operation) input(in any) reflect.Value { return pointee(in, o.inType) }

// output is the struct that out points to, or the zero Value when out is nil.
func (o *Operation) output(out any) reflect.Value {
	if out == nil {
		return reflect.Value{}
	}
	if v := reflect.ValueOf(out); v.Kind() == reflect.Pointer && v.IsNil() {
		return reflect.Value{}
	}
	return pointee(out, o.outType)
}

func pointee(value any, want reflect.Type) reflect.Value {
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem() != want {
		panic(fmt.Sprintf("wire: got a %T where a *%v was bound", value, want))
	}
	return v.Elem()
}

// HasOutput says whether the operation's model names an output, though that may have no members. One that does not is answered
// with an empty body in JSON and CBOR.
func (o *Operation) HasOutput() bool { return o.hasOutput }
