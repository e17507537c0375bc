package call

import (
	"context"
)

// Operation is one operation of an API as a value: how it is recorded, and the function that does it.
// A service lists its operations; the door does all the rest.
type Operation struct {
	Name     string // as in the API: Encrypt
	ReadOnly bool   // readOnly of its record; the response of a read-only operation is not recorded
	Data     bool   // a data event, which is not journaled, unless DataType says that it may be
	DataType string // of a data event that is journaled when a trail asks for those of this type of resources: AWS::SNS::Topic
	Responds bool   // its response is recorded though it is read-only
	// Unsigned says that the request needs no signature: the caller shows something else, by which the function finds out who it is. It
	// sets the call's Principal. As long as that has no account, the call is nobody's, and is not journaled.
	Unsigned bool
	// Unrecorded are members of the input that AWS leaves out of requestParameters though they are neither sensitive nor
	// binary, which are always left out. "*" leaves out all.
	Unrecorded []string

	NewInput func() any                                              // a pointer to a zero input
	Output   any                                                     // a nil pointer of the output's type
	Do       func(ctx context.Context, c *Call, in any) (any, error) // in is what NewInput made
}

// Op describes an operation that changes something.
func Op[In, Out any](name string, do func(context.Context, *Call, *In) (*Out, error)) Operation {
	return Operation{
		Name:     name,
		NewInput: func() any { return new(In) },
		Output:   (*Out)(nil),
		Do: func(ctx context.Context, c *Call, in any) (any, error) {
			out, err := do(ctx, c, in.(*In))
			if err != nil {
				return nil, err // not out: a nil *Out in an any is not nil
			}
			return out, nil
		},
	}
}

// Read describes an operation whose record says readOnly: it changes no state, though it may use a key.
func Read[In, Out any](name string, do func(context.Context, *Call, *In) (*Out, error)) Operation {
	op := Op(name, do)
	op.ReadOnly = true
	return op
}

// Without returns the operation with members of its input left out of its record.
func (o Operation) Without(members ...string) Operation {
	o.Unrecorded = members
	return o
}

// Responding returns the operation with its response recorded, be it read-only or not.
func (o Operation) Responding() Operation {
	o.Responds = true
	return o
}

// WithoutSignature returns the operation as one that needs no signature.
func (o Operation) WithoutSignature() Operation {
	o.Unsigned = true
	return o
}

// Service is an API: the operations that Vigil has of it.
type Service struct {
	Name          string // the signing name, which is also the model's: kms
	EventSource   string // kms.amazonaws.com
	InternalError string // the code that a failure of the server's own has in this API: KMSInternalException
	Global        string // the region in which all calls of an API happen that is not of a region, wherever they were signed for
	Operations    []Operation
}
