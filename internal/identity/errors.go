package identity

import (
	"net/http"

	"vigil/internal/call"
)

// Errors are named as the API's model names their shapes; the model has their codes and statuses on the wire.

func invalidInput(format string, args ...any) error {
	return call.Errorf("InvalidInputException", format, args...)
}

func validation(format string, args ...any) error {
	return call.Errorf("ValidationException", format, args...)
}

// noSuch says that there is nothing of a kind with that name; policies and providers are named by their ARNs.
func noSuch(k kind, name string) error {
	switch k {
	case managed:
		return noSuchEntity("Policy %s was not found.", name)
	case provider:
		return noSuchEntity("OpenIDConnect Provider not found for arn %s", name)
	case alias:
		return noSuchEntity("The account alias %s does not exist.", name)
	}
	return noSuchEntity("The %s with name %s cannot be found.", k, name)
}

func noSuchEntity(format string, args ...any) error {
	return call.Errorf("NoSuchEntityException", format, args...)
}

func exists(k kind, name string) error {
	switch k {
	case managed:
		return call.Errorf("EntityAlreadyExistsException", "A policy called %s already exists. Duplicate names are not allowed.", name)
	case provider:
		return call.Errorf("EntityAlreadyExistsException", "Provider with url https://%s already exists.", name)
	case alias:
		return call.Errorf("EntityAlreadyExistsException", "The account alias %s already exists.", name)
	}
	return call.Errorf("EntityAlreadyExistsException", "%s with name %s already exists.", k.title(), name)
}

func conflict(what string) error { return call.Errorf("DeleteConflictException", "%s", what) }

// overQuota says that a quota, named as AWS names it, does not let more in.
func overQuota(name string, quota int) error {
	return call.Errorf("LimitExceededException", "Cannot exceed quota for %s: %d", name, quota)
}

// invalidToken is what AWS answers to credentials that are not for what they are used for.
func invalidToken() error {
	return &call.Error{Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid",
		Status: http.StatusForbidden}
}

// denied says that something is never allowed, whatever policies say.
func denied(message string) error {
	return &call.Error{Code: "AccessDenied", Message: message, Status: http.StatusForbidden}
}
