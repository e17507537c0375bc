package logs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"vigil/internal/call"
	"vigil/internal/store"
)

// retentions are the days that a retention policy may have.
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicy says for how many days a group's events are kept. Older ones are not seen any more, and are removed in whole
// pages once all events of the page are.
func (l *Logs) PutRetentionPolicy(ctx context.Context, c *call.Call, in *cloudwatchlogs.PutRetentionPolicyInput) (*cloudwatchlogs.PutRetentionPolicyOutput, error) {
	g, err := l.own(c, "PutRetentionPolicy", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(retentions, *in.RetentionInDays) {
		return nil, invalid("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			*in.RetentionInDays, strings.ReplaceAll(strings.Trim(fmt.Sprint(retentions), "[]"), " ", ", "))
	}
	l.setRetention(c, g, *in.RetentionInDays)
	return &cloudwatchlogs.PutRetentionPolicyOutput{}, nil
}

// DeleteRetentionPolicy has a group keep its events for ever.
func (l *Logs) DeleteRetentionPolicy(ctx context.Context, c *call.Call, in *cloudwatchlogs.DeleteRetentionPolicyInput) (*cloudwatchlogs.DeleteRetentionPolicyOutput, error) {
	g, err := l.own(c, "DeleteRetentionPolicy", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	l.setRetention(c, g, 0)
	return &cloudwatchlogs.DeleteRetentionPolicyOutput{}, nil
}

func (l *Logs) setRetention(c *call.Call, g *group, days int32) {
	l.change(c, g, func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE logs_group SET retention = $1 WHERE id = $2`, days, g.id)
		tx.OnCommit(l.wakeSweep)
		return err
	})
}
