package identity

import (
	"strings"
	"time"
)

// awsAccount is the account in the ARNs of the policies that AWS manages.
const awsAccount = "aws"

// awsManaged are the policies that AWS manages and that every account has here, by name in lower case. Their ids and texts are
// AWS's; of ReadOnlyAccess it is the part that is about services that Vigil has.
var awsManaged = makeAWSManaged(
	awsPolicy{"AdministratorAccess", "ANPAIWMBCKSKIEE64ZLYK", "Provides full access to AWS services and resources.",
		statements(`"Action":"*"`)},
	awsPolicy{"PowerUserAccess", "ANPAJYRXTHIB4FOVS3ZXS",
		"Provides full access to AWS services and resources, but does not allow management of Users and groups.",
		statements(`"NotAction":["iam:*","organizations:*","account:*"]`,
			`"Action":["account:GetAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole",`+
				`"iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeOrganization"]`)},
	awsPolicy{"ReadOnlyAccess", "ANPAILL3HVNFSB6DCOWYQ", "Provides read-only access to AWS services and resources.",
		statements(`"Action":["cloudtrail:Describe*","cloudtrail:Get*","cloudtrail:List*","cloudtrail:LookupEvents","cloudwatch:Describe*",` +
			`"cloudwatch:Get*","cloudwatch:List*","events:Describe*","events:List*","events:Test*","iam:Generate*","iam:Get*","iam:List*",` +
			`"iam:Simulate*","kms:Describe*","kms:Get*","kms:List*","logs:Describe*","logs:FilterLogEvents","logs:Get*","logs:ListTagsForResource",` +
			`"logs:ListTagsLogGroup","logs:StartQuery","logs:StopQuery","logs:TestMetricFilter","sns:Check*","sns:Get*","sns:List*",` +
			`"sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken"]`)},
	awsPolicy{"IAMFullAccess", "ANPAI7XKCFMBPM3QQRRVQ", "Provides full access to IAM via the AWS Management Console.",
		statements(`"Action":["iam:*","organizations:DescribeAccount","organizations:DescribeOrganization",` +
			`"organizations:DescribeOrganizationalUnit","organizations:DescribePolicy","organizations:ListChildren","organizations:ListParents",` +
			`"organizations:ListPoliciesForTarget","organizations:ListRoots","organizations:ListPolicies","organizations:ListTargetsForPolicy"]`)},
	awsPolicy{"IAMReadOnlyAccess", "ANPAJKSO7NDY4T57MWDSQ", "Provides read only access to IAM via the AWS Management Console.",
		statements(`"Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*",` +
			`"iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"]`)},
	awsPolicy{"AWSKeyManagementServicePowerUser", "ANPAJNPP7PPPPMJRV2SA4", "Provides access to AWS Key Management Service (KMS).",
		statements(`"Action":["kms:CreateAlias","kms:CreateKey","kms:DeleteAlias","kms:Describe*","kms:GenerateRandom","kms:Get*",` +
			`"kms:List*","kms:TagResource","kms:UntagResource","iam:ListGroups","iam:ListRoles","iam:ListUsers"]`)},
)

type awsPolicy struct{ name, id, description, text string }

// statements is a policy that allows each of actions on everything.
func statements(actions ...string) string {
	for i := range actions {
		actions[i] = `{"Effect":"Allow",` + actions[i] + `,"Resource":"*"}`
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(actions, ",") + `]}`
}

func makeAWSManaged(list ...awsPolicy) map[string]*managedPolicy {
	created := time.Date(2015, 2, 6, 18, 40, 0, 0, time.UTC).UnixMilli()
	policies := map[string]*managedPolicy{}
	for _, p := range list {
		m := &managedPolicy{
			Account: awsAccount, Name: p.name, Path: "/", ID: p.id, Description: p.description, Created: created, Updated: created,
			Default: "v1", Last: 1, Versions: []version{{ID: "v1", Text: p.text, Created: created}},
		}
		if err := m.compile(); err != nil {
			panic("identity: " + m.Name + ": " + err.Error())
		}
		policies[strings.ToLower(p.name)] = m
	}
	return policies
}
