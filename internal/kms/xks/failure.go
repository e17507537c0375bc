package xks

import (
	"fmt"
	"strings"
)

// Failure is why a proxy did not do what it was asked. Its detail may hold what the proxy said: it is for the log of the
// server, and not for who called KMS.
type Failure struct {
	Name   string // an errorName of the specification, or one of the names below
	Status int    // of HTTP, 0 when there was no answer
	Detail string
}

// The names of failures without an answer of the specification.
const (
	Unreachable = "Unreachable" // no connection
	NoTLS       = "NoTLS"       // no TLS on it, or a certificate that is not trusted
	TimedOut    = "TimedOut"
	BadAnswer   = "BadAnswer" // not of the specification's form, or not what was asked for
)

// The names of the specification.
const (
	Validation           = "ValidationException"
	InvalidState         = "InvalidStateException"
	InvalidCiphertext    = "InvalidCiphertextException"
	InvalidKeyUsage      = "InvalidKeyUsageException"
	AuthenticationFailed = "AuthenticationFailedException"
	AccessDenied         = "AccessDeniedException"
	KeyNotFound          = "KeyNotFoundException"
	InvalidURIPath       = "InvalidUriPathException"
	Throttling           = "ThrottlingException"
	UnsupportedOperation = "UnsupportedOperationException"
	DependencyTimeout    = "DependencyTimeoutException"
	Internal             = "InternalException"
)

var refusals = map[string]bool{
	Validation: true, InvalidState: true, InvalidCiphertext: true, InvalidKeyUsage: true, AuthenticationFailed: true,
	AccessDenied: true, KeyNotFound: true, InvalidURIPath: true, Throttling: true, UnsupportedOperation: true,
	DependencyTimeout: true, Internal: true,
}

func (f *Failure) Error() string {
	if f.Status == 0 {
		return fmt.Sprintf("external key store proxy: %s: %s", f.Name, f.Detail)
	}
	return fmt.Sprintf("external key store proxy: %s (HTTP %d): %s", f.Name, f.Status, f.Detail)
}

// Retryable says that the same request may succeed a little later, with nothing changed.
func (f *Failure) Retryable() bool {
	switch f.Name {
	case Unreachable, TimedOut, Throttling, DependencyTimeout, Internal:
		return true
	}
	return false
}

func badAnswer(detail string) *Failure { return &Failure{Name: BadAnswer, Detail: detail} }

// printable is a proxy's message as it may be logged: fewer than 512 printable ASCII characters, as the specification
// has it.
func printable(message string) string {
	const most = 511
	message = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, message[:min(len(message), 4*most)])
	return message[:min(len(message), most)]
}
