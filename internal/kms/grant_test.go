package kms_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

// as is a caller who is not a root user. Permissions may be nil: then its own policies allow nothing.
func (h *house) as(who call.Principal, op string, in any) (any, *call.Call, error) {
	return h.do2(who, op, in)
}

func user(account, name string, policies ...string) call.Principal {
	return call.Principal{
		Type: "IAMUser", ARN: "arn:aws:iam::" + account + ":user/" + name, Account: account, UserName: name,
		PrincipalID: "AIDA" + strings.ToUpper(name) + "EXAMPLE1234", UniqueID: "AIDA" + strings.ToUpper(name) + "EXAMPLE1234",
		Permissions: permissions(policies...),
	}
}

func permissions(policies ...string) *policy.Permissions {
	p := &policy.Permissions{}
	for _, text := range policies {
		document, err := policy.ParseIdentityPolicy(text)
		if err != nil {
			panic(err)
		}
		p.Identity = append(p.Identity, policy.Source{Document: document})
	}
	return p
}

func roleSession(account, role, session string) call.Principal {
	return call.Principal{
		Type: "AssumedRole", ARN: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session, Account: account,
		PrincipalID: "AROAEXAMPLE123456789:" + session, UniqueID: "AROAEXAMPLE123456789", Permissions: permissions(),
		Session: &call.Session{Issuer: &call.Issuer{Type: "Role", ARN: "arn:aws:iam::" + account + ":role/" + role}},
	}
}

func service(name, source string) call.Principal {
	return call.Principal{Type: "AWSService", Service: name, SourceARN: source}
}

// grant makes a grant as the key's owner.
func (h *house) grant(t testing.TB, in awskms.CreateGrantInput) *awskms.CreateGrantOutput {
	t.Helper()
	return must[awskms.CreateGrantOutput](t, h, alice, "CreateGrant", &in)
}

const accessDenied = "AccessDeniedException"

// code is the code of an error, or "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	c, _, _ := strings.Cut(err.Error(), ":")
	return c
}

// A grant is for whom it names and for what it lists, in this account or another, until it is revoked.
func TestGrantsLetGranteesIn(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	const iam, sts = "arn:aws:iam::", "arn:aws:sts::"
	encryptAll := `{"Statement":{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}}`
	denyAll := `{"Statement":{"Effect":"Deny","Action":"kms:Encrypt","Resource":"*"}}`
	own, other := alice.account, bob.account
	for _, test := range []struct {
		name, grantee string
		caller        call.Principal
		want          string
	}{
		{"the user", iam + own + ":user/ann", user(own, "ann"), ""},
		{"another user", iam + own + ":user/ann", user(own, "ben"), accessDenied},
		{"a user who is denied", iam + own + ":user/ann", user(own, "ann", denyAll), accessDenied},
		{"a user of another account", iam + other + ":user/ann", user(other, "ann"), ""},
		{"a session of the role", iam + own + ":role/app", roleSession(own, "app", "one"), ""},
		{"a session of another role", iam + own + ":role/app", roleSession(own, "web", "one"), accessDenied},
		{"the session", sts + own + ":assumed-role/app/one", roleSession(own, "app", "one"), ""},
		{"another session of its role", sts + own + ":assumed-role/app/one", roleSession(own, "app", "two"), accessDenied},
		{"the root user of the account", iam + other + ":root",
			call.Principal{Type: "Root", ARN: iam + other + ":root", Account: other}, ""},
		{"who is delegated by the account", iam + other + ":root", user(other, "ann", encryptAll), ""},
		{"who is not delegated by the account", iam + other + ":root", user(other, "ann"), accessDenied},
		{"a federated user", sts + own + ":federated-user/fay",
			call.Principal{Type: "FederatedUser", ARN: sts + own + ":federated-user/fay", Account: own}, ""},
	} {
		encrypt := func() error {
			_, _, err := h.as(test.caller, "Encrypt", &awskms.EncryptInput{KeyId: m.Arn, Plaintext: []byte("x")})
			return err
		}
		if got := code(encrypt()); got != accessDenied {
			t.Errorf("%s, before the grant: %q", test.name, got)
		}
		g := h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: &test.grantee, Operations: []types.GrantOperation{"Encrypt"}})
		if got := code(encrypt()); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		_, _, err := h.as(test.caller, "DescribeKey", &awskms.DescribeKeyInput{KeyId: m.Arn})
		if code(err) != accessDenied {
			t.Errorf("%s may do what the grant does not list: %v", test.name, err)
		}
		h.do(t, alice, "RevokeGrant", &awskms.RevokeGrantInput{KeyId: m.KeyId, GrantId: g.GrantId})
		if got := code(encrypt()); got != accessDenied {
			t.Errorf("%s, after the grant: %q", test.name, got)
		}
	}
}

// do2 is call for any principal.
func (h *house) do2(who call.Principal, op string, in any) (any, *call.Call, error) {
	c := caller{who.Account, alice.region}.begin(h.clock.Now(), op)
	c.Principal = who
	out, err := h.ops[op].Do(context.Background(), c, in)
	if err == nil && c.PendingEffect() != nil {
		err = h.journal.Commit(context.Background(), c.PendingEffect(), nothingRecorded)
	}
	return out, c, err
}

func TestGrantConstraints(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	ann := user(alice.account, "ann")
	ab, a := map[string]string{"a": "1", "b": "2"}, map[string]string{"a": "1"}
	for _, test := range []struct {
		name        string
		constraints *types.GrantConstraints
		context     map[string]string
		want        string
	}{
		{"none", nil, ab, ""},
		{"equal", &types.GrantConstraints{EncryptionContextEquals: ab}, ab, ""},
		{"more than equal", &types.GrantConstraints{EncryptionContextEquals: a}, ab, accessDenied},
		{"less than equal", &types.GrantConstraints{EncryptionContextEquals: ab}, a, accessDenied},
		{"another case", &types.GrantConstraints{EncryptionContextEquals: a}, map[string]string{"A": "1"}, accessDenied},
		{"subset", &types.GrantConstraints{EncryptionContextSubset: a}, ab, ""},
		{"less than the subset", &types.GrantConstraints{EncryptionContextSubset: ab}, a, accessDenied},
		{"no context", &types.GrantConstraints{EncryptionContextSubset: a}, nil, accessDenied},
		{"a source, but no service", &types.GrantConstraints{SourceArn: new("arn:aws:s3:::b")}, nil, ""},
	} {
		g := h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: &ann.ARN, Constraints: test.constraints,
			Operations: []types.GrantOperation{"Encrypt", "Decrypt", "DescribeKey", "ReEncryptFrom", "ReEncryptTo"}})
		_, _, err := h.as(ann, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x"), EncryptionContext: test.context})
		if code(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		blob := h.encrypt(t, alice, *m.KeyId, "x", test.context)
		_, _, err = h.as(ann, "Decrypt", &awskms.DecryptInput{CiphertextBlob: blob, EncryptionContext: test.context})
		if code(err) != test.want {
			t.Errorf("%s: Decrypt: %v", test.name, err)
		}
		_, _, err = h.as(ann, "ReEncrypt", &awskms.ReEncryptInput{CiphertextBlob: blob, DestinationKeyId: m.KeyId,
			SourceEncryptionContext: test.context, DestinationEncryptionContext: test.context})
		if code(err) != test.want {
			t.Errorf("%s: ReEncrypt: %v", test.name, err)
		}
		if _, _, err = h.as(ann, "DescribeKey", &awskms.DescribeKeyInput{KeyId: m.KeyId}); err != nil {
			t.Errorf("%s: DescribeKey: %v", test.name, err)
		}
		h.do(t, alice, "RevokeGrant", &awskms.RevokeGrantInput{KeyId: m.KeyId, GrantId: g.GrantId})
	}

	source := "arn:aws:logs:us-west-2:111122223333:log-group:a"
	h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteeServicePrincipal: new("logs.amazonaws.com"),
		RetiringPrincipal: &ann.ARN, Constraints: &types.GrantConstraints{SourceArn: &source}, Operations: []types.GrantOperation{"Encrypt"}})
	for _, test := range []struct {
		caller call.Principal
		want   string
	}{
		{service("logs.amazonaws.com", source), ""},
		{service("logs.amazonaws.com", source+"b"), accessDenied},
		{service("s3.amazonaws.com", source), accessDenied},
	} {
		_, _, err := h.as(test.caller, "Encrypt", &awskms.EncryptInput{KeyId: m.Arn, Plaintext: []byte("x")})
		if code(err) != test.want {
			t.Errorf("%+v: %v", test.caller, err)
		}
	}
}

// The same call with a name is the same grant, with another token. Without a name it is a new one.
func TestGrantNamesAndTokens(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	in := awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: new("arn:aws:iam::111122223333:user/ann"),
		Operations: []types.GrantOperation{"Encrypt", "RetireGrant"}}
	if first, second := h.grant(t, in), h.grant(t, in); *first.GrantId == *second.GrantId {
		t.Error("two grants without a name are one")
	}
	in.Name = new("N")
	first, second := h.grant(t, in), h.grant(t, in)
	if *first.GrantId != *second.GrantId || *first.GrantToken == *second.GrantToken || len(*first.GrantId) != 64 {
		t.Errorf("the same grant twice: %s, %s", asJSON(t, first), asJSON(t, second))
	}
	in.Operations = []types.GrantOperation{"Encrypt"}
	if other := h.grant(t, in); *other.GrantId == *first.GrantId {
		t.Error("a grant of the same name for something else is the same")
	}
	if n := h.count(t, "kms_grant"); n != 4 {
		t.Errorf("%d grants, want 4", n)
	}
	encrypt := &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x"), GrantTokens: []string{*first.GrantToken, *second.GrantToken}}
	if _, _, err := h.as(user(alice.account, "ann"), "Encrypt", encrypt); err != nil {
		t.Error(err)
	}
	for _, token := range []string{"x", "", *first.GrantToken + "A", strings.Repeat("A", 200)} {
		err := h.try(alice, "Encrypt", &awskms.EncryptInput{KeyId: m.KeyId, Plaintext: []byte("x"), GrantTokens: []string{token}})
		refused(t, "the token "+token, err, "InvalidGrantTokenException", "The grant token is not valid.")
	}
	retire := &awskms.RetireGrantInput{GrantToken: second.GrantToken}
	if _, _, err := h.as(user(alice.account, "ann"), "RetireGrant", retire); err != nil {
		t.Error(err)
	}
	refused(t, "retiring again", h.try(alice, "RetireGrant", retire), "NotFoundException", "Grant ID "+*first.GrantId+" not found")
}

// Who has a grant for CreateGrant makes grants that give no more than that one.
func TestGrantsOfGrantees(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	ann := user(alice.account, "ann")
	a, ab := map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}
	for _, test := range []struct {
		name          string
		parent, child *types.GrantConstraints
		operations    []types.GrantOperation
		want          string
	}{
		{"the same", nil, nil, []types.GrantOperation{"Encrypt"}, ""},
		{"an operation more", nil, nil, []types.GrantOperation{"Encrypt", "Decrypt"}, accessDenied},
		{"CreateGrant again", nil, nil, []types.GrantOperation{"CreateGrant"}, ""},
		{"more pairs", &types.GrantConstraints{EncryptionContextSubset: a}, &types.GrantConstraints{EncryptionContextSubset: ab}, nil, ""},
		{"fewer pairs", &types.GrantConstraints{EncryptionContextSubset: ab}, &types.GrantConstraints{EncryptionContextSubset: a}, nil, accessDenied},
		{"no constraint", &types.GrantConstraints{EncryptionContextSubset: a}, nil, nil, accessDenied},
		{"subset to equals", &types.GrantConstraints{EncryptionContextSubset: a}, &types.GrantConstraints{EncryptionContextEquals: ab}, nil, ""},
		{"equals to subset", &types.GrantConstraints{EncryptionContextEquals: a}, &types.GrantConstraints{EncryptionContextSubset: a}, nil, accessDenied},
	} {
		g := h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: &ann.ARN, Constraints: test.parent,
			Operations: []types.GrantOperation{"Encrypt", "CreateGrant"}})
		if test.operations == nil {
			test.operations = []types.GrantOperation{"Encrypt"}
		}
		_, _, err := h.as(ann, "CreateGrant", &awskms.CreateGrantInput{KeyId: m.KeyId, Operations: test.operations,
			GranteePrincipal: new("arn:aws:iam::111122223333:user/ben"), Constraints: test.child})
		if code(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		h.do(t, alice, "RevokeGrant", &awskms.RevokeGrantInput{KeyId: m.KeyId, GrantId: g.GrantId})
	}
}

func TestWhoRetiresGrants(t *testing.T) {
	h := open(t)
	m := h.symmetric(t, alice)
	retireAll := `{"Statement":{"Effect":"Allow","Action":"kms:RetireGrant","Resource":"*"}}`
	for _, test := range []struct {
		name, grantee, retiring string
		operations              []types.GrantOperation
		caller                  call.Principal
		want                    string
	}{
		{"the retiring principal", "ann", "ben", nil, user(alice.account, "ben"), ""},
		{"the grantee", "ann", "ben", nil, user(alice.account, "ann"), accessDenied},
		{"the grantee with RetireGrant", "ann", "ben", []types.GrantOperation{"RetireGrant"}, user(alice.account, "ann"), ""},
		{"somebody", "ann", "ben", nil, user(alice.account, "cat"), accessDenied},
		{"who is delegated", "ann", "ben", nil, user(alice.account, "cat", retireAll), ""},
		{"somebody of another account", "ann", "ben", nil, user(bob.account, "cat", retireAll), accessDenied},
	} {
		g := h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: new("arn:aws:iam::111122223333:user/" + test.grantee),
			RetiringPrincipal: new("arn:aws:iam::111122223333:user/" + test.retiring), Operations: append(test.operations, "Encrypt")})
		in := awskms.RetireGrantInput{KeyId: m.Arn, GrantId: g.GrantId, DryRun: new(true)}
		want := test.want
		if want == "" {
			want = "DryRunOperationException"
		}
		if _, _, err := h.as(test.caller, "RetireGrant", &in); code(err) != want {
			t.Errorf("%s, DryRun: %v", test.name, err)
		}
		in.DryRun = nil
		if _, _, err := h.as(test.caller, "RetireGrant", &in); code(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestGrantsAreListed(t *testing.T) {
	h := open(t)
	m, other := h.symmetric(t, alice), h.symmetric(t, alice)
	ann, ben := "arn:aws:iam::111122223333:user/ann", "arn:aws:iam::111122223333:user/ben"
	var ids []string
	for i := range 5 {
		g := h.grant(t, awskms.CreateGrantInput{KeyId: m.KeyId, GranteePrincipal: &[]string{ann, ben}[i%2], RetiringPrincipal: &ben,
			Operations: []types.GrantOperation{"Encrypt"}, Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"n": fmt.Sprint(i)}}})
		ids = append(ids, *g.GrantId)
	}
	h.grant(t, awskms.CreateGrantInput{KeyId: other.KeyId, GranteePrincipal: &ann, RetiringPrincipal: &ben, Operations: []types.GrantOperation{"Decrypt"}})
	var marker *string
	seen := map[string]bool{}
	for range 3 {
		out := must[awskms.ListGrantsOutput](t, h, alice, "ListGrants", &awskms.ListGrantsInput{KeyId: m.KeyId, Limit: new(int32(2)), Marker: marker})
		for _, g := range out.Grants {
			seen[*g.GrantId] = true
			if *g.KeyId != *m.Arn || *g.IssuingAccount != "arn:aws:iam::111122223333:root" || *g.RetiringPrincipal != ben ||
				*g.Name != "" || len(g.Constraints.EncryptionContextSubset) != 1 {
				t.Errorf("listed: %s", asJSON(t, g))
			}
		}
		marker = out.NextMarker
	}
	if marker != nil || len(seen) != 5 {
		t.Errorf("%d grants listed, then %v", len(seen), marker)
	}
	for _, test := range []struct {
		in   awskms.ListGrantsInput
		want int
	}{
		{awskms.ListGrantsInput{GranteePrincipal: &ann}, 3},
		{awskms.ListGrantsInput{GrantId: &ids[1]}, 1},
		{awskms.ListGrantsInput{GrantId: &ids[1], GranteePrincipal: &ann}, 0},
		{awskms.ListGrantsInput{GranteeServicePrincipal: new("logs.amazonaws.com")}, 0},
	} {
		test.in.KeyId = m.KeyId
		if out := must[awskms.ListGrantsOutput](t, h, alice, "ListGrants", &test.in); len(out.Grants) != test.want {
			t.Errorf("%s: %d grants, want %d", asJSON(t, test.in), len(out.Grants), test.want)
		}
	}
	retirable := must[awskms.ListRetirableGrantsOutput](t, h, alice, "ListRetirableGrants", &awskms.ListRetirableGrantsInput{RetiringPrincipal: &ben})
	if len(retirable.Grants) != 6 {
		t.Errorf("%d retirable grants, want 6", len(retirable.Grants))
	}
}

func TestGrantsRefused(t *testing.T) {
	h := open(t)
	m, mac := h.symmetric(t, alice), h.hmac(t, alice, types.KeySpecHmac256)
	ann := new("arn:aws:iam::111122223333:user/ann")
	encrypt := []types.GrantOperation{"Encrypt"}
	context := map[string]string{"a": "1"}
	for _, test := range []struct {
		name, want string
		in         awskms.CreateGrantInput
	}{
		{"no grantee", "ValidationException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt}},
		{"a group", "InvalidArnException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: new("arn:aws:iam::111122223333:group/g")}},
		{"a service as a principal", "InvalidArnException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: new("s3.amazonaws.com")}},
		{"a service without source", "ValidationException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteeServicePrincipal: new("s3.amazonaws.com"), RetiringPrincipal: ann}},
		{"an operation of other keys", "ValidationException", awskms.CreateGrantInput{KeyId: mac.KeyId, Operations: encrypt, GranteePrincipal: ann}},
		{"a context for an HMAC key", "ValidationException", awskms.CreateGrantInput{KeyId: mac.KeyId, Operations: []types.GrantOperation{"GenerateMac"},
			GranteePrincipal: ann, Constraints: &types.GrantConstraints{EncryptionContextEquals: context}}},
		{"both constraints", "ValidationException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: ann,
			Constraints: &types.GrantConstraints{EncryptionContextEquals: context, EncryptionContextSubset: context}}},
		{"too long a constraint", "ValidationException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: ann,
			Constraints: &types.GrantConstraints{EncryptionContextEquals: map[string]string{"a": strings.Repeat("x", 384)}}}},
		{"DryRun", "DryRunOperationException", awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: ann, DryRun: new(true)}},
	} {
		if err := h.try(alice, "CreateGrant", &test.in); code(err) != test.want {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if n := h.count(t, "kms_grant"); n != 0 {
		t.Errorf("%d grants were made", n)
	}
	revoke := func(id string) string {
		return code(h.try(alice, "RevokeGrant", &awskms.RevokeGrantInput{KeyId: m.KeyId, GrantId: &id}))
	}
	if got := revoke("xyz"); got != "InvalidGrantIdException" {
		t.Error(got)
	}
	if got := revoke(strings.Repeat("0", 64)); got != "NotFoundException" {
		t.Error(got)
	}
	h.do(t, alice, "DisableKey", &awskms.DisableKeyInput{KeyId: m.KeyId})
	if err := h.try(alice, "CreateGrant", &awskms.CreateGrantInput{KeyId: m.KeyId, Operations: encrypt, GranteePrincipal: ann}); code(err) != "DisabledException" {
		t.Error(err)
	}
}
