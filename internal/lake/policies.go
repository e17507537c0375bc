package lake

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// A store's resource policy lets others in, other accounts too, to query it. It is asked about the operations in policyActions only, so that
// nobody can be let in to change a store by it, nor shut out of changing it. It means the users and roles that had the ARNs in it when it was put,
// as in the IAM user guide's "AWS JSON policy elements: Principal": their unique ids are kept beside it.

// policyActions are what a store's policy can be about. See the CloudTrail user guide's "AWS CloudTrail resource-based policy examples".
var policyActions = []string{
	"cloudtrail:StartQuery", "cloudtrail:CancelQuery", "cloudtrail:ListQueries", "cloudtrail:DescribeQuery", "cloudtrail:GetQueryResults",
	"cloudtrail:GenerateQuery", "cloudtrail:GenerateQueryResultsSummary", "cloudtrail:GetEventDataStore",
}

// policyMigration is a step of the main database.
const policyMigration = `CREATE TABLE lake_policy (
	store      TEXT NOT NULL PRIMARY KEY,
	document   TEXT NOT NULL,
	principals TEXT NOT NULL) -- JSON: the unique ids of the users and roles in it, by ARN`

// Principals looks users and roles up.
type Principals struct {
	// UniqueID is the unique id (AIDA…, AROA…) of the user or role with that ARN, and false if there is none.
	UniqueID func(arn string) (id string, ok bool)
	// ARN is the reverse: the ARN of who has a unique id now.
	ARN func(uniqueID string) (arn string, ok bool)
}

// exists says whether there is somebody that a policy names by an ARN or a unique id.
func (p Principals) exists(name string) (ok bool) {
	if strings.HasPrefix(name, "arn:") {
		_, ok = p.UniqueID(name)
	} else {
		_, ok = p.ARN(name)
	}
	return ok
}

// storePolicy is the policy of a store.
type storePolicy struct {
	text string
	ids  map[string]string // the unique ids of who is in it, by ARN
}

// policyOf reads the policy of a store; nil is none.
func policyOf(tx store.Tx, id string) (*storePolicy, error) {
	var ids string
	p := &storePolicy{}
	switch err := tx.QueryRow(`SELECT document, principals FROM lake_policy WHERE store = $1`, id).Scan(&p.text, &ids); {
	case errors.Is(err, store.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return p, json.Unmarshal([]byte(ids), &p.ids)
}

// allow says whether the caller may perform its operation on a store, which need not exist.
func (l *Lake) allow(ctx context.Context, c *call.Call, a arn.ARN) error {
	c.Touch(storeType, a)
	action := "cloudtrail:" + c.Operation
	r := policy.Resource{ARN: a.String(), Account: a.Account}
	if slices.Contains(policyActions, action) {
		r.CrossAccount = true
		var p *storePolicy
		if err := l.db.View(ctx, func(tx store.Tx) (err error) {
			p, err = policyOf(tx, a.ID())
			return err
		}); err != nil {
			return err
		}
		if p != nil {
			document, err := policy.ParseResourcePolicy(p.text)
			if err != nil {
				return err
			}
			r.Policy = document.WithUniqueIDs(p.ids)
		}
	}
	return c.Allow(action, r, nil)
}

// PutResourcePolicy gives a store a policy, in place of the one that it has. Only event data stores can have one: there are no channels and no
// dashboards.
func (l *Lake) PutResourcePolicy(ctx context.Context, c *call.Call, in *cloudtrail.PutResourcePolicyInput) (*cloudtrail.PutResourcePolicyOutput, error) {
	s, err := l.withPolicy(ctx, c, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	document, err := l.checkPolicy(aws.ToString(in.ResourcePolicy))
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if _, err := storeOf(tx, s.account, s.region, s.id); err != nil {
			return noResource(s.arn().String())
		}
		ids := map[string]string{}
		for _, name := range document.Principals() {
			if id, _ := l.principals.UniqueID(name); id != "" {
				ids[name] = id
			}
		}
		kept, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO lake_policy (store, document, principals) VALUES ($1, $2, $3)
			ON CONFLICT (store) DO UPDATE SET document = excluded.document, principals = excluded.principals`, s.id, *in.ResourcePolicy, string(kept))
		return err
	})
	return &cloudtrail.PutResourcePolicyOutput{ResourceArn: in.ResourceArn, ResourcePolicy: in.ResourcePolicy}, nil
}

// GetResourcePolicy returns the text of a store's policy as it was put. Of a user or role that is not there any more, it has the unique id.
func (l *Lake) GetResourcePolicy(ctx context.Context, c *call.Call, in *cloudtrail.GetResourcePolicyInput) (*cloudtrail.GetResourcePolicyOutput, error) {
	s, err := l.withPolicy(ctx, c, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	var p *storePolicy
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		p, err = policyOf(tx, s.id)
		return err
	})
	if err == nil && p == nil {
		err = noPolicy(s)
	}
	if err != nil {
		return nil, err
	}
	for name, id := range p.ids {
		if now, _ := l.principals.UniqueID(name); now != id {
			p.text = strings.ReplaceAll(p.text, `"`+name+`"`, `"`+id+`"`)
		}
	}
	return &cloudtrail.GetResourcePolicyOutput{ResourceArn: in.ResourceArn, ResourcePolicy: &p.text}, nil
}

// DeleteResourcePolicy takes a store's policy away.
func (l *Lake) DeleteResourcePolicy(ctx context.Context, c *call.Call, in *cloudtrail.DeleteResourcePolicyInput) (*cloudtrail.DeleteResourcePolicyOutput, error) {
	s, err := l.withPolicy(ctx, c, aws.ToString(in.ResourceArn))
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		deleted, err := tx.Exec(`DELETE FROM lake_policy WHERE store = $1`, s.id)
		if err == nil && deleted == 0 {
			err = noPolicy(s)
		}
		return err
	})
	return &cloudtrail.DeleteResourcePolicyOutput{}, nil
}

// withPolicy finds the store whose policy a call is about, if the caller may perform its operation on it.
func (l *Lake) withPolicy(ctx context.Context, c *call.Call, text string) (*dataStore, error) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "cloudtrail" || a.Type() == "" || a.ID() == "" || a.Partition != arn.Partition(a.Region) {
		return nil, call.Errorf("ResourceARNNotValidException", "The provided resource does not exist, or the ARN format of the resource is not valid.")
	}
	switch a.Type() {
	case "eventdatastore", "channel", "dashboard":
	default:
		return nil, call.Errorf("ResourceTypeNotSupportedException", "The resource type %s is not supported.", a.Type())
	}
	if err := l.allow(ctx, c, a); err != nil {
		return nil, err
	}
	if a.Type() != "eventdatastore" || a.Region != c.Region {
		return nil, noResource(text)
	}
	var found *dataStore
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		found, err = storeOf(tx, a.Account, a.Region, a.ID())
		return err
	})
	if unknown := (*call.Error)(nil); errors.As(err, &unknown) {
		err = noResource(text)
	}
	return found, err
}

// checkPolicy holds a policy to what one of a store can say.
func (l *Lake) checkPolicy(text string) (*policy.Document, error) {
	document, err := policy.ParseResourcePolicy(text)
	if malformed := (*policy.MalformedError)(nil); errors.As(err, &malformed) {
		return nil, invalidPolicy(malformed.Error())
	}
	if err != nil {
		return nil, err
	}
	for _, name := range document.Principals() {
		if !l.principals.exists(name) {
			return nil, invalidPolicy("Policy contains a statement with one or more invalid principals.")
		}
	}
	if !document.ActionsWithin(policyActions) {
		return nil, invalidPolicy("The policy of an event data store can be about these actions only: " + strings.Join(policyActions, ", ") + ".")
	}
	return document, nil
}

func invalidPolicy(why string) error {
	return call.Errorf("ResourcePolicyNotValidException", "The resource-based policy is not valid: %s", why)
}

func noPolicy(s *dataStore) error {
	return call.Errorf("ResourcePolicyNotFoundException", "The resource %s has no resource-based policy.", s.arn())
}

func noResource(text string) error {
	return call.Errorf("ResourceNotFoundException", "The resource %s is not found.", text)
}
