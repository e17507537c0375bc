package kms

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/xks"
)

// proxyAnswer is what KMS makes of one failure of an external key store proxy: see the specification's table of errors
// and the KMS developer guide's "Troubleshooting external key stores", whose texts these are.
type proxyAnswer struct {
	manage  string                        // the code that CreateCustomKeyStore and UpdateCustomKeyStore answer with
	create  string                        // the code that CreateKey answers with
	connect types.ConnectionErrorCodeType // what connecting fails with
	text    string
}

const (
	unreachable     = "XksProxyUriUnreachableException"
	invalidResponse = "XksProxyInvalidResponseException"
	storeInvalid    = "CustomKeyStoreInvalidStateException"
)

var proxyAnswers = map[string]proxyAnswer{
	xks.Validation: badAnswer, xks.BadAnswer: badAnswer,
	xks.InvalidState: {invalidResponse, "XksKeyInvalidConfigurationException", types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because the external key is not enabled in the external key manager."},
	xks.InvalidCiphertext: {invalidResponse, storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because the specified ciphertext or additional authenticated data is corrupted, missing, or otherwise invalid."},
	xks.InvalidKeyUsage: {invalidResponse, "XksKeyInvalidConfigurationException", types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because the external key does not support the requested operation."},
	xks.AuthenticationFailed: {"XksProxyIncorrectAuthenticationCredentialException", storeInvalid, types.ConnectionErrorCodeTypeInvalidCredentials,
		"The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the credentials for your external key store and update if necessary."},
	xks.AccessDenied: {invalidResponse, "KMSInvalidStateException", types.ConnectionErrorCodeTypeXksProxyAccessDenied,
		"The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again."},
	xks.KeyNotFound: {invalidResponse, "XksKeyNotFoundException", types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because it could not find the external key."},
	xks.InvalidURIPath: {"XksProxyInvalidConfigurationException", storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidConfiguration,
		"The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary."},
	xks.UnsupportedOperation: {invalidResponse, storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because it does not support the requested cryptographic operation."},
	xks.DependencyTimeout: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyTimedOut,
		"The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."},
	xks.Throttling: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyNotReachable,
		"The external key store proxy rejected the request because the request rate is too high. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."},
	xks.Internal: {invalidResponse, storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
		"The external key store proxy rejected the request because it cannot communicate with the external key manager. If you see this error repeatedly, notify your external key store proxy administrator."},
	xks.TimedOut: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyTimedOut,
		"AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."},
	xks.NoTLS: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidTlsConfiguration,
		"AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate."},
	xks.Unreachable: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyNotReachable,
		"AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external key store."},
	unhealthy: {unreachable, storeInvalid, types.ConnectionErrorCodeTypeXksProxyNotReachable,
		"The external key store proxy is in an unhealthy state. If you see this message repeatedly, notify your external key store proxy administrator."},
}

var badAnswer = proxyAnswer{invalidResponse, storeInvalid, types.ConnectionErrorCodeTypeXksProxyInvalidResponse,
	"AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, consult your external key store proxy administrator."}

// unhealthy is the failure of a proxy all of whose key managers are unavailable.
const unhealthy = "unhealthy"

// The three kinds of operation that a proxy can fail.

func failedManaging(err error) error {
	return answerOf(err, func(a proxyAnswer) string { return a.manage })
}

func failedCreating(err error) error {
	return answerOf(err, func(a proxyAnswer) string { return a.create })
}

func failedUsing(err error) error {
	return answerOf(err, func(proxyAnswer) string { return "KMSInvalidStateException" })
}

// answerOf is the answer to who called KMS. What the proxy itself said is its cause, for the log.
func answerOf(err error, code func(proxyAnswer) string) error {
	var failure *xks.Failure
	if !errors.As(err, &failure) {
		return err
	}
	a, known := proxyAnswers[failure.Name]
	if !known {
		a = badAnswer
	}
	return &call.Error{Code: code(a), Message: a.text, Status: 400, Cause: failure}
}

// connectionError is why a key store could not be connected.
func connectionError(err error) types.ConnectionErrorCodeType {
	var failure *xks.Failure
	if !errors.As(err, &failure) {
		return types.ConnectionErrorCodeTypeInternalError
	}
	if a, known := proxyAnswers[failure.Name]; known {
		return a.connect
	}
	return types.ConnectionErrorCodeTypeXksProxyInvalidResponse
}
