package identity

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const maxGroups = 10 // that a user is in

func cmpName(a, b *entity) int { return strings.Compare(a.at().name, b.at().name) }

func (id *Identity) createGroup(_ context.Context, c *call.Call, in *iam.CreateGroupInput) (*iam.CreateGroupOutput, error) {
	e, err := id.newEntity(c, group, *in.GroupName, in.Path, nil, nil)
	if err != nil {
		return nil, err
	}
	c.Effect(id.insert(e))
	return &iam.CreateGroupOutput{Group: e.group()}, nil
}

func (e *entity) group() *types.Group {
	return &types.Group{Arn: new(e.arn()), CreateDate: timeOf(e.Created), GroupId: &e.ID, GroupName: &e.Name, Path: &e.Path}
}

func (id *Identity) getGroup(_ context.Context, c *call.Call, in *iam.GetGroupInput) (*iam.GetGroupOutput, error) {
	found, err := id.find(c, target{group, *in.GroupName})
	if err != nil {
		return nil, err
	}
	g := found.(*entity)
	shown, next, err := page(id.members(g), func(u *entity) string { return u.at().name }, in.Marker, in.MaxItems)
	out := &iam.GetGroupOutput{Group: g.group(), Users: []types.User{}, IsTruncated: next != nil, Marker: next}
	for _, u := range shown {
		out.Users = append(out.Users, *u.user(false))
	}
	return out, err
}

// members are the users that are in a group, by name.
func (id *Identity) members(g *entity) (users []*entity) {
	for _, u := range all[*entity](id.known, g.Account, user) {
		if slices.Contains(u.Groups, g.ID) {
			users = append(users, u)
		}
	}
	return users
}

func (id *Identity) listGroups(_ context.Context, c *call.Call, in *iam.ListGroupsInput) (*iam.ListGroupsOutput, error) {
	found, next, err := id.entities(c, group, in.PathPrefix, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListGroupsOutput{Groups: []types.Group{}, IsTruncated: next != nil, Marker: next}
	for _, e := range found {
		out.Groups = append(out.Groups, *e.group())
	}
	return out, nil
}

func (id *Identity) updateGroup(_ context.Context, c *call.Call, in *iam.UpdateGroupInput) (*iam.UpdateGroupOutput, error) {
	return &iam.UpdateGroupOutput{}, id.rename(c, target{group, *in.GroupName}, in.NewGroupName, in.NewPath)
}

func (id *Identity) deleteGroup(_ context.Context, c *call.Call, in *iam.DeleteGroupInput) (*iam.DeleteGroupOutput, error) {
	return &iam.DeleteGroupOutput{}, id.deleteEntity(c, target{group, *in.GroupName}, func(tx store.Tx, g *entity) error {
		used, err := referredTo(tx, g.ID)
		if err == nil && used {
			err = conflict("Cannot delete entity, must remove users from group first.")
		}
		return err
	})
}

func (id *Identity) addUserToGroup(_ context.Context, c *call.Call, in *iam.AddUserToGroupInput) (*iam.AddUserToGroupOutput, error) {
	return &iam.AddUserToGroupOutput{}, id.changeMember(c, *in.GroupName, *in.UserName, func(u *entity, g string) error {
		switch {
		case slices.Contains(u.Groups, g):
		case len(u.Groups) >= maxGroups:
			return overQuota("GroupsPerUser", maxGroups)
		default:
			u.Groups = append(u.Groups, g)
		}
		return nil
	})
}

func (id *Identity) removeUserFromGroup(_ context.Context, c *call.Call, in *iam.RemoveUserFromGroupInput) (*iam.RemoveUserFromGroupOutput, error) {
	return &iam.RemoveUserFromGroupOutput{}, id.changeMember(c, *in.GroupName, *in.UserName, func(u *entity, g string) error {
		u.Groups = slices.DeleteFunc(u.Groups, func(one string) bool { return one == g })
		return nil
	})
}

// changeMember changes the groups of a user. It is an action on the group.
func (id *Identity) changeMember(c *call.Call, groupName, userName string, edit func(u *entity, group string) error) error {
	of := target{group, groupName}
	found, err := id.find(c, of)
	if err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		if _, err := again(tx, of, found); err != nil {
			return err
		}
		u, err := entityIn(tx, placeOf(c.Account(), user, userName), userName)
		if err != nil {
			return err
		}
		if err := edit(u, found.uniqueID()); err != nil {
			return err
		}
		return id.save(tx, u)
	})
	return nil
}
