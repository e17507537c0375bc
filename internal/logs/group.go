package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// LogGroupID names a log group.
type LogGroupID struct{ Account, Region, Name string }

func (g LogGroupID) arn() arn.ARN { return arn.New("logs", g.Region, g.Account, "log-group:"+g.Name) }

// streamARN is the ARN of one of the group's streams; that of * stands for all of them, and in policies for the group.
func (g LogGroupID) streamARN(stream string) string {
	return g.arn().String() + ":log-stream:" + stream
}

// resource is the group as policies name it.
func (g LogGroupID) resource() policy.Resource {
	return policy.Resource{ARN: g.arn().String() + ":*", Account: g.Account}
}

func (g LogGroupID) streamResource(stream string) policy.Resource {
	return policy.Resource{ARN: g.streamARN(stream), Account: g.Account}
}

const (
	groupType  = "AWS::Logs::LogGroup"
	streamType = "AWS::Logs::LogStream"
)

// group is a log group as it is used: with its metric filters, by name.
type group struct {
	LogGroupID
	id        int64
	created   int64
	retention int64 // days; 0 is for ever
	filters   []*metricFilter
	key       *groupKey // that encrypts what comes in; nil for none
}

// oldest is the time of the oldest events that the group keeps at a time.
func (g *group) oldest(now time.Time) int64 {
	if g.retention == 0 {
		return 0
	}
	return toMillis(now) - g.retention*24*time.Hour.Milliseconds()
}

// find is a group that exists.
func (l *Logs) find(id LogGroupID) (*group, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if g := l.groups[id]; g != nil {
		return g, nil
	}
	return nil, noSuchGroup()
}

// identified is the group that an operation names, by name or by identifier, which is a name or an ARN.
func identified(c *call.Call, name, identifier *string) (LogGroupID, error) {
	id := LogGroupID{Account: c.Account(), Region: c.Region}
	switch {
	case name != nil && identifier != nil:
		return id, call.Errorf("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")
	case name != nil:
		id.Name = *name
	case identifier == nil:
		return id, call.Errorf("ValidationException", "LogGroup name or LogGroup ARN is required.")
	case !strings.HasPrefix(*identifier, "arn:"):
		id.Name = *identifier
	default:
		return groupOfARN(c, *identifier)
	}
	return id, nil
}

// groupOfARN is the group of an ARN, with or without :* at its end. Only groups of the caller's account and region are found.
func groupOfARN(c *call.Call, text string) (LogGroupID, error) {
	a, err := arn.Parse(text)
	name, ok := strings.CutPrefix(a.Resource, "log-group:")
	if err != nil || !ok || a.Service != "logs" {
		return LogGroupID{}, invalid("Invalid ARN: %s", text)
	}
	if a.Account != c.Account() || a.Region != c.Region {
		return LogGroupID{}, noSuchGroup()
	}
	return LogGroupID{a.Account, a.Region, strings.TrimSuffix(name, ":*")}, nil
}

// own is the caller's group of that name, if the caller may perform the action on it.
func (l *Logs) own(c *call.Call, action string, name *string) (*group, error) {
	id := LogGroupID{c.Account(), c.Region, *name}
	c.Touch(groupType, id.arn())
	if err := c.Allow("logs:"+action, id.resource(), nil); err != nil {
		return nil, err
	}
	return l.find(id)
}

// change is a call's effect on a group that must still be the one that was found. What the group then is, memory knows as
// soon as it is durable.
func (l *Logs) change(c *call.Call, g *group, effect func(store.Tx) error) {
	c.Effect(func(tx store.Tx) error {
		if err := stillThere(tx, g); err != nil {
			return err
		}
		if err := effect(tx); err != nil {
			return err
		}
		changed, err := loadGroup(tx, g.LogGroupID)
		if err != nil {
			return err
		}
		tx.OnCommit(func() { l.replace(g.LogGroupID, changed) })
		return nil
	})
}

func stillThere(tx store.Tx, g *group) error {
	var id int64
	err := tx.QueryRow(`SELECT id FROM logs_group WHERE account = $1 AND region = $2 AND name = $3`, g.Account, g.Region, g.Name).Scan(&id)
	if errors.Is(err, store.ErrNoRows) || err == nil && id != g.id {
		return noSuchGroup()
	}
	return err
}

// replace changes what memory knows of a group. None is a group that was deleted.
func (l *Logs) replace(id LogGroupID, with *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.groups[id]; old != nil {
		delete(l.byID, old.id)
	}
	if with == nil {
		delete(l.groups, id)
		return
	}
	l.groups[id], l.byID[with.id] = with, with
}

// loadGroup reads a group. Its error is store.ErrNoRows when there is none.
func loadGroup(tx store.Tx, id LogGroupID) (*group, error) {
	g := &group{LogGroupID: id}
	var key int64
	err := tx.QueryRow(`SELECT id, created, retention, key_id FROM logs_group WHERE account = $1 AND region = $2 AND name = $3`,
		id.Account, id.Region, id.Name).Scan(&g.id, &g.created, &g.retention, &key)
	if err != nil {
		return nil, err
	}
	if key != 0 {
		if g.key, err = loadKey(tx, key); err != nil {
			return nil, fmt.Errorf("the key of log group %s: %w", g.arn(), err)
		}
	}
	g.filters, err = loadFilters(tx, g.id)
	return g, err
}

// load reads all groups, and what is still to be removed.
func (l *Logs) load(ctx context.Context) error {
	return l.db.View(ctx, func(tx store.Tx) error {
		ids, err := store.List(tx, func(row store.Scanner) (id LogGroupID, err error) {
			err = row.Scan(&id.Account, &id.Region, &id.Name)
			return id, err
		}, `SELECT account, region, name FROM logs_group`)
		if err != nil {
			return err
		}
		for _, id := range ids {
			g, err := loadGroup(tx, id)
			if err != nil {
				return err
			}
			l.replace(id, g)
		}
		deleted, err := loadDeleted(tx)
		for _, d := range deleted {
			if d.stream != 0 {
				l.deleted[d.stream] = true
			}
		}
		return err
	})
}

// CreateLogGroup makes a log group of the class STANDARD, which keeps its events for ever.
func (l *Logs) CreateLogGroup(ctx context.Context, c *call.Call, in *cloudwatchlogs.CreateLogGroupInput) (*cloudwatchlogs.CreateLogGroupOutput, error) {
	id := LogGroupID{c.Account(), c.Region, *in.LogGroupName}
	c.Touch(groupType, id.arn())
	if err := c.Allow("logs:CreateLogGroup", id.resource(), nil); err != nil {
		return nil, err
	}
	switch {
	case in.LogGroupClass != "" && in.LogGroupClass != types.LogGroupClassStandard:
		return nil, call.NotBuilt("The log group class " + string(in.LogGroupClass))
	case in.DeletionProtectionEnabled != nil && *in.DeletionProtectionEnabled:
		return nil, call.NotBuilt("Deletion protection of a log group")
	case strings.HasPrefix(strings.ToLower(id.Name), "aws/"):
		return nil, invalid("Log groups starting with AWS/ are reserved for AWS.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	var key *groupKey
	if _, err := l.find(id); err != nil && in.KmsKeyId != nil { // what exists already is refused below, and has no use for a key
		if key, err = l.newKey(ctx, c, id, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	c.Effect(func(tx store.Tx) error {
		if _, err := loadGroup(tx, id); err == nil {
			return call.Errorf("ResourceAlreadyExistsException", "The specified log group already exists")
		} else if !errors.Is(err, store.ErrNoRows) {
			return err
		}
		groupID, err := nextID(tx)
		if err != nil {
			return err
		}
		g := &group{LogGroupID: id, id: groupID, created: toMillis(c.Time)}
		if _, err := tx.Exec(`INSERT INTO logs_group (account, region, name, id, created, retention) VALUES ($1, $2, $3, $4, $5, 0)`,
			id.Account, id.Region, id.Name, g.id, g.created); err != nil {
			return err
		}
		if err := putTags(tx, g.id, in.Tags); err != nil {
			return err
		}
		if err := putKey(tx, g.id, key); err != nil {
			return err
		}
		if g, err = loadGroup(tx, id); err != nil {
			return err
		}
		tx.OnCommit(func() { l.replace(id, g) })
		return nil
	})
	return &cloudwatchlogs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup ends a log group with its streams, events and metric filters. The events go in the background, and are not
// seen any more.
func (l *Logs) DeleteLogGroup(ctx context.Context, c *call.Call, in *cloudwatchlogs.DeleteLogGroupInput) (*cloudwatchlogs.DeleteLogGroupOutput, error) {
	g, err := l.own(c, "DeleteLogGroup", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := stillThere(tx, g); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM logs_group WHERE id = $1`,
			`DELETE FROM logs_tag WHERE group_id = $1`,
			`DELETE FROM logs_metric_filter WHERE group_id = $1`,
			`DELETE FROM logs_stream WHERE group_id = $1`,
			`DELETE FROM logs_key WHERE group_id = $1`,
			`INSERT INTO logs_deleted (group_id, stream_id) VALUES ($1, 0)`,
		} {
			if _, err := tx.Exec(statement, g.id); err != nil {
				return err
			}
		}
		tx.OnCommit(func() {
			l.replace(g.LogGroupID, nil)
			l.wakeSweep()
		})
		return nil
	})
	return &cloudwatchlogs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups lists the account's groups of a region by name: at most 50 at a time, those with a prefix, those with a text
// anywhere in the name, or those that are named. metricFilterCount is exact and storedBytes counts messages before compression.
func (l *Logs) DescribeLogGroups(ctx context.Context, c *call.Call, in *cloudwatchlogs.DescribeLogGroupsInput) (*cloudwatchlogs.DescribeLogGroupsOutput, error) {
	all := LogGroupID{c.Account(), c.Region, "*"}
	if err := c.Allow("logs:DescribeLogGroups", policy.Resource{ARN: all.streamARN("*"), Account: all.Account}, nil); err != nil {
		return nil, err
	}
	switch {
	case in.LogGroupNamePattern != nil && in.LogGroupNamePrefix != nil:
		return nil, invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	case len(in.LogGroupIdentifiers) > 0 && (in.LogGroupNamePattern != nil || in.LogGroupNamePrefix != nil || in.LogGroupClass != ""):
		return nil, invalid("logGroupIdentifiers cannot be combined with other filters.")
	case in.IncludeLinkedAccounts != nil && *in.IncludeLinkedAccounts:
		return nil, call.NotBuilt("Listing the log groups of linked accounts")
	}
	wanted, err := wantedGroups(c, in)
	if err != nil {
		return nil, err
	}
	page := newListPage(in.Limit, c, deref(in.LogGroupNamePrefix), deref(in.LogGroupNamePattern), strings.Join(in.LogGroupIdentifiers, " "))
	after, err := pageAfter(page, in.NextToken)
	if err != nil {
		return nil, err
	}
	groups, next := paging.Cut(page, l.groupsAfter(c, after, wanted), func(g *group) string { return g.Name })

	out := &cloudwatchlogs.DescribeLogGroupsOutput{LogGroups: []types.LogGroup{}, NextToken: next}
	for _, g := range groups {
		short := types.LogGroup{
			Arn: new(g.arn().String() + ":*"), CreationTime: new(g.created), LogGroupName: new(g.Name),
		}
		if in.LogGroupNamePattern == nil {
			stored, err := l.storedBytes(ctx, g)
			if err != nil {
				return nil, err
			}
			short.LogGroupArn, short.LogGroupClass = new(g.arn().String()), types.LogGroupClassStandard
			short.MetricFilterCount, short.StoredBytes = new(int32(len(g.filters))), &stored
			if g.key != nil {
				short.KmsKeyId = new(g.key.kmsKey)
			}
			if g.retention > 0 {
				short.RetentionInDays = new(int32(g.retention))
			}
		}
		out.LogGroups = append(out.LogGroups, short)
	}
	return out, nil
}

// wantedGroups says which groups DescribeLogGroups was asked for.
func wantedGroups(c *call.Call, in *cloudwatchlogs.DescribeLogGroupsInput) (func(name string) bool, error) {
	if len(in.LogGroupIdentifiers) > 0 {
		named := map[string]bool{}
		for _, identifier := range in.LogGroupIdentifiers {
			id, err := identified(c, nil, &identifier)
			if err != nil {
				return nil, err
			}
			named[id.Name] = true
		}
		return func(name string) bool { return named[name] }, nil
	}
	prefix, text := deref(in.LogGroupNamePrefix), deref(in.LogGroupNamePattern)
	otherClass := in.LogGroupClass != "" && in.LogGroupClass != types.LogGroupClassStandard
	return func(name string) bool {
		return !otherClass && strings.HasPrefix(name, prefix) && strings.Contains(name, text)
	}, nil
}

// groupsAfter are the caller's groups behind a name, in the order of names.
func (l *Logs) groupsAfter(c *call.Call, after string, wanted func(string) bool) []*group {
	l.mu.RLock()
	var found []*group
	for id, g := range l.groups {
		if id.Account == c.Account() && id.Region == c.Region && id.Name > after && wanted(id.Name) {
			found = append(found, g)
		}
	}
	l.mu.RUnlock()
	slices.SortFunc(found, func(a, b *group) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

func (l *Logs) storedBytes(ctx context.Context, g *group) (n int64, err error) {
	err = l.watch.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT bytes FROM logs_data_group WHERE group_id = $1`, g.id).Scan(&n)
	})
	if errors.Is(err, store.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
