package call

import (
	"errors"
	"fmt"
)

// Error is an error of the API: what the client is told, in AWS's words. The door writes it in the form of the protocol.
// Any other error that reaches the door is answered as an internal failure, and its text stays inside.
type Error struct {
	Code    string // such as NotFoundException
	Message string // may be empty, as some of AWS's are
	Status  int    // HTTP status; 0 means 400
	Cause   error  // for the server's log only
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Code
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// Errorf is a client's error, answered with status 400 as AWS does whatever the model of the API says.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: 400}
}

// NotBuilt says that something AWS has is not in Vigil yet. It is never a guess at an answer.
func NotBuilt(what string) *Error {
	return &Error{Code: "UnsupportedOperationException", Message: what + " is not supported by this version of Vigil.", Status: 400}
}

// ErrExpiredToken says that the session of temporary credentials is over.
var ErrExpiredToken = errors.New("the session is over")
