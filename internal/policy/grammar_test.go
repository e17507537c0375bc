package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"vigil/internal/policy"
)

// What IAM says of a policy that it refuses, to the letter where it is known.
func TestMalformedPoliciesOfIAM(t *testing.T) {
	const allow = `{"Version":"2012-10-17","Statement":{"Effect":"Allow",`
	for _, test := range []struct{ kind, name, text, message string }{
		{"iam", "no JSON", `{`, "This policy contains invalid Json"},
		{"trust", "no JSON", ``, "This policy contains invalid Json"},
		{"iam", "principal", allow + `"Principal":"*","Action":"*","Resource":"*"}}`, "Policy document should not specify a principal."},
		{"iam", "not a principal", allow + `"NotPrincipal":{"AWS":"*"},"Action":"*","Resource":"*"}}`, "Policy document should not specify a principal."},
		{"iam", "no action", allow + `"Resource":"*"}}`, "Policy statement must contain actions."},
		{"iam", "no resource", allow + `"Action":"*"}}`, "Policy statement must contain resources."},
		{"iam", "empty actions", allow + `"Action":[],"Resource":"*"}}`, "Policy statement must contain actions."},
		{"iam", "Sid with a space", allow + `"Sid":"a b","Action":"*","Resource":"*"}}`,
			"Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{"iam", "Sid twice", `{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]}`,
			"Statement IDs (SID) in a single policy must be unique."},
		{"iam", "version", `{"Version":"2020-01-01","Statement":[]}`, "The policy must contain a valid version string"},
		{"iam", "no statement", `{"Version":"2012-10-17"}`, "Missing required field Statement"},
		{"iam", "unknown field", allow + `"Actions":"*"}}`, "Syntax errors in policy."},
		{"iam", "effect", `{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`, "Syntax errors in policy."},
		{"iam", "vendor", allow + `"Action":"Encrypt","Resource":"*"}}`, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"iam", "resource", allow + `"Action":"*","Resource":"key/a"}}`, `Resource key/a must be in ARN format or "*".`},
		{"iam", "operator", allow + `"Action":"*","Resource":"*","Condition":{"StringIs":{"a:b":"c"}}}}`, "Invalid Condition type : StringIs"},
		{"trust", "resource", allow + `"Principal":"*","Action":"sts:AssumeRole","Resource":"*"}}`, "Has prohibited field Resource"},
		{"trust", "not a resource", allow + `"Principal":"*","Action":"sts:AssumeRole","NotResource":"*"}}`, "Has prohibited field NotResource"},
		{"trust", "no principal", allow + `"Action":"sts:AssumeRole"}}`, "Missing required field Principal"},
		{"trust", "empty principal", allow + `"Principal":{"AWS":[]},"Action":"sts:AssumeRole"}}`, "Missing required field Principal"},
		{"trust", "bad principal", allow + `"Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"sts:AssumeRole"}}`, `Invalid principal in policy: "AWS":"arn:aws:iam::1:root"`},
		{"trust", "group", allow + `"Principal":{"AWS":"arn:aws:iam::111122223333:group/g"},"Action":"sts:AssumeRole"}}`,
			`Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"`},
		{"trust", "bad service", allow + `"Principal":{"Service":"ec2"},"Action":"sts:AssumeRole"}}`, `Invalid principal in policy: "Service":"ec2"`},
		{"trust", "another action", allow + `"Principal":"*","Action":["sts:AssumeRole","s3:GetObject"]}}`, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust", "every action", allow + `"Principal":"*","Action":"*"}}`, "AssumeRole policy may only specify STS AssumeRole actions."},
		{"trust", "no action", allow + `"Principal":"*"}}`, "Policy statement must contain actions."},
		{"topic", "no resource", allow + `"Principal":"*","Action":"SNS:Publish"}}`, "Policy statement must contain resources."},
		{"topic", "no principal", allow + `"Action":"SNS:Publish","Resource":"*"}}`, "Policy contains a statement with no principal."},
	} {
		t.Run(test.kind+"/"+test.name, func(t *testing.T) {
			d, err := parsers[test.kind](test.text)
			malformed, ok := errors.AsType[*policy.MalformedError](err)
			if !ok || d != nil {
				t.Fatalf("got %v, %v", d, err)
			}
			if malformed.Message != test.message {
				t.Errorf("got %s", malformed.Message)
			}
		})
	}
}

func TestPoliciesOfIAMAreAccepted(t *testing.T) {
	for _, test := range []struct{ kind, text string }{
		{"iam", `{"Version":"2012-10-17","Id":"x","Statement":[{"Sid":"One1","Effect":"Allow","NotAction":"iam:*","NotResource":["arn:aws:s3:::${aws:username}/*"]}]}`},
		{"iam", `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:RequestTag/a":"b"}}}}`},
		{"trust", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com","AWS":"111122223333"},
			"Action":["sts:AssumeRole","sts:TagSession","STS:SetSourceIdentity"],"Condition":{"StringEquals":{"sts:ExternalId":"1"}}},
			{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/example.com/a"},"Action":"sts:AssumeRoleWithWebIdentity"}]}`},
		{"topic", `{"Statement":{"Sid":"any text","Effect":"Allow","Principal":{"AWS":"*"},"Action":["SNS:Publish"],"Resource":"arn:aws:sns:us-east-1:111122223333:t"}}`},
	} {
		if _, err := parsers[test.kind](test.text); err != nil {
			t.Errorf("%s\n%v", test.text, err)
		}
	}
}

// The principals to check are those that may not exist: also of statements without effect.
func TestPrincipals(t *testing.T) {
	d, err := policy.ParseKeyPolicy(`{"Statement":[
		{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/b","111122223333","arn:aws:iam::111122223333:role/a"],"Service":"s3.amazonaws.com"},"Action":"*","Resource":"*"},
		{"Effect":"Deny","NotPrincipal":{"AWS":["arn:aws:iam::111122223333:user/b","AIDACKCEVSQ6C2EXAMPLE"]},"Action":"*"},
		{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"arn:aws:iam::111122223333:user/b", "arn:aws:iam::111122223333:role/a", "AIDACKCEVSQ6C2EXAMPLE"}
	if got := d.Principals(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestSize(t *testing.T) {
	if got := policy.Size(" {\t\"a é\":\r\n1 }"); got != 8 {
		t.Errorf("got %d", got)
	}
}

// Nobody is told whether a role exists that does not trust them.
func TestNoTrust(t *testing.T) {
	empty, err := policy.ParseTrustPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"111122223333", "444455556666"} {
		q := policy.Request{Action: "sts:AssumeRole", Principal: policy.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/a", Account: "111122223333"},
			Resource: policy.Resource{ARN: "arn:aws:iam::" + account + ":role/r", Account: account, Policy: empty}}
		distrusted := policy.Decide(q)
		q.Resource.Policy = policy.NoTrust
		if missing := policy.Decide(q); missing != distrusted || missing.Allowed {
			t.Errorf("of a role that is missing: %s\nof one that is not: %s", missing.Denial(), distrusted.Denial())
		}
	}
}

// Whatever the text, each parser ends with a policy or a *MalformedError, and what a policy without Allow allows is nothing.
func FuzzParsePoliciesOfIAM(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Sid":"One1","Effect":"Allow","NotAction":"iam:*","NotResource":["arn:aws:s3:::${aws:username, 'x'}/${*}*"]}]}`)
	f.Add(`{"Statement":{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:*","Condition":{"NumericLessThan":{"a":[1e400,-0.5]},"DateEquals":{"b":"2026"}}}}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"a":"10.0.0.0/8"},"ArnLike":{"b":"arn:aws:iam::${c}:*"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		for kind, parse := range parsers {
			d, err := parse(text)
			if err != nil {
				if malformed, ok := errors.AsType[*policy.MalformedError](err); !ok || d != nil || malformed.Message == "" {
					t.Fatalf("%s: %v, %T %v", kind, d, err, err)
				}
				continue
			}
			q := policy.Request{Action: "sts:AssumeRole", Principal: policy.Principal{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/a", Account: "111122223333"},
				Resource: policy.Resource{ARN: "arn:aws:iam::111122223333:role/r", Account: "111122223333", Policy: d},
				Context:  func(key string) ([]string, bool) { return []string{"10.0.0.1", "2026-01-01", "1", key}, true }}
			if kind == "iam" {
				q.Resource.Policy = nil
				q.Permissions = &policy.Permissions{Identity: []policy.Source{{Document: d}}}
			}
			if policy.Decide(q).Allowed && !strings.Contains(text, "Allow") && !strings.Contains(text, `\`) {
				t.Errorf("%s: allowed by %s", kind, text)
			}
		}
	})
}

// tenStatements has a Deny on the way, conditions in each, and the Allow that counts at the end.
func tenStatements(tb testing.TB) policy.Request {
	var statements []string
	for _, s := range []string{
		`"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`,
		`"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.0.0/16"]}}`,
		`"Deny","Principal":"*","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*","Condition":{"Null":{"kms:EncryptionContextKeys":"true"}}`,
		`"Allow","Principal":{"AWS":"444455556666"},"Action":"kms:*","Resource":"*","Condition":{"StringLike":{"kms:ViaService":"s3.*.amazonaws.com"}}`,
		`"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/admin/*"}}`,
		`"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:app":"${aws:PrincipalTag/app}"}}`,
		`"Allow","Principal":"*","Action":"kms:En*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}`,
		`"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":"300"}}`,
		`"Allow","Principal":"*","Action":"kms:Sign","Resource":"*","Condition":{"StringEquals":{"kms:MessageType":"RAW"}}`,
		`"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/App"},"Action":"kms:*","Resource":"*",
			"Condition":{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["app","stage"]},"StringEquals":{"kms:EncryptionContext:stage":"prod"}}`,
	} {
		statements = append(statements, `{"Effect":`+s+`}`)
	}
	d, err := policy.ParseKeyPolicy(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`)
	if err != nil {
		tb.Fatal(err)
	}
	context := map[string][]string{"aws:securetransport": {"true"}, "aws:sourceip": {"10.1.2.3"}, "kms:encryptioncontextkeys": {"app", "stage"},
		"aws:principalarn": {"arn:aws:iam::111122223333:role/App"}, "kms:encryptioncontext:app": {"web"}, "aws:principaltag/app": {"mail"},
		"aws:currenttime": {"2026-03-01T12:00:00Z"}, "aws:multifactorauthage": {"301"}, "kms:encryptioncontext:stage": {"prod"}}
	return policy.Request{Action: "kms:Encrypt",
		Principal: policy.Principal{Type: "AssumedRole", ARN: "arn:aws:sts::111122223333:assumed-role/App/s", Account: "111122223333", Issuer: "arn:aws:iam::111122223333:role/App"},
		Resource:  policy.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/a", Account: "111122223333", Policy: d},
		Context: func(key string) ([]string, bool) {
			values, ok := context[key]
			return values, ok
		}}
}

func TestDecideWithConditionsDoesNotAllocate(t *testing.T) {
	q := tenStatements(t)
	if n := testing.AllocsPerRun(100, func() {
		if !policy.Decide(q).Allowed {
			t.Fatal("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecideTenStatements(b *testing.B) {
	q := tenStatements(b)
	b.ReportAllocs()
	for b.Loop() {
		if !policy.Decide(q).Allowed {
			b.Fatal("denied")
		}
	}
}
