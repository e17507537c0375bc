package identity_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

func TestPermissionsFollowEveryChange(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	name := new("alice")
	alice.wantMay("!kms:Encrypt")

	do[iam.PutUserPolicyOutput](h.root, "PutUserPolicy", &iam.PutUserPolicyInput{UserName: name, PolicyName: new("p"), PolicyDocument: allowing("kms:Encrypt")})
	alice.wantMay("kms:Encrypt", "!kms:Decrypt")

	managed := h.policy("Decrypt", allowing("kms:Decrypt"))
	do[iam.AttachUserPolicyOutput](h.root, "AttachUserPolicy", &iam.AttachUserPolicyInput{UserName: name, PolicyArn: &managed})
	alice.wantMay("kms:Encrypt", "kms:Decrypt")

	do[iam.CreatePolicyVersionOutput](h.root, "CreatePolicyVersion", &iam.CreatePolicyVersionInput{PolicyArn: &managed, PolicyDocument: allowing("kms:Sign"), SetAsDefault: true})
	alice.wantMay("kms:Encrypt", "!kms:Decrypt", "kms:Sign")
	do[iam.SetDefaultPolicyVersionOutput](h.root, "SetDefaultPolicyVersion", &iam.SetDefaultPolicyVersionInput{PolicyArn: &managed, VersionId: new("v1")})
	alice.wantMay("kms:Decrypt", "!kms:Sign")

	do[iam.CreateGroupOutput](h.root, "CreateGroup", &iam.CreateGroupInput{GroupName: new("admins")})
	do[iam.AttachGroupPolicyOutput](h.root, "AttachGroupPolicy", &iam.AttachGroupPolicyInput{GroupName: new("admins"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")})
	alice.wantMay("!kms:CreateKey")
	do[iam.AddUserToGroupOutput](h.root, "AddUserToGroup", &iam.AddUserToGroupInput{GroupName: new("admins"), UserName: name})
	alice.wantMay("kms:CreateKey", "iam:CreateUser")

	do[iam.PutUserPermissionsBoundaryOutput](h.root, "PutUserPermissionsBoundary", &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: &managed})
	alice.wantMay("kms:Decrypt", "!kms:CreateKey", "!kms:Encrypt")

	h.restart()
	alice.wantMay("kms:Decrypt", "!kms:CreateKey", "!kms:Encrypt")
	do[iam.DeleteUserPermissionsBoundaryOutput](h.root, "DeleteUserPermissionsBoundary", &iam.DeleteUserPermissionsBoundaryInput{UserName: name})
	do[iam.RemoveUserFromGroupOutput](h.root, "RemoveUserFromGroup", &iam.RemoveUserFromGroupInput{GroupName: new("admins"), UserName: name})
	alice.wantMay("kms:Encrypt", "kms:Decrypt", "!kms:CreateKey")
	do[iam.DetachUserPolicyOutput](h.root, "DetachUserPolicy", &iam.DetachUserPolicyInput{UserName: name, PolicyArn: &managed})
	do[iam.DeleteUserPolicyOutput](h.root, "DeleteUserPolicy", &iam.DeleteUserPolicyInput{UserName: name, PolicyName: new("p")})
	alice.wantMay("!kms:Encrypt", "!kms:Decrypt")
}

func TestIAMItselfNeedsPermission(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	const user = "arn:aws:iam::111122223333:user/"
	alice.refused("CreateUser", &iam.CreateUserInput{UserName: new("bob"), Path: new("/team/")},
		"AccessDenied: User: "+user+"alice is not authorized to perform: iam:CreateUser on resource: "+user+
			"team/bob because no identity-based policy allows the iam:CreateUser action")
	alice.refused("GetUser", &iam.GetUserInput{UserName: new("nobody")},
		"AccessDenied: User: "+user+"alice is not authorized to perform: iam:GetUser on resource: "+user+"nobody because")
	do[iam.PutUserPolicyOutput](h.root, "PutUserPolicy", &iam.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("self"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["iam:GetUser","iam:*AccessKey*"],"Resource":"arn:aws:iam::*:user/${aws:username}"},
		{"Effect":"Allow","Action":"iam:CreateUser","Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}},
		{"Effect":"Allow","Action":"iam:DeleteUser","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}]}`)})
	if got := do[iam.GetUserOutput](alice, "GetUser", &iam.GetUserInput{}); *got.User.UserName != "alice" {
		t.Errorf("got %s", *got.User.UserName)
	}
	do[iam.CreateAccessKeyOutput](alice, "CreateAccessKey", &iam.CreateAccessKeyInput{})
	alice.refused("CreateUser", &iam.CreateUserInput{UserName: new("bob"), Tags: iamTags("team", "blue")}, "AccessDenied: ")
	do[iam.CreateUserOutput](alice, "CreateUser", &iam.CreateUserInput{UserName: new("bob"), Tags: iamTags("Team", "red")})
	alice.refused("DeleteUser", &iam.DeleteUserInput{UserName: new("alice")}, "AccessDenied: ")
	do[iam.DeleteUserOutput](alice, "DeleteUser", &iam.DeleteUserInput{UserName: new("bob")})
	h.them.refused("GetUser", &iam.GetUserInput{UserName: new("alice")}, "NoSuchEntityException: The user with name alice cannot be found.")
}

func TestAccessKeys(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	second := do[iam.CreateAccessKeyOutput](h.root, "CreateAccessKey", &iam.CreateAccessKeyInput{UserName: new("alice")}).AccessKey
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(*second.AccessKeyId) || len(*second.SecretAccessKey) != 40 {
		t.Errorf("the key is %s", *second.AccessKeyId)
	}
	h.root.refused("CreateAccessKey", &iam.CreateAccessKeyInput{UserName: new("alice")}, "LimitExceededException: Cannot exceed quota for AccessKeysPerUser: 2")
	do[iam.UpdateAccessKeyOutput](h.root, "UpdateAccessKey", &iam.UpdateAccessKeyInput{UserName: new("alice"), AccessKeyId: &alice.key, Status: types.StatusTypeInactive})
	for _, when := range []string{"at once", "after a restart"} {
		if _, err := alice.principal(); err == nil {
			t.Errorf("%s: an inactive key signs", when)
		}
		if secret, p, err := h.id.Lookup(*second.AccessKeyId, ""); err != nil || secret != *second.SecretAccessKey || p.UserName != "alice" || p.UniqueID == "" {
			t.Errorf("%s: the other does not: %v", when, err)
		}
		h.restart()
	}
	list := do[iam.ListAccessKeysOutput](h.root, "ListAccessKeys", &iam.ListAccessKeysInput{UserName: new("alice")}).AccessKeyMetadata
	if len(list) != 2 || list[0].Status == list[1].Status {
		t.Errorf("listed are %v", list)
	}
	h.root.refused("DeleteUser", &iam.DeleteUserInput{UserName: new("alice")}, "DeleteConflictException: Cannot delete entity, must delete access keys first.")
	h.them.refused("DeleteAccessKey", &iam.DeleteAccessKeyInput{AccessKeyId: second.AccessKeyId}, "NoSuchEntityException: The Access Key with id "+*second.AccessKeyId+" cannot be found.")
	for _, key := range []string{alice.key, *second.AccessKeyId} {
		do[iam.DeleteAccessKeyOutput](h.root, "DeleteAccessKey", &iam.DeleteAccessKeyInput{UserName: new("alice"), AccessKeyId: &key})
		if _, _, err := h.id.Lookup(key, ""); err == nil {
			t.Error("a deleted key signs")
		}
	}
	do[iam.DeleteUserOutput](h.root, "DeleteUser", &iam.DeleteUserInput{UserName: new("alice")})

	// The root user's own keys can be exchanged.
	next := do[iam.CreateAccessKeyOutput](h.root, "CreateAccessKey", &iam.CreateAccessKeyInput{}).AccessKey
	old := h.root.key
	h.root.key = *next.AccessKeyId
	do[iam.DeleteAccessKeyOutput](h.root, "DeleteAccessKey", &iam.DeleteAccessKeyInput{AccessKeyId: &old})
	if _, _, err := h.id.Lookup(old, ""); err == nil {
		t.Error("the old key of the root user signs")
	}
}

// Each call is refused in AWS's words, and leaves all as it was.
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	h.user("alice")
	p := h.policy("P", allowing("kms:*"))
	role := h.role("R", trusting(`{"AWS":"111122223333"}`))
	do[iam.AttachUserPolicyOutput](h.root, "AttachUserPolicy", &iam.AttachUserPolicyInput{UserName: new("alice"), PolicyArn: &p})
	do[iam.CreateGroupOutput](h.root, "CreateGroup", &iam.CreateGroupInput{GroupName: new("G")})
	do[iam.AddUserToGroupOutput](h.root, "AddUserToGroup", &iam.AddUserToGroupInput{GroupName: new("G"), UserName: new("alice")})
	long := allowing("kms:" + strings.Repeat("a", 2100))
	for _, test := range []struct {
		name string
		in   any
		want string
	}{
		{"CreateUser", &iam.CreateUserInput{UserName: new("ALICE")}, "EntityAlreadyExistsException: User with name ALICE already exists."},
		{"CreateGroup", &iam.CreateGroupInput{GroupName: new("g")}, "EntityAlreadyExistsException: Group with name g already exists."},
		{"CreateRole", &iam.CreateRoleInput{RoleName: new("r"), AssumeRolePolicyDocument: trusting(`{"AWS":"111122223333"}`)}, "EntityAlreadyExistsException: Role with name r already exists."},
		{"CreatePolicy", &iam.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: allowing("kms:*")}, "EntityAlreadyExistsException: A policy called p already exists. Duplicate names are not allowed."},
		{"CreateUser", &iam.CreateUserInput{UserName: new("b"), Path: new("team")}, "ValidationException: The specified value for path is invalid."},
		{"CreateUser", &iam.CreateUserInput{UserName: new("b"), Tags: iamTags("a", "1", "A", "2")}, "InvalidInputException: Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{"CreateUser", &iam.CreateUserInput{UserName: new("b"), PermissionsBoundary: new("arn:aws:iam::111122223333:policy/none")}, "NoSuchEntityException: Scope ARN: "},
		{"GetUser", &iam.GetUserInput{UserName: new("bob")}, "NoSuchEntityException: The user with name bob cannot be found."},
		{"GetRole", &iam.GetRoleInput{RoleName: new("bob")}, "NoSuchEntityException: The role with name bob cannot be found."},
		{"GetGroup", &iam.GetGroupInput{GroupName: new("bob")}, "NoSuchEntityException: The group with name bob cannot be found."},
		{"GetUserPolicy", &iam.GetUserPolicyInput{UserName: new("alice"), PolicyName: new("x")}, "NoSuchEntityException: The user policy with name x cannot be found."},
		{"GetPolicy", &iam.GetPolicyInput{PolicyArn: new("arn:aws:iam::111122223333:policy/none")}, "NoSuchEntityException: Policy arn:aws:iam::111122223333:policy/none was not found."},
		{"GetPolicy", &iam.GetPolicyInput{PolicyArn: new("arn:aws:iam::111122223333:policy/path/P")}, "NoSuchEntityException: "},
		{"AttachUserPolicy", &iam.AttachUserPolicyInput{UserName: new("alice"), PolicyArn: new("arn:aws:iam::aws:policy/None")}, "NoSuchEntityException: Policy arn:aws:iam::aws:policy/None does not exist or is not attachable."},
		{"DetachUserPolicy", &iam.DetachUserPolicyInput{UserName: new("alice"), PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess")}, "NoSuchEntityException: "},
		{"DeletePolicy", &iam.DeletePolicyInput{PolicyArn: &p}, "DeleteConflictException: Cannot delete a policy attached to entities."},
		{"DeletePolicyVersion", &iam.DeletePolicyVersionInput{PolicyArn: &p, VersionId: new("v1")}, "DeleteConflictException: Cannot delete the default version of a policy."},
		{"DeleteUser", &iam.DeleteUserInput{UserName: new("alice")}, "DeleteConflictException: Cannot delete entity, must detach all policies first."},
		{"DeleteGroup", &iam.DeleteGroupInput{GroupName: new("G")}, "DeleteConflictException: Cannot delete entity, must remove users from group first."},
		{"DeleteRole", &iam.DeleteRoleInput{RoleName: new("R")}, "DeleteConflictException: Cannot delete entity, must delete policies first."},
		{"PutUserPolicy", &iam.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("x"), PolicyDocument: new(`{`)}, "MalformedPolicyDocumentException: "},
		{"PutUserPolicy", &iam.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("x"), PolicyDocument: long}, "LimitExceededException: Maximum policy size of 2048 bytes exceeded for user alice"},
		{"CreateRole", &iam.CreateRoleInput{RoleName: new("Q"), AssumeRolePolicyDocument: allowing("kms:*")}, "MalformedPolicyDocumentException: "},
		{"CreateRole", &iam.CreateRoleInput{RoleName: new("Q"), AssumeRolePolicyDocument: trusting(`{"AWS":"arn:aws:iam::111122223333:user/nobody"}`)},
			`MalformedPolicyDocumentException: Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/nobody"`},
		{"CreateOpenIDConnectProvider", &iam.CreateOpenIDConnectProviderInput{Url: new("http://example.com")}, "ValidationException: Invalid Open ID Connect Provider URL"},
		{"TagPolicy", &iam.TagPolicyInput{PolicyArn: new("arn:aws:iam::aws:policy/AdministratorAccess"), Tags: iamTags("a", "b")}, "AccessDenied: "},
		{"ListUsers", &iam.ListUsersInput{Marker: new("?")}, "ValidationException: Invalid Marker."},
		{"GetLoginProfile", &iam.GetLoginProfileInput{UserName: new("alice")}, "NoSuchEntityException: Login Profile for User alice cannot be found."},
	} {
		h.root.refused(test.name, test.in, test.want)
	}
	if got := do[iam.GetRoleOutput](h.root, "GetRole", &iam.GetRoleInput{RoleName: new("R")}).Role; *got.Arn != role || *got.MaxSessionDuration != 7200 {
		t.Errorf("the role is %v", got)
	}
}

func TestManagedPolicyVersions(t *testing.T) {
	h := newHouse(t)
	p := h.policy("P", allowing("kms:a"))
	for i := range 4 {
		v := do[iam.CreatePolicyVersionOutput](h.root, "CreatePolicyVersion", &iam.CreatePolicyVersionInput{PolicyArn: &p, PolicyDocument: allowing(fmt.Sprint("kms:", i))}).PolicyVersion
		if *v.VersionId != fmt.Sprint("v", i+2) || v.IsDefaultVersion {
			t.Errorf("version %d is %s", i+2, *v.VersionId)
		}
	}
	h.root.refused("CreatePolicyVersion", &iam.CreatePolicyVersionInput{PolicyArn: &p, PolicyDocument: allowing("kms:x")}, "LimitExceededException: A managed policy can have up to 5 versions.")
	h.root.refused("DeletePolicy", &iam.DeletePolicyInput{PolicyArn: &p}, "DeleteConflictException: This policy has more than one version.")
	do[iam.SetDefaultPolicyVersionOutput](h.root, "SetDefaultPolicyVersion", &iam.SetDefaultPolicyVersionInput{PolicyArn: &p, VersionId: new("v3")})
	do[iam.DeletePolicyVersionOutput](h.root, "DeletePolicyVersion", &iam.DeletePolicyVersionInput{PolicyArn: &p, VersionId: new("v5")})
	v := do[iam.CreatePolicyVersionOutput](h.root, "CreatePolicyVersion", &iam.CreatePolicyVersionInput{PolicyArn: &p, PolicyDocument: allowing("kms:x")}).PolicyVersion
	if *v.VersionId != "v6" {
		t.Errorf("a number came again: %s", *v.VersionId)
	}
	var ids []string
	var marker *string
	for {
		out := do[iam.ListPolicyVersionsOutput](h.root, "ListPolicyVersions", &iam.ListPolicyVersionsInput{PolicyArn: &p, Marker: marker, MaxItems: new(int32(2))})
		for _, v := range out.Versions {
			ids = append(ids, *v.VersionId)
		}
		if marker = out.Marker; !out.IsTruncated {
			break
		}
	}
	if got := strings.Join(ids, " "); got != "v6 v4 v3 v2 v1" {
		t.Errorf("listed are %s", got)
	}
	text := do[iam.GetPolicyVersionOutput](h.root, "GetPolicyVersion", &iam.GetPolicyVersionInput{PolicyArn: &p, VersionId: new("v1")}).PolicyVersion.Document
	if plain(t, text) != *allowing("kms:a") || strings.ContainsAny(*text, `{ "+`) {
		t.Errorf("the text is %s", *text)
	}
	for _, id := range []string{"v1", "v2", "v4", "v6"} {
		do[iam.DeletePolicyVersionOutput](h.root, "DeletePolicyVersion", &iam.DeletePolicyVersionInput{PolicyArn: &p, VersionId: &id})
	}
	do[iam.DeletePolicyOutput](h.root, "DeletePolicy", &iam.DeletePolicyInput{PolicyArn: &p})
	h.root.refused("GetPolicy", &iam.GetPolicyInput{PolicyArn: &p}, "NoSuchEntityException: ")
}

func TestListsArePagedAndUnderAPath(t *testing.T) {
	h := newHouse(t)
	for i := range 7 {
		do[iam.CreateUserOutput](h.root, "CreateUser", &iam.CreateUserInput{UserName: new(fmt.Sprint("user", i)), Path: new([]string{"/", "/team/"}[i%2])})
	}
	names := func(prefix *string) (names []string) {
		var marker *string
		for {
			out := do[iam.ListUsersOutput](h.root, "ListUsers", &iam.ListUsersInput{PathPrefix: prefix, Marker: marker, MaxItems: new(int32(2))})
			for _, u := range out.Users {
				names = append(names, *u.UserName)
			}
			if marker = out.Marker; out.IsTruncated != (marker != nil) || len(out.Users) > 2 {
				t.Fatalf("truncated %v, %d users", out.IsTruncated, len(out.Users))
			}
			if marker == nil {
				return names
			}
		}
	}
	if got := strings.Join(names(nil), " "); got != "user0 user1 user2 user3 user4 user5 user6" {
		t.Errorf("all are %s", got)
	}
	if got := strings.Join(names(new("/team/")), " "); got != "user1 user3 user5" {
		t.Errorf("of the team are %s", got)
	}
}

func TestRenamingKeepsWhoItIs(t *testing.T) {
	h := newHouse(t)
	alice := h.user("alice")
	before, _ := alice.principal()
	do[iam.CreateGroupOutput](h.root, "CreateGroup", &iam.CreateGroupInput{GroupName: new("g")})
	do[iam.AddUserToGroupOutput](h.root, "AddUserToGroup", &iam.AddUserToGroupInput{GroupName: new("g"), UserName: new("alice")})
	do[iam.UpdateUserOutput](h.root, "UpdateUser", &iam.UpdateUserInput{UserName: new("alice"), NewUserName: new("Alicia"), NewPath: new("/x/")})
	do[iam.UpdateGroupOutput](h.root, "UpdateGroup", &iam.UpdateGroupInput{GroupName: new("g"), NewGroupName: new("h")})
	h.restart()
	after, err := alice.principal()
	if err != nil || after.ARN != "arn:aws:iam::111122223333:user/x/Alicia" || after.UniqueID != before.UniqueID {
		t.Errorf("%v %+v", err, after)
	}
	if id, ok := h.id.UniqueID(after.ARN); !ok || id != before.UniqueID {
		t.Errorf("the id of %s is %s", after.ARN, id)
	}
	if _, ok := h.id.UniqueID(before.ARN); ok {
		t.Error("the old name is known")
	}
	if name, ok := h.id.ARN(before.UniqueID); !ok || name != after.ARN {
		t.Errorf("the name of %s is %s", before.UniqueID, name)
	}
	if got := do[iam.GetGroupOutput](h.root, "GetGroup", &iam.GetGroupInput{GroupName: new("h")}); len(got.Users) != 1 || *got.Users[0].UserName != "Alicia" {
		t.Errorf("the group has %v", got.Users)
	}
	h.root.refused("UpdateUser", &iam.UpdateUserInput{UserName: new("Alicia"), NewUserName: new("alicia")}, "no error")
}

func TestTagsAndDetails(t *testing.T) {
	h := newHouse(t)
	h.user("alice")
	p := h.policy("P", allowing("kms:*"))
	role := h.role("R", trusting(`{"AWS":"arn:aws:iam::111122223333:user/alice"}`))
	url := "https://idp.example.com/realm"
	idp := *do[iam.CreateOpenIDConnectProviderOutput](h.root, "CreateOpenIDConnectProvider", &iam.CreateOpenIDConnectProviderInput{Url: &url, ClientIDList: []string{"one"}}).OpenIDConnectProviderArn
	if idp != "arn:aws:iam::111122223333:oidc-provider/idp.example.com/realm" {
		t.Errorf("the provider is %s", idp)
	}
	h.root.refused("CreateOpenIDConnectProvider", &iam.CreateOpenIDConnectProviderInput{Url: &url}, "EntityAlreadyExistsException: Provider with url "+url+" already exists.")
	do[iam.AddClientIDToOpenIDConnectProviderOutput](h.root, "AddClientIDToOpenIDConnectProvider", &iam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: &idp, ClientID: new("two")})
	do[iam.RemoveClientIDFromOpenIDConnectProviderOutput](h.root, "RemoveClientIDFromOpenIDConnectProvider", &iam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: &idp, ClientID: new("one")})
	do[iam.TagRoleOutput](h.root, "TagRole", &iam.TagRoleInput{RoleName: new("R"), Tags: iamTags("a", "1", "b", "2")})
	do[iam.TagRoleOutput](h.root, "TagRole", &iam.TagRoleInput{RoleName: new("R"), Tags: iamTags("A", "3")})
	do[iam.UntagRoleOutput](h.root, "UntagRole", &iam.UntagRoleInput{RoleName: new("R"), TagKeys: []string{"B", "c"}})
	do[iam.TagUserOutput](h.root, "TagUser", &iam.TagUserInput{UserName: new("alice"), Tags: iamTags("x", "y")})
	do[iam.TagOpenIDConnectProviderOutput](h.root, "TagOpenIDConnectProvider", &iam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: &idp, Tags: iamTags("x", "y")})
	do[iam.AttachRolePolicyOutput](h.root, "AttachRolePolicy", &iam.AttachRolePolicyInput{RoleName: new("R"), PolicyArn: &p})
	do[iam.PutRolePermissionsBoundaryOutput](h.root, "PutRolePermissionsBoundary", &iam.PutRolePermissionsBoundaryInput{RoleName: new("R"), PermissionsBoundary: &p})
	do[iam.CreateAccountAliasOutput](h.root, "CreateAccountAlias", &iam.CreateAccountAliasInput{AccountAlias: new("first")})
	do[iam.CreateAccountAliasOutput](h.root, "CreateAccountAlias", &iam.CreateAccountAliasInput{AccountAlias: new("second")})
	h.them.refused("CreateAccountAlias", &iam.CreateAccountAliasInput{AccountAlias: new("second")}, "EntityAlreadyExistsException: The account alias second already exists.")
	h.restart()
	tags := do[iam.ListRoleTagsOutput](h.root, "ListRoleTags", &iam.ListRoleTagsInput{RoleName: new("R")}).Tags
	if len(tags) != 1 || *tags[0].Key != "A" || *tags[0].Value != "3" {
		t.Errorf("the role's tags are %v", tags)
	}
	got := do[iam.GetOpenIDConnectProviderOutput](h.root, "GetOpenIDConnectProvider", &iam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: &idp})
	if len(got.ClientIDList) != 1 || got.ClientIDList[0] != "two" || *got.Url != "idp.example.com/realm" || len(got.Tags) != 1 {
		t.Errorf("the provider is %+v", got)
	}
	if list := do[iam.ListAccountAliasesOutput](h.root, "ListAccountAliases", &iam.ListAccountAliasesInput{}).AccountAliases; len(list) != 1 || list[0] != "second" {
		t.Errorf("the aliases are %v", list)
	}
	all := do[iam.GetAccountAuthorizationDetailsOutput](h.root, "GetAccountAuthorizationDetails", &iam.GetAccountAuthorizationDetailsInput{})
	if len(all.RoleDetailList) != 1 || *all.RoleDetailList[0].Arn != role || len(all.UserDetailList) != 1 || len(all.Policies) < 3 {
		t.Errorf("the details are %+v", all)
	}
	if used := do[iam.ListEntitiesForPolicyOutput](h.root, "ListEntitiesForPolicy", &iam.ListEntitiesForPolicyInput{PolicyArn: &p}); len(used.PolicyRoles) != 1 {
		t.Errorf("the policy is used by %v", used.PolicyRoles)
	}
	if local := do[iam.ListPoliciesOutput](h.root, "ListPolicies", &iam.ListPoliciesInput{Scope: types.PolicyScopeTypeLocal}).Policies; len(local) != 1 || *local[0].AttachmentCount != 1 || *local[0].PermissionsBoundaryUsageCount != 1 {
		t.Errorf("the policies are %v", local)
	}
	if sum := do[iam.GetAccountSummaryOutput](h.root, "GetAccountSummary", &iam.GetAccountSummaryInput{}).SummaryMap; sum["Users"] != 1 || sum["Roles"] != 1 || sum["Providers"] != 1 {
		t.Errorf("the summary is %v", sum)
	}
}
