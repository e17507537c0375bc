package vigiltest_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// IAM tells of an access key and of a role when and where it was last used, from what is on record of all regions.
func TestLastUseOfAccessKeysAndRoles(t *testing.T) {
	a := newAccounts(t)
	srv, ctx := a.srv, t.Context()
	admin := iam.New(iam.Options{Region: srv.Region, BaseEndpoint: &srv.URL, Credentials: a.bob}) // who may do all in his account
	_, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: new("deploy"), AssumeRolePolicyDocument: new(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + neighbour + `"},"Action":"sts:AssumeRole"}}`)})
	a.ok(err)
	fresh, err := admin.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: new("Bob")})
	a.ok(err)
	keyUse := func() *iamtypes.AccessKeyLastUsed {
		out, err := admin.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: fresh.AccessKey.AccessKeyId})
		a.ok(err)
		if *out.UserName != "Bob" {
			t.Errorf("the key is %s's", *out.UserName)
		}
		return out.AccessKeyLastUsed
	}
	roleUse := func() *iamtypes.RoleLastUsed {
		out, err := admin.GetRole(ctx, &iam.GetRoleInput{RoleName: new("deploy")})
		a.ok(err)
		return out.Role.RoleLastUsed
	}
	if key, role := keyUse(), roleUse(); key.LastUsedDate != nil || *key.Region != "N/A" || *key.ServiceName != "N/A" || role.LastUsedDate != nil || role.Region != nil {
		t.Errorf("what was never used was used: %+v, %+v", key, role)
	}

	static := func(id, secret, token *string) aws.CredentialsProvider {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: *id, SecretAccessKey: *secret, SessionToken: aws.ToString(token)}, nil
		})
	}
	mine := static(fresh.AccessKey.AccessKeyId, fresh.AccessKey.SecretAccessKey, nil)
	session, err := sts.New(sts.Options{Region: "eu-central-1", BaseEndpoint: &srv.URL, Credentials: mine}).AssumeRole(ctx,
		&sts.AssumeRoleInput{RoleArn: new("arn:aws:iam::" + neighbour + ":role/deploy"), RoleSessionName: new("now")})
	a.ok(err)
	if use := roleUse(); use.LastUsedDate != nil {
		t.Errorf("a role that is assumed is not used yet: %+v", use)
	}
	c := session.Credentials
	before := srv.Advance(t, time.Minute).Truncate(time.Second).Add(-time.Second)
	denied := kms.New(kms.Options{Region: "us-west-2", BaseEndpoint: &srv.URL, Credentials: static(c.AccessKeyId, c.SecretAccessKey, c.SessionToken)})
	if _, err := denied.ListKeys(ctx, &kms.ListKeysInput{}); !refused(err, "AccessDeniedException") {
		t.Errorf("the role may do nothing: %v", err)
	}
	if use := keyUse(); use.LastUsedDate == nil || *use.Region != "eu-central-1" || *use.ServiceName != "sts" || use.LastUsedDate.Second() != 0 {
		t.Errorf("the key was used %+v", use)
	}
	if use := roleUse(); use.LastUsedDate == nil || *use.Region != "us-west-2" || use.LastUsedDate.Before(before) {
		t.Errorf("the role was used %+v", use)
	}
	details, err := admin.GetAccountAuthorizationDetails(ctx, &iam.GetAccountAuthorizationDetailsInput{Filter: []iamtypes.EntityType{iamtypes.EntityTypeRole}})
	a.ok(err)
	if len(details.RoleDetailList) != 1 || aws.ToString(details.RoleDetailList[0].RoleLastUsed.Region) != "us-west-2" {
		t.Errorf("the roles are %+v", details.RoleDetailList)
	}
	srv.Advance(t, 401*24*time.Hour)
	if use := roleUse(); use.LastUsedDate != nil {
		t.Errorf("after 401 days the role was used %+v", use)
	}
}
