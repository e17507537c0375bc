package identity_test

//lint:file-ignore SA1019 PackedPolicySize is deprecated, but STS answers with it still.

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"vigil/internal/call"
)

func assume(role string) *sts.AssumeRoleInput {
	return &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: new("s")}
}

func TestASessionIsTheRole(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	role := h.role("R", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"))
	in := assume(role)
	in.Tags, in.SourceIdentity = stsTags("Team", "red"), new("alice")
	out := do[sts.AssumeRoleOutput](alice, "AssumeRole", in)
	const name = "arn:aws:sts::111122223333:assumed-role/R/s"
	if *out.AssumedRoleUser.Arn != name || *in.DurationSeconds != 3600 || *out.SourceIdentity != "alice" || *out.PackedPolicySize < 1 {
		t.Errorf("got %+v", out)
	}
	if !strings.HasPrefix(*out.Credentials.AccessKeyId, "ASIA") || len(*out.Credentials.AccessKeyId) != 20 {
		t.Errorf("the key is %s", *out.Credentials.AccessKeyId)
	}
	s := h.session(out.Credentials)
	for range 2 { // the second time after a restart
		secret, p, err := h.id.Lookup(s.key, s.token)
		if err != nil || secret != *out.Credentials.SecretAccessKey {
			t.Fatal(err)
		}
		if p.ARN != name || p.PrincipalID != *out.AssumedRoleUser.AssumedRoleId || p.Session.Issuer.ARN != role || p.Tags["Team"] != "red" || p.Session.SourceIdentity != "alice" {
			t.Errorf("the principal is %+v", p)
		}
		s.wantMay("kms:Encrypt", "!kms:Decrypt")
		h.restart()
	}
	who := do[sts.GetCallerIdentityOutput](s, "GetCallerIdentity", &sts.GetCallerIdentityInput{})
	if *who.Arn != name || !strings.HasPrefix(*who.UserId, "AROA") {
		t.Errorf("it is %s, %s", *who.Arn, *who.UserId)
	}
	h.clock.Advance(hour)
	if _, err := s.principal(); !errors.Is(err, call.ErrExpiredToken) {
		t.Errorf("after an hour: %v", err)
	}
}

func TestASessionEndsWithItsRole(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	role := h.role("R", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`))
	s := h.session(do[sts.AssumeRoleOutput](alice, "AssumeRole", assume(role)).Credentials)
	s.wantMay("kms:Encrypt")
	do[iam.DeleteRolePolicyOutput](h.root, "DeleteRolePolicy", &iam.DeleteRolePolicyInput{RoleName: new("R"), PolicyName: new("p")})
	s.wantMay("!kms:Encrypt")
	do[iam.DeleteRoleOutput](h.root, "DeleteRole", &iam.DeleteRoleInput{RoleName: new("R")})
	h.role("R", trusting(`{"AWS":"111122223333"}`))
	if _, err := s.principal(); err == nil {
		t.Error("it lives on with a role of the same name")
	}
}

func TestTokensAreSealed(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	out := do[sts.GetSessionTokenOutput](alice, "GetSessionToken", &sts.GetSessionTokenInput{MinimumSessionTokenSize: new(int32(2000))})
	token := *out.Credentials.SessionToken
	if len(token) < 2000 || len(token) > 2100 || *out.SessionTokenSize != int32(len(token)) {
		t.Errorf("the token has %d bytes", len(token))
	}
	other := do[sts.GetSessionTokenOutput](alice, "GetSessionToken", &sts.GetSessionTokenInput{}).Credentials
	changed := []byte(token)
	changed[100] ^= 1
	for name, c := range map[string]caller{
		"no token":          {h, *out.Credentials.AccessKeyId, ""},
		"another's token":   {h, *out.Credentials.AccessKeyId, *other.SessionToken},
		"a changed token":   {h, *out.Credentials.AccessKeyId, string(changed)},
		"a token too much":  {h, alice.key, token},
		"a text of any one": {h, *out.Credentials.AccessKeyId, "AQoDYXdzEPT//////////wEXAMPLE"},
	} {
		if _, err := c.principal(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	s := h.session(out.Credentials)
	if p, err := s.principal(); err != nil || p.UserName != "alice" || p.Session == nil {
		t.Errorf("%+v %v", p, err)
	}
	s.refused("ListUsers", &iam.ListUsersInput{}, "InvalidClientTokenId: The security token included in the request is invalid")
	s.refused("GetSessionToken", &sts.GetSessionTokenInput{}, "AccessDenied: Cannot call GetSessionToken with session credentials")
}

func TestWhoMayAssume(t *testing.T) {
	h := newHouse(t)
	alice, bob := h.user("alice"), h.user("bob")
	do[iam.PutUserPolicyOutput](h.root, "PutUserPolicy", &iam.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: allowing("sts:AssumeRole")})
	byName := h.role("ByName", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`))
	byAccount := h.role("ByAccount", trusting(`{"AWS":"111122223333"}`))
	withID := h.role("WithID", new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},`+
		`"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"42"}}}}`))
	open := h.role("Open", trusting(`{"AWS":"444455556666"}`))
	denied := func(who, role string) string {
		return "AccessDenied: User: " + who + " is not authorized to perform: sts:AssumeRole on resource: " + role
	}
	const aliceARN, bobARN = "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/bob"
	do[sts.AssumeRoleOutput](alice, "AssumeRole", assume(byName))
	bob.refused("AssumeRole", assume(byName), denied(bobARN, byName))
	alice.refused("AssumeRole", assume(byAccount), denied(aliceARN, byAccount))
	do[sts.AssumeRoleOutput](bob, "AssumeRole", assume(byAccount))
	alice.refused("AssumeRole", assume(withID), denied(aliceARN, withID))
	in := assume(withID)
	in.ExternalId = new("42")
	do[sts.AssumeRoleOutput](alice, "AssumeRole", in)
	in = assume(byName)
	in.Tags = stsTags("a", "b")
	alice.refused("AssumeRole", in, "AccessDenied: User: "+aliceARN+" is not authorized to perform: sts:TagSession on resource: "+byName)
	none := "arn:aws:iam::111122223333:role/None"
	bob.refused("AssumeRole", assume(none), denied(bobARN, none))
	bob.refused("AssumeRole", assume("arn:aws:iam::111122223333:user/bob"), "ValidationException: arn:aws:iam::111122223333:user/bob is invalid")
	h.root.refused("AssumeRole", assume(byAccount), "AccessDenied: Roles may not be assumed by root accounts.")

	// Of another account: both sides must allow it.
	do[iam.CreateUserOutput](h.them, "CreateUser", &iam.CreateUserInput{UserName: new("eve")})
	key := do[iam.CreateAccessKeyOutput](h.them, "CreateAccessKey", &iam.CreateAccessKeyInput{UserName: new("eve")}).AccessKey
	eve := &caller{h, *key.AccessKeyId, ""}
	eve.refused("AssumeRole", assume(open), "AccessDenied: ")
	do[iam.AttachUserPolicyOutput](h.them, "AttachUserPolicy", &iam.AttachUserPolicyInput{UserName: new("eve"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")})
	eve.refused("AssumeRole", assume(byAccount), "AccessDenied: ")
	s := h.session(do[sts.AssumeRoleOutput](eve, "AssumeRole", assume(open)).Credentials)
	if p, err := s.principal(); err != nil || p.Account != ours {
		t.Errorf("%+v %v", p, err)
	}

	// A new user of an old name is not the one that was trusted.
	do[iam.DeleteAccessKeyOutput](h.root, "DeleteAccessKey", &iam.DeleteAccessKeyInput{UserName: new("alice"), AccessKeyId: &alice.key})
	do[iam.DeleteUserOutput](h.root, "DeleteUser", &iam.DeleteUserInput{UserName: new("alice")})
	alice = h.user("alice")
	alice.refused("AssumeRole", assume(byName), denied(aliceARN, byName))
}

func TestSessionPoliciesNarrow(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	role := h.role("R", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`))
	both := h.policy("Both", allowing("kms:Encrypt", "kms:Decrypt"))
	in := assume(role)
	in.Policy = allowing("kms:Decrypt")
	h.session(do[sts.AssumeRoleOutput](alice, "AssumeRole", in).Credentials).wantMay("!kms:Encrypt", "!kms:Decrypt")
	in.PolicyArns = []types.PolicyDescriptorType{{Arn: &both}}
	s := h.session(do[sts.AssumeRoleOutput](alice, "AssumeRole", in).Credentials)
	s.wantMay("kms:Encrypt", "!kms:Decrypt")
	in.PolicyArns = []types.PolicyDescriptorType{{Arn: new("arn:aws:iam::444455556666:policy/Both")}}
	alice.refused("AssumeRole", in, "ValidationException: ")
	in.PolicyArns, in.Policy = nil, new("{")
	alice.refused("AssumeRole", in, "MalformedPolicyDocumentException: ")
	in.Policy = allowing("kms:" + strings.Repeat("a", 2048))
	alice.refused("AssumeRole", in, "PackedPolicyTooLargeException: ")
}

func TestChains(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	all := []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
	first := h.role("First", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, all...))
	second := h.role("Second", trusting(`{"AWS":"`+first+`"}`, all...))
	in := assume(first)
	in.DurationSeconds = new(int32(7200))
	in.Tags, in.TransitiveTagKeys, in.SourceIdentity = stsTags("Team", "red", "Job", "x"), []string{"Team"}, new("alice")
	s := h.session(do[sts.AssumeRoleOutput](alice, "AssumeRole", in).Credentials)

	in = assume(second)
	in.DurationSeconds = new(int32(3601))
	s.refused("AssumeRole", in, "ValidationException: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	in = assume(second)
	in.Tags = stsTags("team", "blue")
	s.refused("AssumeRole", in, "InvalidParameterValue: ")
	in.TransitiveTagKeys = []string{"team"}
	s.refused("AssumeRole", in, "InvalidParameterValue: One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
	in.Tags, in.TransitiveTagKeys = nil, []string{"Job"}
	s.refused("AssumeRole", in, "InvalidParameterValue: The specified transitive tag key must be included in the requested tags.")
	in.Tags, in.TransitiveTagKeys = stsTags("a", "1", "A", "2"), nil
	s.refused("AssumeRole", in, "InvalidParameterValue: Duplicate tag keys found. Please note that Tag keys are case insensitive.")
	in.Tags, in.SourceIdentity = nil, new("bob")
	s.refused("AssumeRole", in, "AccessDenied: ")
	next := h.session(do[sts.AssumeRoleOutput](s, "AssumeRole", assume(second)).Credentials)
	p, err := next.principal()
	if err != nil || len(p.Tags) != 1 || p.Tags["Team"] != "red" || p.Session.SourceIdentity != "alice" {
		t.Errorf("%+v %v", p, err)
	}
	in = assume(first)
	in.DurationSeconds = new(int32(7201))
	alice.refused("AssumeRole", in, "ValidationException: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	s.refused("GetFederationToken", &sts.GetFederationTokenInput{Name: new("bob")}, "AccessDenied: Cannot call GetFederationToken with session credentials")
}

func TestFederatedUsers(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	in := &sts.GetFederationTokenInput{Name: new("guest"), Policy: allowing("kms:*")}
	alice.refused("GetFederationToken", in, "AccessDenied: ")
	do[iam.PutUserPolicyOutput](h.root, "PutUserPolicy", &iam.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("p"), PolicyDocument: allowing("sts:GetFederationToken", "kms:Encrypt")})
	out := do[sts.GetFederationTokenOutput](alice, "GetFederationToken", in)
	guest := h.session(out.Credentials)
	guest.wantMay("kms:Encrypt", "!kms:Decrypt", "!sts:GetFederationToken")
	if *out.FederatedUser.Arn != "arn:aws:sts::111122223333:federated-user/guest" || *out.FederatedUser.FederatedUserId != "111122223333:guest" {
		t.Errorf("it is %s", *out.FederatedUser.Arn)
	}
	guest.refused("ListUsers", &iam.ListUsersInput{}, "InvalidClientTokenId: ")
	h.session(do[sts.GetFederationTokenOutput](alice, "GetFederationToken", &sts.GetFederationTokenInput{Name: new("guest")}).Credentials).wantMay("!kms:Encrypt")

	byRoot := do[sts.GetFederationTokenOutput](h.root, "GetFederationToken", &sts.GetFederationTokenInput{Name: new("guest"), Policy: allowing("kms:*")})
	h.session(byRoot.Credentials).wantMay("kms:Encrypt", "kms:Decrypt", "!sqs:SendMessage")
	if life := byRoot.Credentials.Expiration.Sub(h.clock.Now()); life > hour {
		t.Errorf("it lives %v", life)
	}

	do[iam.DeleteAccessKeyOutput](h.root, "DeleteAccessKey", &iam.DeleteAccessKeyInput{UserName: new("alice"), AccessKeyId: &alice.key})
	do[iam.DeleteUserPolicyOutput](h.root, "DeleteUserPolicy", &iam.DeleteUserPolicyInput{UserName: new("alice"), PolicyName: new("p")})
	guest.wantMay("!kms:Encrypt")
	do[iam.DeleteUserOutput](h.root, "DeleteUser", &iam.DeleteUserInput{UserName: new("alice")})
	if _, err := guest.principal(); err == nil {
		t.Error("the guest of a deleted user is known")
	}
}
