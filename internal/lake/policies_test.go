package lake

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/arn"
)

func storeARN(of caller, id string) *string {
	return new(arn.New("cloudtrail", of.region, of.account, "eventdatastore/"+id).String())
}

// letIn is the policy of a store that lets somebody in for some actions.
func letIn(who, actions string) *string {
	return new(fmt.Sprintf(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": %q}, "Action": [%s], "Resource": "*"}]}`, who, actions))
}

const queryActions = `"cloudtrail:StartQuery", "cloudtrail:GetQueryResults", "cloudtrail:DescribeQuery", "cloudtrail:ListQueries", "cloudtrail:CancelQuery", "cloudtrail:GetEventDataStore"`

// TestAnotherAccountQueries: who a store's policy lets in queries it, sees its queries, and no other store's.
func TestAnotherAccountQueries(t *testing.T) {
	h := open(t).start()
	mine, other := h.store(alice, "mine", nil), h.store(alice, "other", nil)
	h.use(alice, "Encrypt", "Decrypt")
	start := &cloudtrail.StartQueryInput{QueryStatement: new("SELECT eventName AS n FROM " + mine + " WHERE eventSource = 'kms.amazonaws.com' ORDER BY n"), EventDataStoreOwnerAccountId: &alice.account}
	h.refused("AccessDeniedException", bob, "StartQuery", start)

	put := &cloudtrail.PutResourcePolicyInput{ResourceArn: storeARN(alice, mine), ResourcePolicy: letIn("arn:aws:iam::"+bob.account+":root", queryActions)}
	if out := do[cloudtrail.PutResourcePolicyOutput](h, alice, "PutResourcePolicy", put); *out.ResourceArn != *put.ResourceArn || *out.ResourcePolicy != *put.ResourcePolicy {
		t.Errorf("PutResourcePolicy answers %v", out)
	}
	id := do[cloudtrail.StartQueryOutput](h, bob, "StartQuery", start).QueryId
	results := &cloudtrail.GetQueryResultsInput{QueryId: id, EventDataStoreOwnerAccountId: &alice.account}
	if got := h.rowsOf(bob, results); got != "n=Decrypt n=Encrypt" {
		t.Errorf("the query finds %q", got)
	}
	// It is a query of the store's account, which sees it.
	if got := h.rowsOf(alice, &cloudtrail.GetQueryResultsInput{QueryId: id}); got != "n=Decrypt n=Encrypt" {
		t.Errorf("the owner finds %q", got)
	}
	for _, who := range []caller{alice, bob} {
		if l := do[cloudtrail.ListQueriesOutput](h, who, "ListQueries", &cloudtrail.ListQueriesInput{EventDataStore: storeARN(alice, mine)}); len(l.Queries) != 1 || *l.Queries[0].QueryId != *id {
			t.Errorf("%s lists %v", who.account, l.Queries)
		}
	}
	do[cloudtrail.GetEventDataStoreOutput](h, bob, "GetEventDataStore", &cloudtrail.GetEventDataStoreInput{EventDataStore: storeARN(alice, mine)})
	do[cloudtrail.DescribeQueryOutput](h, bob, "DescribeQuery", &cloudtrail.DescribeQueryInput{QueryId: id, EventDataStoreOwnerAccountId: &alice.account})
	h.refused("InactiveQueryException", bob, "CancelQuery", &cloudtrail.CancelQueryInput{QueryId: id, EventDataStoreOwnerAccountId: &alice.account})

	// A query without the owner is of the caller's own account; another store, or one beside it, says no; and so does a policy about what a store's cannot be about.
	h.refused("QueryIdNotFoundException", bob, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: id})
	for _, statement := range []string{"SELECT 1 FROM " + other, "SELECT a.eventId FROM " + mine + " a LEFT JOIN " + other + " b ON a.eventId = b.eventId"} {
		h.refused("AccessDeniedException", bob, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: &statement, EventDataStoreOwnerAccountId: &alice.account})
	}
	h.refused("InvalidQueryStatementException", bob, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1"), EventDataStoreOwnerAccountId: &alice.account})
	ofOther := do[cloudtrail.StartQueryOutput](h, alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1 FROM " + other)}).QueryId
	h.refused("AccessDeniedException", bob, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: ofOther, EventDataStoreOwnerAccountId: &alice.account})
	h.refused("AccessDeniedException", bob, "GetQueryResults", &cloudtrail.GetQueryResultsInput{QueryId: new("12345678-1234-1234-1234-123456789012"), EventDataStoreOwnerAccountId: &alice.account})
	h.refused("EventDataStoreARNInvalidException", bob, "DeleteEventDataStore", &cloudtrail.DeleteEventDataStoreInput{EventDataStore: storeARN(alice, mine)})
	h.refused("AccessDeniedException", bob, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: storeARN(alice, mine)})

	// Its own account's permissions have to let a user of another account in, too; and the policy holds over a restart, until it goes.
	carol := caller{bob.account, bob.region, `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}`}
	h.refused("AccessDeniedException", carol, "GetQueryResults", results)
	h.stop()
	h.begin()
	h.start()
	if got := h.rowsOf(bob, results); got != "n=Decrypt n=Encrypt" {
		t.Errorf("after a restart there is %q", got)
	}
	do[cloudtrail.DeleteResourcePolicyOutput](h, alice, "DeleteResourcePolicy", &cloudtrail.DeleteResourcePolicyInput{ResourceArn: storeARN(alice, mine)})
	h.refused("AccessDeniedException", bob, "GetQueryResults", results)
}

// rowsOf waits for the rows of a query.
func (h *house) rowsOf(who caller, in *cloudtrail.GetQueryResultsInput) string {
	h.Helper()
	_, rows := h.resultOf(who, in)
	return strings.Join(rows, " ")
}

// TestStorePolicyDenies: a Deny holds in the store's own account, for its root user too, but nobody is shut out of changing it.
func TestStorePolicyDenies(t *testing.T) {
	h := open(t).start()
	id := h.store(alice, "mine", nil)
	deny := strings.Replace(*letIn("*", `"cloudtrail:*"`), "Allow", "Deny", 1)
	do[cloudtrail.PutResourcePolicyOutput](h, alice, "PutResourcePolicy", &cloudtrail.PutResourcePolicyInput{ResourceArn: storeARN(alice, id), ResourcePolicy: &deny})
	h.refused("AccessDeniedException", alice, "StartQuery", &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1 FROM " + id)})
	if out := do[cloudtrail.GetResourcePolicyOutput](h, alice, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: storeARN(alice, id)}); *out.ResourcePolicy != deny {
		t.Errorf("GetResourcePolicy answers %s", *out.ResourcePolicy)
	}
	do[cloudtrail.DeleteResourcePolicyOutput](h, alice, "DeleteResourcePolicy", &cloudtrail.DeleteResourcePolicyInput{ResourceArn: storeARN(alice, id)})
	h.startQuery(alice, "SELECT 1 FROM "+id)
	h.refused("ResourcePolicyNotFoundException", alice, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: storeARN(alice, id)})
	h.refused("ResourcePolicyNotFoundException", alice, "DeleteResourcePolicy", &cloudtrail.DeleteResourcePolicyInput{ResourceArn: storeARN(alice, id)})
}

func TestStorePolicyRefused(t *testing.T) {
	h := open(t)
	id := h.store(alice, "mine", nil)
	good := letIn("arn:aws:iam::"+bob.account+":root", `"cloudtrail:StartQuery"`)
	for resource, want := range map[string]string{
		"x":              "ResourceARNNotValidException",
		"arn:aws:s3:::x": "ResourceARNNotValidException",
		"arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore": "ResourceARNNotValidException",
		"arn:aws:cloudtrail:us-east-1:111122223333:trail/x":        "ResourceTypeNotSupportedException",
		"arn:aws:cloudtrail:us-east-1:111122223333:channel/x":      "ResourceNotFoundException",
		"arn:aws:cloudtrail:us-east-1:111122223333:dashboard/x":    "ResourceNotFoundException",
		*storeARN(alice.in("eu-west-1"), id):                       "ResourceNotFoundException",
		*storeARN(alice, "12345678-1234-1234-1234-123456789012"):   "ResourceNotFoundException",
		*storeARN(bob, id): "AccessDeniedException",
	} {
		h.refused(want, alice, "PutResourcePolicy", &cloudtrail.PutResourcePolicyInput{ResourceArn: &resource, ResourcePolicy: good})
		h.refused(want, alice, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: &resource})
		h.refused(want, alice, "DeleteResourcePolicy", &cloudtrail.DeleteResourcePolicyInput{ResourceArn: &resource})
	}
	for _, text := range []string{
		"x", "{}", *letIn("nobody", `"cloudtrail:StartQuery"`),
		*letIn("arn:aws:iam::"+alice.account+":user/nobody", `"cloudtrail:StartQuery"`),
		*letIn("AIDANOBODY", `"cloudtrail:StartQuery"`),
		*letIn(bob.account, `"cloudtrail:StartQuery", "cloudtrail:DeleteEventDataStore"`),
		*letIn(bob.account, `"kms:Decrypt"`), *letIn(bob.account, `"kms:*"`),
		strings.Replace(*good, `"Action"`, `"NotAction"`, 1),
	} {
		h.refused("ResourcePolicyNotValidException", alice, "PutResourcePolicy", &cloudtrail.PutResourcePolicyInput{ResourceArn: storeARN(alice, id), ResourcePolicy: &text})
	}
	h.refused("ResourcePolicyNotFoundException", alice, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: storeARN(alice, id)})
}

// TestStorePolicyMeansWhoThereWas: who gets the name of a deleted user is not let in.
func TestStorePolicyMeansWhoThereWas(t *testing.T) {
	h := open(t).start()
	const carol = "arn:aws:iam::444455556666:user/carol"
	h.people[carol] = "AIDAFIRST"
	id := h.store(alice, "mine", nil)
	put := &cloudtrail.PutResourcePolicyInput{ResourceArn: storeARN(alice, id), ResourcePolicy: letIn(carol, queryActions)}
	do[cloudtrail.PutResourcePolicyOutput](h, alice, "PutResourcePolicy", put)
	who := caller{bob.account, bob.region, `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "cloudtrail:*", "Resource": "*"}]}`}
	start := &cloudtrail.StartQueryInput{QueryStatement: new("SELECT 1 FROM " + id), EventDataStoreOwnerAccountId: &alice.account}
	do[cloudtrail.StartQueryOutput](h, who, "StartQuery", start)

	h.people[carol] = "AIDASECOND"
	h.refused("AccessDeniedException", who, "StartQuery", start)
	if out := do[cloudtrail.GetResourcePolicyOutput](h, alice, "GetResourcePolicy", &cloudtrail.GetResourcePolicyInput{ResourceArn: storeARN(alice, id)}); !strings.Contains(*out.ResourcePolicy, `"AIDAFIRST"`) || strings.Contains(*out.ResourcePolicy, carol) {
		t.Errorf("the policy reads %s", *out.ResourcePolicy)
	}
	do[cloudtrail.PutResourcePolicyOutput](h, alice, "PutResourcePolicy", put)
	do[cloudtrail.StartQueryOutput](h, who, "StartQuery", start)
}
