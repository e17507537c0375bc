package identity

import (
	"context"
	"crypto/rand"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

// Quotas of an account, by the IAM user guide's "IAM and STS quotas". Those that AWS raises on request are as high as it does.
var quotas = map[kind]struct {
	name string
	most int
}{
	user:     {"UsersPerAccount", 5000},
	group:    {"GroupsPerAccount", 500},
	role:     {"RolesPerAccount", 10000},
	managed:  {"PoliciesPerAccount", 10000},
	provider: {"OpenIdConnectProvidersPerAccount", 700},
}

// newID is a unique id: its kind's prefix and 85 random bits.
func newID(k kind) string { return prefixes[k] + rand.Text()[:17] }

var pathForm = regexp.MustCompile(`^/([!-~]*/)?$`)

// pathOf is the path that a request gives, or the default one.
func pathOf(path *string) (string, error) {
	if path == nil || *path == "" {
		return "/", nil
	}
	if !pathForm.MatchString(*path) {
		return "", validation("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return *path, nil
}

// create is the effect's part that every new thing has: its name is free, and its account has room.
func (id *Identity) create(tx store.Tx, t thing, name string) error {
	p := t.at()
	if err := free(tx, p, name); err != nil {
		return err
	}
	n, err := countIn(tx, p.account, p.kind)
	if err != nil {
		return err
	}
	if q := quotas[p.kind]; q.most > 0 && n >= q.most {
		return overQuota(q.name, q.most)
	}
	return id.save(tx, t)
}

// newEntity is a user, group or role that does not exist yet, if the caller may make it.
func (id *Identity) newEntity(c *call.Call, k kind, name string, path, boundary *string, list []types.Tag) (*entity, error) {
	at, err := pathOf(path)
	if err != nil {
		return nil, err
	}
	set, err := tagsOf(list)
	if err != nil {
		return nil, err
	}
	e := &entity{Account: c.Account(), Kind: k, Name: name, Path: at, ID: newID(k), Created: c.Time.UnixMilli(), Tags: set}
	more := keys{}.requestTags(set)
	if boundary != nil {
		e.Boundary = *boundary
		more["iam:permissionsboundary"] = []string{*boundary}
	}
	if err := id.allow(c, e.arn(), nil, more); err != nil {
		return nil, err
	}
	if e.Boundary != "" && id.known.policyWithARN(c.Account(), e.Boundary) == nil {
		return nil, noSuchEntity("Scope ARN: %s does not exist or is not attachable.", e.Boundary)
	}
	return e, nil
}

// insert is the effect that makes a new user, group or role.
func (id *Identity) insert(e *entity) func(store.Tx) error {
	return func(tx store.Tx) error {
		if e.Boundary != "" {
			if err := attachable(tx, e.Account, e.Boundary); err != nil {
				return err
			}
		}
		return id.create(tx, e, e.Name)
	}
}

func (id *Identity) createUser(_ context.Context, c *call.Call, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	e, err := id.newEntity(c, user, *in.UserName, in.Path, in.PermissionsBoundary, in.Tags)
	if err != nil {
		return nil, err
	}
	c.Effect(id.insert(e))
	return &iam.CreateUserOutput{User: e.user(true)}, nil
}

// user is the user as the API shows it. Lists leave out what Get has beside.
func (e *entity) user(whole bool) *types.User {
	u := &types.User{Arn: new(e.arn()), CreateDate: timeOf(e.Created), Path: &e.Path, UserId: &e.ID, UserName: &e.Name}
	if whole {
		u.PermissionsBoundary, u.Tags = e.boundary(), e.Tags.shown()
	}
	return u
}

// userName is the name that a request gives, or the caller's own when it gives none.
func userName(c *call.Call, name *string) (string, error) {
	switch {
	case name != nil:
		return *name, nil
	case c.Principal.UserName == "":
		return "", validation("Must specify userName when calling with non-User credentials")
	}
	return c.Principal.UserName, nil
}

func (id *Identity) getUser(_ context.Context, c *call.Call, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	if in.UserName == nil && c.Principal.Type == typeRoot {
		return id.getRootUser(c)
	}
	name, err := userName(c, in.UserName)
	if err != nil {
		return nil, err
	}
	found, err := id.find(c, target{user, name})
	if err != nil {
		return nil, err
	}
	return &iam.GetUserOutput{User: found.(*entity).user(true)}, nil
}

// getRootUser shows the root user of the account, which has no name and no path.
func (id *Identity) getRootUser(c *call.Call) (*iam.GetUserOutput, error) {
	if err := id.allow(c, c.Principal.ARN, nil, nil); err != nil {
		return nil, err
	}
	u := &types.User{Arn: &c.Principal.ARN, UserId: new(c.Account())}
	if held := id.known.keysOf(c.Account(), ""); len(held) > 0 {
		u.CreateDate = timeOf(held[0].created)
	}
	return &iam.GetUserOutput{User: u}, nil
}

func (id *Identity) listUsers(_ context.Context, c *call.Call, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	found, next, err := id.entities(c, user, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListUsersOutput{Users: []types.User{}, IsTruncated: next != nil, Marker: next}
	for _, e := range found {
		out.Users = append(out.Users, *e.user(false))
	}
	return out, nil
}

// entities are a page of the account's users, groups or roles.
func (id *Identity) entities(c *call.Call, k kind, prefix, marker *string, maxItems *int32) ([]*entity, *string, error) {
	at := "/"
	if prefix != nil {
		at = *prefix
	}
	if err := id.allow(c, arnOf(c.Account(), k, at, ""), nil, nil); err != nil {
		return nil, nil, err
	}
	found := under(all[*entity](id.known, c.Account(), k), func(e *entity) string { return e.Path }, prefix)
	return page(found, func(e *entity) string { return e.at().name }, marker, maxItems)
}

func (id *Identity) updateUser(_ context.Context, c *call.Call, in *iam.UpdateUserInput) (*iam.UpdateUserOutput, error) {
	return &iam.UpdateUserOutput{}, id.rename(c, target{user, *in.UserName}, in.NewUserName, in.NewPath)
}

// rename gives a user or a group another name, another path, or both. The caller needs the permission for what it was and for what
// it becomes.
func (id *Identity) rename(c *call.Call, t target, name, path *string) error {
	found, err := id.find(c, t)
	if err != nil {
		return err
	}
	next := *found.(*entity)
	if name != nil {
		next.Name = *name
	}
	if path != nil {
		if next.Path, err = pathOf(path); err != nil {
			return err
		}
	}
	if err := id.allow(c, next.arn(), found, nil); err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		t, err := again(tx, t, found)
		if err != nil {
			return err
		}
		now := t.(*entity)
		if next.at() != now.at() {
			if err := free(tx, next.at(), next.Name); err != nil {
				return err
			}
		}
		now.Name, now.Path = next.Name, next.Path
		return id.save(tx, now)
	})
	return nil
}

// deleteUser deletes a user that has nothing any more. Its sessions end with it.
func (id *Identity) deleteUser(_ context.Context, c *call.Call, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	return &iam.DeleteUserOutput{}, id.deleteEntity(c, target{user, *in.UserName}, func(tx store.Tx, e *entity) error {
		var n int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM identity_access_key WHERE owner = $1`, e.ID).Scan(&n); err != nil {
			return err
		}
		switch {
		case n > 0:
			return conflict("Cannot delete entity, must delete access keys first.")
		case len(e.Groups) > 0:
			return conflict("Cannot delete entity, must remove users from group first.")
		}
		return nil
	})
}

// deleteEntity deletes a user, group or role, unless it has policies, or other says what else it has.
func (id *Identity) deleteEntity(c *call.Call, t target, other func(store.Tx, *entity) error) error {
	found, err := id.find(c, t)
	if err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		now, err := again(tx, t, found)
		if err != nil {
			return err
		}
		e := now.(*entity)
		switch {
		case len(e.Attached) > 0:
			return conflict("Cannot delete entity, must detach all policies first.")
		case len(e.Inline) > 0:
			return conflict("Cannot delete entity, must delete policies first.")
		}
		if other != nil {
			if err := other(tx, e); err != nil {
				return err
			}
		}
		return id.drop(tx, e)
	})
	return nil
}

func (id *Identity) listGroupsForUser(_ context.Context, c *call.Call, in *iam.ListGroupsForUserInput) (*iam.ListGroupsForUserOutput, error) {
	found, err := id.find(c, target{user, *in.UserName})
	if err != nil {
		return nil, err
	}
	groups := id.groupsOf(found.(*entity))
	shown, next, err := page(groups, func(g *entity) string { return g.at().name }, in.Marker, in.MaxItems)
	out := &iam.ListGroupsForUserOutput{Groups: []types.Group{}, IsTruncated: next != nil, Marker: next}
	for _, g := range shown {
		out.Groups = append(out.Groups, *g.group())
	}
	return out, err
}

// groupsOf are a user's groups, by name.
func (id *Identity) groupsOf(u *entity) (groups []*entity) {
	for _, g := range u.Groups {
		if found := withID[*entity](id.known, g); found != nil {
			groups = append(groups, found)
		}
	}
	slices.SortFunc(groups, func(a, b *entity) int { return cmpName(a, b) })
	return groups
}
