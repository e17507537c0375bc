package identity_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/identity"
	"vigil/internal/policy"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

const (
	ours   = "111122223333"
	theirs = "444455556666"
)

// house is the service on a real database, with two accounts and a clock that can be moved.
type house struct {
	t          *testing.T
	config     identity.Config
	db         store.DB
	clock      *clock.Movable
	id         *identity.Identity
	ops        map[string]call.Operation
	root, them *caller // the root users of the two accounts
}

// place is a new place for a database, and openPlace opens it: SQLite's, unless TestPostgreSQL is running.
var (
	place     = func(t testing.TB) string { return filepath.Join(t.TempDir(), "vigil.db") }
	openPlace = sqlite.Open
)

func newHouse(t *testing.T) *house { return newHouseWith(t, identity.Config{}) }

func newHouseWith(t *testing.T, config identity.Config) *house {
	db, err := openPlace(place(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	clk := clock.NewMovable(0)
	config.DB, config.Clock, config.Secrets = db, clk, newSecrets(t, 1)
	h := &house{t: t, config: config, db: db, clock: clk}
	h.restart()
	h.root = h.with(addAccount(t, h.id, db, ours))
	h.them = h.with(addAccount(t, h.id, db, theirs))
	return h
}

// restart opens the service on what the database holds.
func (h *house) restart() {
	h.t.Helper()
	id, err := identity.New(h.t.Context(), h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.id, h.ops = id, map[string]call.Operation{}
	for _, service := range []call.Service{id.IAM(), id.STS()} {
		for _, op := range service.Operations {
			h.ops[op.Name] = op
		}
	}
}

// caller is someone with credentials.
type caller struct {
	h          *house
	key, token string
}

func (h *house) with(c identity.Credentials) *caller { return &caller{h, c.AccessKeyID, ""} }

func (h *house) session(c *types.Credentials) *caller {
	return &caller{h, *c.AccessKeyId, *c.SessionToken}
}

// principal is what the door would find out of the credentials.
func (c *caller) principal() (call.Principal, error) {
	_, p, err := c.h.id.Lookup(c.key, c.token)
	return p, err
}

// call does what the door does.
func (c *caller) call(name string, in any) (any, error) {
	c.h.t.Helper()
	op, ok := c.h.ops[name]
	if !ok {
		c.h.t.Fatalf("there is no operation %s", name)
	}
	var p call.Principal
	if !op.Unsigned {
		var err error
		if p, err = c.principal(); err != nil {
			return nil, err
		}
	}
	in1 := &call.Call{Principal: p, Service: "iam", Operation: name, Region: "us-east-1", Time: c.h.clock.Now()}
	out, err := op.Do(context.Background(), in1, in)
	if err != nil || in1.PendingEffect() == nil {
		return out, err
	}
	if failed := c.h.db.Update(context.Background(), func(tx store.Tx) error {
		err = tx.Savepoint(in1.PendingEffect())
		return nil
	}); failed != nil {
		c.h.t.Fatal(failed)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// do makes a call that must succeed.
func do[Out any](c *caller, name string, in any) *Out {
	c.h.t.Helper()
	out, err := c.call(name, in)
	if err != nil {
		c.h.t.Fatalf("%s: %v", name, err)
	}
	return out.(*Out)
}

// refused makes a call that must fail in these words: the code, a colon and the message, or the beginning of that.
func (c *caller) refused(name string, in any, want string) {
	c.h.t.Helper()
	_, err := c.call(name, in)
	got := "no error"
	if err != nil {
		got = err.Error()
	}
	if e, ok := errors.AsType[*call.Error](err); ok {
		got = e.Code + ": " + e.Message
	}
	if !strings.HasPrefix(got, want) {
		c.h.t.Errorf("%s: got %s\nwant %s", name, got, want)
	}
}

// may asks whether the caller may do something on a resource of an account that has no policy of its own.
func (c *caller) may(action, resource, account string) bool {
	p, err := c.principal()
	if err != nil {
		return false
	}
	asked := &call.Call{Principal: p, Service: "kms", Region: "us-east-1", Time: c.h.clock.Now()}
	return asked.Allow(action, policy.Resource{ARN: resource, Account: account}, nil) == nil
}

// wantMay fails unless the caller may do just those of the actions that are listed.
func (c *caller) wantMay(list ...string) {
	c.h.t.Helper()
	for _, action := range list {
		want := !strings.HasPrefix(action, "!")
		action = strings.TrimPrefix(action, "!")
		if got := c.may(action, "*", ours); got != want {
			c.h.t.Errorf("%s is allowed: %v", action, got)
		}
	}
}

// user makes a user with an access key.
func (h *house) user(name string) *caller {
	h.t.Helper()
	do[iam.CreateUserOutput](h.root, "CreateUser", &iam.CreateUserInput{UserName: &name})
	out := do[iam.CreateAccessKeyOutput](h.root, "CreateAccessKey", &iam.CreateAccessKeyInput{UserName: &name})
	return &caller{h, *out.AccessKey.AccessKeyId, ""}
}

// allowing is a policy that allows actions on everything.
func allowing(actions ...string) *string {
	return new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}}`)
}

// trusting is a role's trust policy for a principal in JSON.
func trusting(principal string, actions ...string) *string {
	if actions == nil {
		actions = []string{"sts:AssumeRole"}
	}
	return new(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":["` + strings.Join(actions, `","`) + `"]}}`)
}

// role makes a role that a principal is trusted to assume, and that allows kms:Encrypt.
func (h *house) role(name string, trust *string) string {
	h.t.Helper()
	out := do[iam.CreateRoleOutput](h.root, "CreateRole", &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: trust, MaxSessionDuration: new(int32(7200))})
	do[iam.PutRolePolicyOutput](h.root, "PutRolePolicy", &iam.PutRolePolicyInput{RoleName: &name, PolicyName: new("p"), PolicyDocument: allowing("kms:Encrypt", "sts:*")})
	return *out.Role.Arn
}

func (h *house) policy(name string, document *string) string {
	h.t.Helper()
	return *do[iam.CreatePolicyOutput](h.root, "CreatePolicy", &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: document}).Policy.Arn
}

func plain(t *testing.T, encoded *string) string {
	t.Helper()
	text, err := url.PathUnescape(*encoded)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func iamTags(pairs ...string) (list []iamtypes.Tag) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, iamtypes.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return list
}

func stsTags(pairs ...string) (list []types.Tag) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return list
}

const hour = time.Hour
