package identity

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"vigil/internal/call"
	"vigil/internal/store"
)

const maxAccessKeys = 2 // that a user, or the root user, has

// holder is whose access keys a call is about: a user, or the root user when it is nil.
type holder struct{ user *entity }

func (h holder) id() string {
	if h.user == nil {
		return ""
	}
	return h.user.ID
}

// name is nil for the root user.
func (h holder) name() *string {
	if h.user == nil {
		return nil
	}
	return &h.user.Name
}

// keyHolder is whose access keys a call is about, if the caller may do with them what it calls for: the user that it names, or the
// caller.
func (id *Identity) keyHolder(c *call.Call, name *string) (holder, error) {
	if name == nil && c.Principal.Type == typeRoot {
		return holder{}, id.allow(c, c.Principal.ARN, nil, nil)
	}
	whose, err := userName(c, name)
	if err != nil {
		return holder{}, err
	}
	found, err := id.find(c, target{user, whose})
	if err != nil {
		return holder{}, err
	}
	return holder{found.(*entity)}, nil
}

// again fails when the user is not there any more.
func (h holder) again(tx store.Tx) error {
	if h.user == nil {
		return nil
	}
	_, err := again(tx, target{user, h.user.Name}, h.user)
	return err
}

func (id *Identity) createAccessKey(_ context.Context, c *call.Call, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	whose, err := id.keyHolder(c, in.UserName)
	if err != nil {
		return nil, err
	}
	credentials := newCredentials(c.Account())
	k := &accessKey{id: credentials.AccessKeyID, account: c.Account(), owner: whose.id(), secret: credentials.secret,
		status: statusActive, created: c.Time.UnixMilli()}
	wrapped, err := id.wrapKey(k)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := whose.again(tx); err != nil {
			return err
		}
		var n int
		err := tx.QueryRow(`SELECT COUNT(*) FROM identity_access_key WHERE account = $1 AND owner = $2`, k.account, k.owner).Scan(&n)
		if err != nil {
			return err
		}
		if n >= maxAccessKeys {
			return overQuota("AccessKeysPerUser", maxAccessKeys)
		}
		return id.insertKey(tx, k, wrapped)
	})
	return &iam.CreateAccessKeyOutput{AccessKey: &types.AccessKey{
		AccessKeyId: &k.id, SecretAccessKey: new(credentials.SecretAccessKey()), Status: types.StatusTypeActive,
		UserName: whose.name(), CreateDate: timeOf(k.created),
	}}, nil
}

// wrapKey is a key's secret as it is stored.
func (id *Identity) wrapKey(k *accessKey) ([]byte, error) {
	return id.config.Secrets.Wrap([]byte(*k.secret), keyContext(k.id, k.account))
}

// keyContext binds a wrapped secret to its row.
func keyContext(accessKeyID, account string) []byte {
	return []byte("access key " + accessKeyID + " of " + account)
}

// insertKey stores a new key and makes it known.
func (id *Identity) insertKey(tx store.Tx, k *accessKey, wrapped []byte) error {
	_, err := tx.Exec(`INSERT INTO identity_access_key (id, account, owner, secret, created, status) VALUES ($1, $2, $3, $4, $5, $6)`,
		k.id, k.account, k.owner, wrapped, k.created, k.status)
	if err == nil {
		tx.OnCommit(func() { id.known.change(func() { id.known.keys[k.id] = k }) })
	}
	return err
}

func (id *Identity) updateAccessKey(_ context.Context, c *call.Call, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	whose, err := id.keyHolder(c, in.UserName)
	if err != nil {
		return nil, err
	}
	if in.Status != types.StatusTypeActive && in.Status != types.StatusTypeInactive {
		return nil, validation("Status %s is not valid for an access key.", in.Status)
	}
	c.Effect(func(tx store.Tx) error {
		n, err := tx.Exec(`UPDATE identity_access_key SET status = $1 WHERE id = $2 AND account = $3 AND owner = $4`,
			string(in.Status), *in.AccessKeyId, c.Account(), whose.id())
		if err == nil && n == 0 {
			err = noSuchKey(*in.AccessKeyId)
		}
		if err == nil {
			tx.OnCommit(func() { id.known.setStatus(*in.AccessKeyId, string(in.Status)) })
		}
		return err
	})
	return &iam.UpdateAccessKeyOutput{}, nil
}

func (d *directory) setStatus(key, status string) {
	d.change(func() {
		changed := *d.keys[key]
		changed.status = status
		d.keys[key] = &changed
	})
}

func noSuchKey(key string) error {
	return noSuchEntity("The Access Key with id %s cannot be found.", key)
}

func (id *Identity) deleteAccessKey(_ context.Context, c *call.Call, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	whose, err := id.keyHolder(c, in.UserName)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM identity_access_key WHERE id = $1 AND account = $2 AND owner = $3`, *in.AccessKeyId, c.Account(), whose.id())
		if err == nil && n == 0 {
			err = noSuchKey(*in.AccessKeyId)
		}
		if err == nil {
			tx.OnCommit(func() { id.known.change(func() { delete(id.known.keys, *in.AccessKeyId) }) })
		}
		return err
	})
	return &iam.DeleteAccessKeyOutput{}, nil
}

func (id *Identity) listAccessKeys(_ context.Context, c *call.Call, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	whose, err := id.keyHolder(c, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAccessKeysOutput{AccessKeyMetadata: []types.AccessKeyMetadata{}}
	for _, k := range id.known.keysOf(c.Account(), whose.id()) {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, types.AccessKeyMetadata{
			AccessKeyId: &k.id, CreateDate: timeOf(k.created), Status: types.StatusType(k.status), UserName: whose.name(),
		})
	}
	return out, nil
}

// getAccessKeyLastUsed says when a key was last used, to the minute.
func (id *Identity) getAccessKeyLastUsed(ctx context.Context, c *call.Call, in *iam.GetAccessKeyLastUsedInput) (*iam.GetAccessKeyLastUsedOutput, error) {
	k := id.known.key(*in.AccessKeyId)
	if k == nil || k.account != c.Account() { // AWS does not tell which of the two
		if err := id.allow(c, "*", nil, nil); err != nil {
			return nil, err
		}
		return nil, noSuchKey(*in.AccessKeyId)
	}
	whose := holder{withID[*entity](id.known, k.owner)}
	resource := c.Principal.ARN
	if whose.user != nil {
		resource = whose.user.arn()
	}
	if err := id.allow(c, resource, nil, nil); err != nil {
		return nil, err
	}
	uses, err := id.config.LastUses(ctx, k.id)
	if err != nil {
		return nil, err
	}
	last := &types.AccessKeyLastUsed{Region: new("N/A"), ServiceName: new("N/A")}
	if use, ok := uses[k.id]; ok {
		last = &types.AccessKeyLastUsed{LastUsedDate: new(use.Time.Truncate(time.Minute)), Region: &use.Region, ServiceName: &use.Service}
	}
	return &iam.GetAccessKeyLastUsedOutput{AccessKeyLastUsed: last, UserName: whose.name()}, nil
}
