package call

import (
	"strconv"
	"strings"
	"time"

	"vigil/internal/arn"
	"vigil/internal/policy"
)

// Allow asks whether the caller may perform action, such as kms:Encrypt, on r, and returns nil or an AccessDeniedException (of IAM,
// STS and S3 an AccessDenied) that says which policy is why. The conditions are the service's own keys, such as kms:EncryptionAlgorithm, and may be nil; the
// global ones are added. Neither is gathered before a policy asks for it.
func (c *Call) Allow(action string, r policy.Resource, conditions policy.Context) error {
	c.keys = c.keys[:0]
	decision := policy.Decide(policy.Request{
		Principal:   c.Principal.policy(),
		Permissions: c.Principal.Permissions,
		Action:      action,
		Resource:    r,
		Context: func(key string) ([]string, bool) {
			if conditions != nil {
				if values, ok := conditions(key); ok {
					return values, true
				}
			}
			if key == "aws:resourceaccount" && r.ARN != "*" {
				return c.one(r.Account)
			}
			return c.global(key)
		},
	})
	if decision.Allowed {
		c.allowed = true
		return nil
	}
	switch c.Service {
	case "iam", "sts", "s3":
		return &Error{Code: "AccessDenied", Message: decision.Denial(), Status: 403}
	}
	return &Error{Code: "AccessDeniedException", Message: decision.Denial(), Status: 400}
}

// one is a key with one value, or a missing one if the value is empty. It stays as it is until the next Allow.
func (c *Call) one(value string) ([]string, bool) {
	n := len(c.keys)
	c.keys = append(c.keys, value)
	return c.keys[n : n+1 : n+1], value != ""
}

// global is the call's value of a condition key of all services. See the IAM user guide's "AWS global condition context keys".
// Those of organizations and of VPC endpoints, of which Vigil has neither, are always missing.
func (c *Call) global(key string) ([]string, bool) {
	name, global := strings.CutPrefix(key, "aws:")
	if !global {
		return nil, false
	}
	if tag, ok := strings.CutPrefix(name, "principaltag/"); ok {
		value, ok := c.Principal.tag(tag)
		values, _ := c.one(value) // which may be empty
		return values, ok
	}
	p := &c.Principal
	switch name {
	case "currenttime":
		return c.one(c.Time.UTC().Format(time.RFC3339))
	case "epochtime":
		return c.one(strconv.FormatInt(c.Time.Unix(), 10))
	case "sourceip":
		return c.one(c.SourceIP)
	case "securetransport":
		return c.one(strconv.FormatBool(c.TLS != nil))
	case "useragent":
		return c.one(c.UserAgent)
	case "referer":
		return c.one(c.Referer)
	case "requestedregion":
		return c.one(c.Region)
	case "viaawsservice":
		return c.one(strconv.FormatBool(p.via() != ""))
	case "calledvia", "calledviafirst", "calledvialast":
		return c.one(p.via())
	}
	if p.Type == typeService {
		return c.ofService(name)
	}
	return c.ofPrincipal(name)
}

// ofService are the keys of a call that a service makes in its own name.
func (c *Call) ofService(name string) ([]string, bool) {
	p := &c.Principal
	switch name {
	case "principalisawsservice":
		return c.one("true")
	case "principalservicename", "principalservicenameslist":
		return c.one(p.Service)
	case "sourcearn":
		return c.one(p.SourceARN)
	case "sourceaccount":
		source, _ := arn.Parse(p.SourceARN)
		return c.one(source.Account)
	}
	return nil, false
}

// ofPrincipal are the keys that say who calls.
func (c *Call) ofPrincipal(name string) ([]string, bool) {
	p := &c.Principal
	switch name {
	case "principalisawsservice":
		return c.one("false")
	case "principalarn":
		if p.Type == "AssumedRole" && p.Session != nil && p.Session.Issuer != nil {
			return c.one(p.Session.Issuer.ARN)
		}
		return c.one(p.ARN)
	case "principalaccount":
		return c.one(p.Account)
	case "principaltype":
		return c.one(principalTypes[p.Type])
	case "userid":
		return c.one(p.PrincipalID)
	case "username":
		if p.Type != "IAMUser" {
			return nil, false
		}
		return c.one(p.UserName)
	}
	if p.Session == nil {
		return nil, false
	}
	return c.ofSession(name)
}

// ofSession are the keys that only temporary credentials have.
func (c *Call) ofSession(name string) ([]string, bool) {
	s := c.Principal.Session
	switch name {
	case "tokenissuetime":
		return c.one(s.Created.UTC().Format(time.RFC3339))
	case "multifactorauthpresent":
		return c.one(strconv.FormatBool(s.MFA))
	case "multifactorauthage":
		if !s.MFA || s.MFATime.IsZero() {
			return nil, false
		}
		return c.one(strconv.FormatInt(int64(c.Time.Sub(s.MFATime)/time.Second), 10))
	case "sourceidentity":
		return c.one(s.SourceIdentity)
	case "federatedprovider":
		return c.one(s.FederatedProvider)
	}
	return nil, false
}

// principalTypes are the values of aws:PrincipalType by the type of userIdentity.
var principalTypes = map[string]string{
	"Root":          "Account",
	"IAMUser":       "User",
	"AssumedRole":   "AssumedRole",
	"FederatedUser": "FederatedUser",
}
