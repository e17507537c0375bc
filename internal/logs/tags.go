package logs

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"vigil/internal/call"
	"vigil/internal/store"
)

const maxTags = 50 // of a log group

// TagResource adds tags to a log group. A tag that it has already gets the new value.
func (l *Logs) TagResource(ctx context.Context, c *call.Call, in *cloudwatchlogs.TagResourceInput) (*cloudwatchlogs.TagResourceOutput, error) {
	g, err := l.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.TagResourceOutput{}, l.tag(c, g, in.Tags)
}

// TagLogGroup is TagResource's older form.
func (l *Logs) TagLogGroup(ctx context.Context, c *call.Call, in *cloudwatchlogs.TagLogGroupInput) (*cloudwatchlogs.TagLogGroupOutput, error) {
	g, err := l.own(c, "TagLogGroup", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	return &cloudwatchlogs.TagLogGroupOutput{}, l.tag(c, g, in.Tags)
}

// UntagResource removes tags. One that the group has not is no error.
func (l *Logs) UntagResource(ctx context.Context, c *call.Call, in *cloudwatchlogs.UntagResourceInput) (*cloudwatchlogs.UntagResourceOutput, error) {
	g, err := l.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	l.untag(c, g, in.TagKeys)
	return &cloudwatchlogs.UntagResourceOutput{}, nil
}

// UntagLogGroup is UntagResource's older form.
func (l *Logs) UntagLogGroup(ctx context.Context, c *call.Call, in *cloudwatchlogs.UntagLogGroupInput) (*cloudwatchlogs.UntagLogGroupOutput, error) {
	g, err := l.own(c, "UntagLogGroup", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	l.untag(c, g, in.Tags)
	return &cloudwatchlogs.UntagLogGroupOutput{}, nil
}

// ListTagsForResource lists all tags of a log group.
func (l *Logs) ListTagsForResource(ctx context.Context, c *call.Call, in *cloudwatchlogs.ListTagsForResourceInput) (*cloudwatchlogs.ListTagsForResourceOutput, error) {
	g, err := l.tagged(c, in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := l.tags(ctx, g)
	return &cloudwatchlogs.ListTagsForResourceOutput{Tags: tags}, err
}

// ListTagsLogGroup is ListTagsForResource's older form.
func (l *Logs) ListTagsLogGroup(ctx context.Context, c *call.Call, in *cloudwatchlogs.ListTagsLogGroupInput) (*cloudwatchlogs.ListTagsLogGroupOutput, error) {
	g, err := l.own(c, "ListTagsLogGroup", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	tags, err := l.tags(ctx, g)
	return &cloudwatchlogs.ListTagsLogGroupOutput{Tags: tags}, err
}

// tagged is the group of an ARN, which is the only kind of resource that Vigil tags here.
func (l *Logs) tagged(c *call.Call, resource *string) (*group, error) {
	id, err := groupOfARN(c, *resource)
	if err != nil {
		return nil, err
	}
	return l.own(c, c.Operation, &id.Name)
}

func (l *Logs) tag(c *call.Call, g *group, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	l.change(c, g, func(tx store.Tx) error { return putTags(tx, g.id, tags) })
	return nil
}

func (l *Logs) untag(c *call.Call, g *group, names []string) {
	l.change(c, g, func(tx store.Tx) error {
		for _, name := range names {
			if _, err := tx.Exec(`DELETE FROM logs_tag WHERE group_id = $1 AND name = $2`, g.id, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Logs) tags(ctx context.Context, g *group) (map[string]string, error) {
	tags := map[string]string{}
	err := l.db.View(ctx, func(tx store.Tx) error {
		pairs, err := store.List(tx, func(row store.Scanner) (pair [2]string, err error) {
			err = row.Scan(&pair[0], &pair[1])
			return pair, err
		}, `SELECT name, value FROM logs_tag WHERE group_id = $1`, g.id)
		for _, pair := range pairs {
			tags[pair[0]] = pair[1]
		}
		return err
	})
	return tags, err
}

func checkTags(tags map[string]string) error {
	for name := range tags {
		if strings.HasPrefix(strings.ToLower(name), "aws:") {
			return invalid("Tag keys starting with aws: are reserved for AWS use.")
		}
	}
	return nil
}

func putTags(tx store.Tx, groupID int64, tags map[string]string) error {
	if len(tags) == 0 {
		return nil
	}
	for name, value := range tags {
		if _, err := tx.Exec(`INSERT INTO logs_tag (group_id, name, value) VALUES ($1, $2, $3)
			ON CONFLICT (group_id, name) DO UPDATE SET value = excluded.value`, groupID, name, value); err != nil {
			return err
		}
	}
	var count int
	err := tx.QueryRow(`SELECT COUNT(*) FROM logs_tag WHERE group_id = $1`, groupID).Scan(&count)
	if err == nil && count > maxTags {
		err = call.Errorf("TooManyTagsException", "The resource can have no more than %d tags.", maxTags)
	}
	return err
}
