package policy_test

import (
	"errors"
	"strings"
	"testing"

	"vigil/internal/policy"
)

// with is a policy whose one statement is the default policy's, changed: each pair of a field and its JSON replaces or adds the
// field, or leaves it out when the JSON is empty.
func with(changes ...string) string {
	fields := [][2]string{{"Effect", `"Allow"`}, {"Principal", `{"AWS":"111122223333"}`}, {"Action", `"kms:*"`}, {"Resource", `"*"`}}
	for i := 0; i < len(changes); i += 2 {
		found := false
		for j := range fields {
			if fields[j][0] == changes[i] {
				fields[j][1], found = changes[i+1], true
			}
		}
		if !found {
			fields = append(fields, [2]string{changes[i], changes[i+1]})
		}
	}
	var members []string
	for _, f := range fields {
		if f[1] != "" {
			members = append(members, `"`+f[0]+`":`+f[1])
		}
	}
	return `{"Version":"2012-10-17","Statement":{` + strings.Join(members, ",") + `}}`
}

func condition(json string) string { return with("Condition", json) }

func TestMalformedPoliciesAreRefused(t *testing.T) {
	const noPrincipal = "Policy contains a statement with no principal."
	const badPrincipal = "Policy contains a statement with one or more invalid principals."
	statement := strings.TrimSuffix(strings.TrimPrefix(with(), `{"Version":"2012-10-17","Statement":`), "}")

	for _, test := range []struct{ name, text, message string }{
		{"nothing", ``, "This policy contains invalid Json (line 1, column 1)"},
		{"white space", " \n ", "This policy contains invalid Json (line 2, column 2)"},
		{"not JSON", `allow all`, "This policy contains invalid Json (line 1, column 1)"},
		{"unended", `{"Version":`, "This policy contains invalid Json (line 1, column 12)"},
		{"trailing comma", "{\n \"Version\":\"2012-10-17\",\n}", "This policy contains invalid Json (line 2, column 24)"},
		{"second value", with() + "{}", "This policy contains invalid Json"},
		{"comment", "/* all */" + with(), "This policy contains invalid Json"},
		{"byte order mark", "\ufeff" + with(), "This policy contains the character U+FEFF, which is not allowed (line 1, column 1)"},
		{"character outside the set", with("Sid", `"鍵"`), "This policy contains the character U+9375, which is not allowed"},
		{"control character", with("Sid", "\"\x00\""), "This policy contains the character U+0000, which is not allowed"},
		{"not UTF-8", with("Sid", "\"\xff\""), "This policy contains characters that are not valid UTF-8"},
		{"lone surrogate", with("Sid", `"\ud800"`), "This policy contains invalid Json"},
		{"duplicate in the policy", `{"Id":"a","Id":"b","Statement":[]}`, "Syntax errors in policy: the field Id is there twice"},
		{"duplicate in a statement", with("Effect\":\"Allow\",\"Effect", `"Deny"`), "Syntax errors in policy: the field Effect is there twice"},
		{"duplicate by escape", `{"Id":"a","\u0049d":"b","Statement":[]}`, "Syntax errors in policy: the field Id is there twice"},
		{"duplicate condition key", condition(`{"Bool":{"a":"true","a":"false"}}`), "Syntax errors in policy: the field a is there twice"},

		{"array", `[]`, "Syntax errors in policy: The policy must be an object"},
		{"string", `"kms:*"`, "Syntax errors in policy: The policy must be an object"},
		{"unknown field", `{"Statements":[]}`, `Syntax errors in policy: The policy has the unknown field "Statements"`},
		{"field in lower case", `{"statement":[]}`, `Syntax errors in policy: The policy has the unknown field "statement"`},
		{"unknown version", `{"Version":"2012-10-18","Statement":[]}`, "Syntax errors in policy: Version must be 2012-10-17 or 2008-10-17"},
		{"version of another type", `{"Version":20121017,"Statement":[]}`, "Syntax errors in policy: Version must be a string"},
		{"Id of another type", `{"Id":["a"],"Statement":[]}`, "Syntax errors in policy: Id must be a string"},
		{"no Statement", `{"Version":"2012-10-17"}`, "Missing required field Statement"},
		{"empty Statement", `{"Statement":[]}`, "Syntax errors in policy: Statement is empty"},
		{"Statement null", `{"Statement":null}`, "Syntax errors in policy: Statement[0] must be an object"},
		{"Statement of strings", `{"Statement":["a"]}`, "Syntax errors in policy: Statement[0] must be an object"},
		{"second statement wrong", `{"Statement":[` + statement + `,[]]}`, "Syntax errors in policy: Statement[1] must be an object"},
		{"empty statement object", `{"Statement":{}}`, "Missing required field Effect (Statement[0])"},
		{"Sid twice", `{"Statement":[` + strings.Replace(statement, "{", `{"Sid":"a",`, 1) + `,` + strings.Replace(statement, "{", `{"Sid":"a",`, 1) + `]}`,
			`Statement IDs (SID) in a single policy must be unique. "a" is there twice`},

		{"unknown statement field", with("Principals", `"*"`), `Syntax errors in policy: Statement[0] has the unknown field "Principals"`},
		{"Sid of another type", with("Sid", `1`), "Syntax errors in policy: Statement[0].Sid must be a string"},
		{"no Effect", with("Effect", ""), "Missing required field Effect (Statement[0])"},
		{"Effect in lower case", with("Effect", `"allow"`), "Syntax errors in policy: Statement[0].Effect must be Allow or Deny"},
		{"Effect of another type", with("Effect", `true`), "Syntax errors in policy: Statement[0].Effect must be Allow or Deny"},

		{"no Principal", with("Principal", ""), noPrincipal},
		{"empty Principal", with("Principal", `{}`), noPrincipal},
		{"no principals of a kind", with("Principal", `{"AWS":[]}`), noPrincipal},
		{"Principal and NotPrincipal", with("NotPrincipal", `"*"`), "Syntax errors in policy: Statement[0] has both Principal and NotPrincipal"},
		{"Principal array", with("Principal", `["*"]`), badPrincipal},
		{"Principal ARN without kind", with("Principal", `"arn:aws:iam::111122223333:root"`), badPrincipal},
		{"unknown kind", with("Principal", `{"aws":"*"}`), badPrincipal},
		{"principal of another type", with("Principal", `{"AWS":111122223333}`), "Syntax errors in policy: Statement[0].Principal.AWS must hold strings only"},
		{"principal null", with("Principal", `{"AWS":[null]}`), "Syntax errors in policy: Statement[0].Principal.AWS must hold strings only"},
		{"short account", with("Principal", `{"AWS":"11112222333"}`), badPrincipal},
		{"empty principal", with("Principal", `{"AWS":""}`), badPrincipal},
		{"wildcard in account", with("Principal", `{"AWS":"arn:aws:iam::*:root"}`), badPrincipal},
		{"wildcard in user", with("Principal", `{"AWS":"arn:aws:iam::111122223333:user/*"}`), badPrincipal},
		{"wildcard in path", with("Principal", `{"AWS":"arn:aws:iam::111122223333:user/*/a"}`), badPrincipal},
		{"group", with("Principal", `{"AWS":"arn:aws:iam::111122223333:group/admins"}`), badPrincipal},
		{"user without name", with("Principal", `{"AWS":"arn:aws:iam::111122223333:user/"}`), badPrincipal},
		{"session without name", with("Principal", `{"AWS":"arn:aws:sts::111122223333:assumed-role/Admin"}`), badPrincipal},
		{"session with a path", with("Principal", `{"AWS":"arn:aws:sts::111122223333:assumed-role/a/b/c"}`), badPrincipal},
		{"role of STS", with("Principal", `{"AWS":"arn:aws:sts::111122223333:role/Admin"}`), badPrincipal},
		{"principal with a region", with("Principal", `{"AWS":"arn:aws:iam:us-east-1:111122223333:root"}`), badPrincipal},
		{"principal of another service", with("Principal", `{"AWS":"arn:aws:kms::111122223333:root"}`), badPrincipal},
		{"principal of no partition", with("Principal", `{"AWS":"arn:amazon:iam::111122223333:root"}`), badPrincipal},
		{"colon missing", with("Principal", `{"AWS":"arn:aws:iam:111122223333:root"}`), badPrincipal},
		{"service by short name", with("Principal", `{"Service":"logs"}`), badPrincipal},
		{"service *", with("Principal", `{"Service":"*"}`), badPrincipal},
		{"provider in a wrong ARN", with("Principal", `{"Federated":"arn:aws:iam::111122223333:user/a"}`), badPrincipal},
		{"short canonical user", with("Principal", `{"CanonicalUser":"79a59df900b949e5"}`), badPrincipal},
		{"second principal wrong", with("Principal", `{"AWS":["*","?"]}`), badPrincipal},

		{"no actions", with("Action", `[]`), "Policy statement must contain actions. (Statement[0].Action)"},
		{"empty action", with("Action", `""`), `Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (Statement[0].Action: "")`},
		{"action without service", with("Action", `"Encrypt"`), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"action with two colons", with("Action", `"kms:a:b"`), "Actions/Condition can contain only one colon."},
		{"wildcard in service", with("Action", `"k*:Encrypt"`), "Vendor k* is not valid (Statement[0].Action)"},
		{"action of another type", with("Action", `{}`), "Syntax errors in policy: Statement[0].Action must hold strings only"},
		{"actions of arrays", with("Action", `[["kms:*"]]`), "Syntax errors in policy: Statement[0].Action must hold strings only"},
		{"Action and NotAction", with("NotAction", `[]`), "Syntax errors in policy: Statement[0] has both Action and NotAction"},

		{"no resources", with("Resource", `[]`), "Policy statement must contain resources. (Statement[0].Resource)"},
		{"resource that is no ARN", with("Resource", `"key/1"`), `Resource key/1 must be in ARN format or "*". (Statement[0].Resource)`},
		{"resource too short", with("Resource", `"arn:aws:kms:us-east-1:key/1"`), `Resource arn:aws:kms:us-east-1:key/1 must be in ARN format or "*".`},
		{"resource of another type", with("Resource", `{"a":"*"}`), "Syntax errors in policy: Statement[0].Resource must hold strings only"},
		{"Resource and NotResource", with("NotResource", `"*"`), "Syntax errors in policy: Statement[0] has both Resource and NotResource"},

		{"Condition array", condition(`[]`), "Syntax errors in policy: Statement[0].Condition must be an object"},
		{"Condition null", condition(`null`), "Syntax errors in policy: Statement[0].Condition must be an object"},
		{"operator without keys", condition(`{"Bool":"true"}`), "Syntax errors in policy: Statement[0].Condition.Bool must be an object"},
		{"unknown operator", condition(`{"StringEqual":{"a":"b"}}`), "Invalid Condition type : StringEqual (Statement[0].Condition)"},
		{"unknown operator without keys", condition(`{"a":{}}`), "Invalid Condition type : a (Statement[0].Condition)"},
		{"unknown qualifier", condition(`{"ForSomeValue:StringEquals":{"a":"b"}}`), "Invalid Condition type : ForSomeValue:StringEquals"},
		{"only a qualifier", condition(`{"ForAnyValue:":{"a":"b"}}`), "Invalid Condition type : ForAnyValue:"},
		{"NullIfExists", condition(`{"NullIfExists":{"a":"true"}}`), "Invalid Condition type : NullIfExists"},
		{"qualified Null", condition(`{"ForAllValues:Null":{"a":"true"}}`), "Invalid Condition type : ForAllValues:Null"},
		{"value object", condition(`{"StringEquals":{"a":{"b":"c"}}}`), "Syntax errors in policy: Statement[0].Condition.StringEquals.a must hold strings, numbers and Booleans only"},
		{"value null", condition(`{"StringEquals":{"a":null}}`), "Syntax errors in policy: Statement[0].Condition.StringEquals.a must hold strings, numbers and Booleans only"},
		{"values of arrays", condition(`{"StringEquals":{"a":["b",["c"]]}}`), "Syntax errors in policy: Statement[0].Condition.StringEquals.a must hold strings, numbers and Booleans only"},
		{"ForAllValues over a context key", condition(`{"ForAllValues:StringEquals":{"kms:EncryptionContext:Dept":"IT"}}`),
			"OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key matches requests without the specified encryption context or with an unspecified encryption context. To fix, remove ForAllValues."},
		{"ForAllValues over a tag", condition(`{"forallvalues:StringLike":{"aws:requesttag/Dept":"IT"}}`),
			"OverlyPermissiveCondition: Using the ForAllValues set operator with a single-valued condition key matches requests without the specified tag or with an unspecified tag. To fix, remove ForAllValues."},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, err := policy.ParseKeyPolicy(test.text)
			if _, ok := errors.AsType[*policy.MalformedError](err); !ok || d != nil {
				t.Fatalf("%s\ngot %v, %v", test.text, d, err)
			}
			if !strings.HasPrefix(err.Error(), test.message) {
				t.Errorf("%s\ngot  %s\nwant %s", test.text, err, test.message)
			}
		})
	}
}

func TestPoliciesAreAccepted(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"default", policy.DefaultKeyPolicy("aws-us-gov", "111122223333")},
		{"the older version", `{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}]}`},
		{"all characters", "\t\r\n" + with("Sid", `"Clé d'accès ÿ \u9375"`)},
		{"empty Sids", `{"Statement":[{"Sid":"","Effect":"Deny","Principal":"*"},{"Sid":"","Effect":"Deny","Principal":"*"}]}`},
		{"every form of principal", with("Principal", `{"AWS":["*","111122223333","arn:aws-us-gov:iam::111122223333:root",
			"arn:aws:iam::111122223333:user/division/unit/a.b@c","arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/R",
			"arn:aws:sts::111122223333:assumed-role/R/s","arn:aws:sts::111122223333:federated-user/u","AROACKCEVSQ6C2EXAMPLE"],
			"Service":["logs.us-east-1.amazonaws.com","s3.amazonaws.com.cn"],
			"Federated":["arn:aws:iam::111122223333:saml-provider/p","cognito-identity.amazonaws.com"],
			"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`)},
		{"odd action names", with("Action", `["kms:", "s3-x.y:a b", "*:*"]`)},
		{"every operator", condition(`{"StringEquals":{"a":"b"},"stringlike":{"a":["b","c"]},"NumericLessThanEqualsIfExists":{"a":1.5},
			"DateGreaterThan":{"a":"2026-01-01T00:00:00Z"},"Bool":{"a":true},"BinaryEquals":{"a":"AA=="},"NotIpAddress":{"a":[]},
			"ArnNotLikeIfExists":{"a":"arn:*"},"Null":{"a":"true"},"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"a"},
			"ForAnyValue:StringEqualsIgnoreCaseIfExists":{"aws:TagKeys":["a"]}}`)},
		{"operator without keys", condition(`{"StringEquals":{}}`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := policy.ParseKeyPolicy(test.text); err != nil {
				t.Errorf("%s\n%v", test.text, err)
			}
		})
	}
}

// The text is what AWS returns and records, to the space.
func TestDefaultKeyPolicyText(t *testing.T) {
	const want = "{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {\n    \"Sid\" : \"Enable IAM User Permissions\",\n" +
		"    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::111122223333:root\"\n    },\n    \"Action\" : \"kms:*\",\n" +
		"    \"Resource\" : \"*\"\n  } ]\n}"
	if got := policy.DefaultKeyPolicy("aws", "111122223333"); got != want {
		t.Errorf("got\n%s", got)
	}
}

// Whatever the text, parsing ends with a policy or a *MalformedError, and a policy in which no statement allows anything
// allows nobody.
func FuzzParseKeyPolicy(f *testing.F) {
	f.Add(policy.DefaultKeyPolicy("aws", "111122223333"))
	f.Add(with("NotAction", `["kms:*Key*","s3:?"]`, "Action", "", "Condition", `{"ForAnyValue:StringLikeIfExists":{"a":["b*",1,true]}}`))
	f.Add(with("NotPrincipal", `{"AWS":["*","arn:aws:iam::111122223333:user/a"],"Service":"s3.amazonaws.com"}`, "Principal", ""))
	f.Add(with("NotResource", `["arn:aws:kms:*:*:key/*","arn:aws:s3:::${a}"]`, "Resource", "", "Effect", `"Deny"`))
	f.Add(`{"Statement":[{"Effect":"Allow"}]}`)
	root := policy.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := policy.ParseKeyPolicy(text)
		if err != nil {
			if _, ok := errors.AsType[*policy.MalformedError](err); !ok || d != nil {
				t.Fatalf("%v, %T %v", d, err, err)
			}
			return
		}
		key := policy.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/a", Account: "111122223333", Policy: d, CrossAccount: true}
		decision := policy.Decide(policy.Request{Principal: root, Action: "kms:Encrypt", Resource: key})
		if decision.Allowed && !strings.Contains(text, "Allow") && !strings.Contains(text, `\`) {
			t.Errorf("allowed by %s", text)
		}
		if !decision.Allowed && decision.Denial() == "" {
			t.Error("a denial without words")
		}
	})
}

func BenchmarkDecideDefaultKeyPolicy(b *testing.B) {
	d, err := policy.ParseKeyPolicy(policy.DefaultKeyPolicy("aws", "111122223333"))
	if err != nil {
		b.Fatal(err)
	}
	q := policy.Request{
		Principal: policy.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"},
		Action:    "kms:Encrypt",
		Resource: policy.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
			Account: "111122223333", Policy: d, CrossAccount: true},
		Context: func(string) ([]string, bool) { return nil, false },
	}
	b.ReportAllocs()
	for b.Loop() {
		if !policy.Decide(q).Allowed {
			b.Fatal("denied")
		}
	}
}

// The request path asks for every call: it must not allocate.
func TestDecideDoesNotAllocate(t *testing.T) {
	d, err := policy.ParseKeyPolicy(with("Action", `["kms:Decrypt","kms:Generate*Key","kms:*"]`,
		"Resource", `["arn:aws:kms:us-west-?:*:key/*","arn:aws:kms:*:111122223333:key/*"]`))
	if err != nil {
		t.Fatal(err)
	}
	q := policy.Request{
		Principal: policy.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"},
		Action:    "kms:Encrypt",
		Resource:  policy.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/a", Account: "111122223333", Policy: d},
	}
	if n := testing.AllocsPerRun(100, func() {
		if !policy.Decide(q).Allowed {
			t.Fatal("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
