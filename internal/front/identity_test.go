package front

import (
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/call"
)

// Each kind of caller is recorded in the form that AWS documents under "CloudTrail userIdentity element".
func TestUserIdentity(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	role := &call.Issuer{Type: "Role", PrincipalID: "AROACKCEVSQ6C2EXAMPLE", ARN: "arn:aws:iam::111122223333:role/p/App", Account: "111122223333", UserName: "App"}
	for _, test := range []struct {
		name string
		who  call.Principal
		want string
	}{
		{"root", call.Principal{Type: "Root", PrincipalID: "111122223333", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333", AccessKeyID: "AKIAIOSFODNN7EXAMPLE"},
			`{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE"}`},
		{"user", call.Principal{Type: "IAMUser", PrincipalID: "AIDACKCEVSQ6C2EXAMPLE", ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333",
			AccessKeyID: "AKIAIOSFODNN7EXAMPLE", UserName: "alice", UniqueID: "AIDACKCEVSQ6C2EXAMPLE", Tags: map[string]string{"a": "b"}},
			`{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333",` +
				`"accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"}`},
		{"user with a session", call.Principal{Type: "IAMUser", PrincipalID: "AIDACKCEVSQ6C2EXAMPLE", ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333",
			AccessKeyID: "ASIAIOSFODNN7EXAMPLE", UserName: "alice", Session: &call.Session{Created: made, MFA: true}},
			`{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333",` +
				`"accessKeyId":"ASIAIOSFODNN7EXAMPLE","userName":"alice","sessionContext":{"attributes":{"creationDate":"2026-03-01T11:00:00Z","mfaAuthenticated":"true"}}}`},
		{"role by way of a service", call.Principal{Type: "AssumedRole", PrincipalID: "AROACKCEVSQ6C2EXAMPLE:s", ARN: "arn:aws:sts::111122223333:assumed-role/App/s", Account: "111122223333",
			AccessKeyID: "ASIAIOSFODNN7EXAMPLE", Service: "logs.amazonaws.com", Session: &call.Session{Created: made, Issuer: role, SourceIdentity: "Saanvi"}},
			`{"type":"AssumedRole","principalId":"AROACKCEVSQ6C2EXAMPLE:s","arn":"arn:aws:sts::111122223333:assumed-role/App/s","accountId":"111122223333",` +
				`"accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROACKCEVSQ6C2EXAMPLE",` +
				`"arn":"arn:aws:iam::111122223333:role/p/App","accountId":"111122223333","userName":"App"},` +
				`"attributes":{"creationDate":"2026-03-01T11:00:00Z","mfaAuthenticated":"false"},"sourceIdentity":"Saanvi"},"invokedBy":"logs.amazonaws.com"}`},
		{"role of a web identity", call.Principal{Type: "AssumedRole", Session: &call.Session{Created: made, Issuer: role,
			FederatedProvider: "arn:aws:iam::111122223333:oidc-provider/example.com", FederatedAttributes: map[string]string{"b": "\"2", "a": "1"}}},
			`{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROACKCEVSQ6C2EXAMPLE",` +
				`"arn":"arn:aws:iam::111122223333:role/p/App","accountId":"111122223333","userName":"App"},` +
				`"webIdFederationData":{"federatedProvider":"arn:aws:iam::111122223333:oidc-provider/example.com","attributes":{"a":"1","b":"\"2"}},` +
				`"attributes":{"creationDate":"2026-03-01T11:00:00Z","mfaAuthenticated":"false"}}}`},
		{"web identity", call.Principal{Type: "WebIdentityUser", PrincipalID: "example.com:app:sub", UserName: "sub", Provider: "example.com"},
			`{"type":"WebIdentityUser","principalId":"example.com:app:sub","userName":"sub","identityProvider":"example.com"}`},
		{"service", call.Principal{Type: "AWSService", Service: "cloudtrail.amazonaws.com", SourceARN: "arn:aws:cloudtrail:us-east-1:111122223333:trail/t"},
			`{"type":"AWSService","invokedBy":"cloudtrail.amazonaws.com"}`},
		{"nobody", call.Principal{}, `{}`},
	} {
		r := vigil.Record{UserIdentity: userIdentity(&test.who)}
		if got := string(r.AppendJSON(nil)); !strings.Contains(got, `"userIdentity":`+test.want+`,"eventTime"`) {
			t.Errorf("%s: want\n%s\nin\n%s", test.name, test.want, got)
		}
	}
}
