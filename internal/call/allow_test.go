package call_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// callers are one of each kind, with the global condition keys that its calls have. Those in everyCall have the value there
// unless they are here too; all others are missing.
var callers = []struct {
	name      string
	principal call.Principal
	keys      map[string]string
}{
	{"root", call.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333", PrincipalID: "111122223333"},
		map[string]string{"aws:PrincipalArn": "arn:aws:iam::111122223333:root", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "Account", "aws:userid": "111122223333"}},
	{"user", call.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/a/alice", Account: "111122223333", UserName: "alice",
		PrincipalID: "AIDACKCEVSQ6C2EXAMPLE", UniqueID: "AIDACKCEVSQ6C2EXAMPLE", Tags: map[string]string{"Team": "blue", "none": ""}},
		map[string]string{"aws:PrincipalArn": "arn:aws:iam::111122223333:user/a/alice", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "User", "aws:userid": "AIDACKCEVSQ6C2EXAMPLE", "aws:username": "alice",
			"aws:PrincipalTag/team": "blue", "aws:PrincipalTag/None": ""}},
	{"user with a session", call.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", UserName: "alice",
		PrincipalID: "AIDACKCEVSQ6C2EXAMPLE", Session: &call.Session{Created: noon.Add(-time.Hour), MFA: true, MFATime: noon.Add(-time.Minute)}},
		map[string]string{"aws:PrincipalArn": "arn:aws:iam::111122223333:user/alice", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "User", "aws:userid": "AIDACKCEVSQ6C2EXAMPLE", "aws:username": "alice",
			"aws:TokenIssueTime": "2026-03-01T11:00:00Z", "aws:MultiFactorAuthPresent": "true", "aws:MultiFactorAuthAge": "60"}},
	{"role session", call.Principal{Type: "AssumedRole", ARN: "arn:aws:sts::111122223333:assumed-role/App/s", Account: "111122223333",
		PrincipalID: "AROACKCEVSQ6C2EXAMPLE:s", UniqueID: "AROACKCEVSQ6C2EXAMPLE", Tags: map[string]string{"team": "red"},
		Session: &call.Session{Created: noon, SourceIdentity: "Saanvi", FederatedProvider: "arn:aws:iam::111122223333:oidc-provider/example.com",
			Issuer: &call.Issuer{Type: "Role", ARN: "arn:aws:iam::111122223333:role/p/App", UserName: "App", Account: "111122223333"}}},
		map[string]string{"aws:PrincipalArn": "arn:aws:iam::111122223333:role/p/App", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "AssumedRole", "aws:userid": "AROACKCEVSQ6C2EXAMPLE:s", "aws:PrincipalTag/TEAM": "red",
			"aws:TokenIssueTime": "2026-03-01T12:00:00Z", "aws:MultiFactorAuthPresent": "false", "aws:SourceIdentity": "Saanvi",
			"aws:FederatedProvider": "arn:aws:iam::111122223333:oidc-provider/example.com"}},
	{"federated user", call.Principal{Type: "FederatedUser", ARN: "arn:aws:sts::111122223333:federated-user/f", Account: "111122223333",
		PrincipalID: "111122223333:f", Session: &call.Session{Created: noon,
			Issuer: &call.Issuer{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/alice", UserName: "alice"}}},
		map[string]string{"aws:PrincipalArn": "arn:aws:sts::111122223333:federated-user/f", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "FederatedUser", "aws:userid": "111122223333:f", "aws:TokenIssueTime": "2026-03-01T12:00:00Z",
			"aws:MultiFactorAuthPresent": "false"}},
	{"user by way of a service", call.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", UserName: "alice",
		PrincipalID: "AIDACKCEVSQ6C2EXAMPLE", Service: "logs.us-east-1.amazonaws.com"},
		map[string]string{"aws:PrincipalArn": "arn:aws:iam::111122223333:user/alice", "aws:PrincipalAccount": "111122223333",
			"aws:PrincipalType": "User", "aws:userid": "AIDACKCEVSQ6C2EXAMPLE", "aws:username": "alice", "aws:ViaAWSService": "true",
			"aws:CalledVia": "logs.us-east-1.amazonaws.com", "aws:CalledViaFirst": "logs.us-east-1.amazonaws.com",
			"aws:CalledViaLast": "logs.us-east-1.amazonaws.com"}},
	{"service", call.Principal{Type: "AWSService", Service: "cloudtrail.amazonaws.com", SourceARN: "arn:aws:cloudtrail:us-east-1:111122223333:trail/t"},
		map[string]string{"aws:PrincipalIsAWSService": "true", "aws:PrincipalServiceName": "cloudtrail.amazonaws.com",
			"aws:PrincipalServiceNamesList": "cloudtrail.amazonaws.com", "aws:SourceAccount": "111122223333",
			"aws:SourceArn": "arn:aws:cloudtrail:us-east-1:111122223333:trail/t"}},
}

// everyCall are the keys that do not depend on who calls.
var everyCall = map[string]string{
	"aws:CurrentTime": "2026-03-01T12:00:00Z", "aws:EpochTime": "1772366400", "aws:SourceIp": "203.0.113.7", "aws:SecureTransport": "false",
	"aws:UserAgent": "agent", "aws:Referer": "https://example.com/", "aws:RequestedRegion": "eu-central-1", "aws:ViaAWSService": "false",
	"aws:PrincipalIsAWSService": "false", "aws:ResourceAccount": "111122223333",
}

// others are keys that most calls do not have, or none.
var others = []string{
	"aws:username", "aws:PrincipalTag/team", "aws:PrincipalTag/other", "aws:PrincipalTag/", "aws:TokenIssueTime", "aws:MultiFactorAuthPresent",
	"aws:MultiFactorAuthAge", "aws:SourceIdentity", "aws:FederatedProvider", "aws:CalledVia", "aws:CalledViaFirst", "aws:CalledViaLast",
	"aws:PrincipalServiceName", "aws:PrincipalServiceNamesList", "aws:SourceArn", "aws:SourceAccount", "aws:SourceVpc", "aws:SourceVpce",
	"aws:PrincipalOrgID", "aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid", "aws:", "aws", "PrincipalArn",
}

func TestGlobalConditionKeys(t *testing.T) {
	for _, caller := range callers {
		t.Run(caller.name, func(t *testing.T) {
			c := &call.Call{Principal: caller.principal, Service: "kms", Operation: "Encrypt", Region: "eu-central-1", Time: noon,
				SourceIP: "203.0.113.7", UserAgent: "agent", Referer: "https://example.com/"}
			has := map[string]bool{}
			for key, value := range caller.keys {
				has[strings.ToLower(key)] = true
				wantAllowed(t, c, fmt.Sprintf(`{"StringEquals": {%q: %q}}`, key, value))
			}
			for key, value := range everyCall {
				if !has[strings.ToLower(key)] {
					has[strings.ToLower(key)] = true
					wantAllowed(t, c, fmt.Sprintf(`{"StringEquals": {%q: %q}}`, key, value))
				}
			}
			for _, key := range others {
				if !has[strings.ToLower(key)] {
					wantAllowed(t, c, fmt.Sprintf(`{"Null": {%q: "true"}}`, key))
				}
			}
			c.TLS = &vigil.TLSDetails{TLSVersion: "TLSv1.3"}
			wantAllowed(t, c, `{"Bool": {"aws:SecureTransport": "true"}}`)
		})
	}
}

func wantAllowed(t *testing.T, c *call.Call, condition string) {
	t.Helper()
	if err := c.Allow("kms:Encrypt", keyWith(t, condition), nil); err != nil {
		t.Errorf("%s does not hold", condition)
	}
}

// keyWith is a key that everyone may use under a condition.
func keyWith(t testing.TB, condition string) policy.Resource {
	t.Helper()
	d, err := policy.ParseKeyPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*",` +
		`"Condition":` + condition + `}}`)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Resource{ARN: "arn:aws:kms:eu-central-1:111122223333:key/a", Account: "111122223333", Policy: d}
}

// The service's own keys come first, and nothing is asked that no policy names.
func TestConditionKeysOfTheService(t *testing.T) {
	c := newCall()
	var asked []string
	own := func(key string) ([]string, bool) {
		asked = append(asked, key)
		values := map[string][]string{"kms:encryptioncontext:app": {"web"}, "kms:encryptioncontextkeys": {"app", "stage"}, "aws:useragent": {"mine"}}
		return values[key], values[key] != nil
	}
	if err := c.Allow("kms:Encrypt", keyWith(t, `{}`), own); err != nil || asked != nil {
		t.Errorf("%v; asked for %v", err, asked)
	}
	r := keyWith(t, `{"StringEquals":{"kms:EncryptionContext:App":"web","aws:UserAgent":"mine","aws:RequestedRegion":"eu-central-1"},
		"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["app","stage"]}}`)
	if err := c.Allow("kms:Encrypt", r, own); err != nil {
		t.Error(err)
	}
	if want := []string{"kms:encryptioncontext:app", "aws:useragent", "aws:requestedregion", "kms:encryptioncontextkeys"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
	if err := c.Allow("kms:Encrypt", r, nil); err == nil {
		t.Error("allowed without the context")
	}
}

// Permissions of the caller count, and the denial names the managed policy.
func TestAllowAsksTheCallersOwnPolicies(t *testing.T) {
	d, err := policy.ParseIdentityPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
		{"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	c := &call.Call{Service: "kms", SourceIP: "203.0.113.7", Principal: call.Principal{Type: "IAMUser", Account: "111122223333",
		ARN:         "arn:aws:iam::111122223333:user/alice",
		Permissions: &policy.Permissions{Identity: []policy.Source{{ARN: "arn:aws:iam::111122223333:policy/office", Document: d}}}}}
	all := policy.Resource{ARN: "*", Account: "111122223333"}
	if err := c.Allow("kms:ListKeys", all, nil); err != nil {
		t.Error(err)
	}
	c.SourceIP = "198.51.100.1"
	const want = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: kms:ListKeys on resource: * with an explicit deny " +
		"in an identity-based policy: arn:aws:iam::111122223333:policy/office"
	var denied *call.Error
	if err := c.Allow("kms:ListKeys", all, nil); !errors.As(err, &denied) || denied.Message != want || denied.Code != "AccessDeniedException" || denied.Status != 400 {
		t.Errorf("got %#v", err)
	}
	c.Service = "iam"
	if err := c.Allow("iam:GetUser", all, nil); !errors.As(err, &denied) || denied.Code != "AccessDenied" || denied.Status != 403 {
		t.Errorf("got %#v", err)
	}
}

func BenchmarkAllow(b *testing.B) {
	for _, bench := range []struct{ name, condition string }{
		{"no condition", `{}`},
		{"two conditions", `{"StringEquals":{"aws:PrincipalAccount":"111122223333"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := newCall()
			c.SourceIP = "10.1.2.3"
			r := keyWith(b, bench.condition)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Allow("kms:Encrypt", r, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
