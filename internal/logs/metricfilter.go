package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"vigil/internal/call"
	"vigil/internal/paging"
	"vigil/internal/policy"
	"vigil/internal/query"
	"vigil/internal/store"
)

// The quotas of a log group.
const (
	maxFilters      = 100
	maxRegexFilters = 5 // that have regular expressions
	maxDimensions   = 3 // of a filter
)

// metricFilter turns the events of a group that match a pattern into values of a metric. It does not change.
type metricFilter struct {
	id             int64
	name           string
	created        int64
	pattern        string
	transformation types.MetricTransformation

	filter     *query.Filter
	value      measurer
	dimensions []dimension // by name
}

// newMetricFilter prepares a filter, or says what is wrong with it.
func newMetricFilter(id int64, name, pattern string, t types.MetricTransformation, created int64) (*metricFilter, error) {
	f := &metricFilter{id: id, name: name, created: created, pattern: pattern, transformation: t}
	var err error
	if f.filter, err = query.ParseFilter(pattern); err != nil {
		return nil, badPattern(err, "Invalid metric filter pattern")
	}
	if f.value, err = newMeasurer(f.filter, *t.MetricValue); err != nil {
		return nil, err
	}
	f.dimensions, err = newDimensions(f.filter, t.Dimensions)
	return f, err
}

// PutMetricFilter makes or replaces a metric filter of a log group. It measures the events that come in from then on.
func (l *Logs) PutMetricFilter(ctx context.Context, c *call.Call, in *cloudwatchlogs.PutMetricFilterInput) (*cloudwatchlogs.PutMetricFilterOutput, error) {
	g, err := l.own(c, "PutMetricFilter", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	switch {
	case l.putMetrics == nil:
		return nil, call.NotBuilt("A metric filter without metrics")
	case in.ApplyOnTransformedLogs:
		return nil, call.NotBuilt("Transforming logs (applyOnTransformedLogs)")
	case len(in.EmitSystemFieldDimensions) > 0 || deref(in.FieldSelectionCriteria) != "":
		return nil, call.NotBuilt("Selecting or emitting system fields (fieldSelectionCriteria, emitSystemFieldDimensions)")
	}
	t := in.MetricTransformations[0]
	if err := checkTransformation(t); err != nil {
		return nil, err
	}
	if _, err := newMetricFilter(0, *in.FilterName, *in.FilterPattern, t, 0); err != nil {
		return nil, err
	}
	kept, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	l.change(c, g, func(tx store.Tx) error {
		id, err := nextID(tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO logs_metric_filter (group_id, name, id, pattern, transformation, created) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (group_id, name) DO UPDATE SET id = excluded.id, pattern = excluded.pattern, transformation = excluded.transformation,
				created = excluded.created`, g.id, *in.FilterName, id, *in.FilterPattern, string(kept), toMillis(c.Time)); err != nil {
			return err
		}
		return roomForFilter(tx, g)
	})
	return &cloudwatchlogs.PutMetricFilterOutput{}, nil
}

func checkTransformation(t types.MetricTransformation) error {
	switch {
	case strings.HasPrefix(*t.MetricNamespace, "AWS/"):
		return invalid("Invalid metric transformation: metric namespaces starting with AWS/ are reserved.")
	case t.DefaultValue != nil && len(t.Dimensions) > 0:
		return invalid("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	case t.DefaultValue != nil && (math.IsNaN(*t.DefaultValue) || math.IsInf(*t.DefaultValue, 0)):
		return invalid("Invalid metric transformation: the default value must be a number.")
	case len(t.Dimensions) > maxDimensions:
		return invalid("Invalid metric transformation: at most %d dimensions are allowed.", maxDimensions)
	}
	return nil
}

// roomForFilter asks, in the transaction that has made a filter, whether the group may have it.
func roomForFilter(tx store.Tx, g *group) error {
	filters, err := loadFilters(tx, g.id)
	if err != nil {
		return err
	}
	regexes := 0
	for _, f := range filters {
		if f.filter.Regexes() > 0 {
			regexes++
		}
	}
	if len(filters) > maxFilters || regexes > maxRegexFilters {
		return call.Errorf("LimitExceededException", "Resource limit exceeded.")
	}
	return nil
}

// loadFilters reads a group's filters, by name.
func loadFilters(tx store.Tx, groupID int64) ([]*metricFilter, error) {
	return store.List(tx, func(row store.Scanner) (*metricFilter, error) {
		var id, created int64
		var name, pattern, kept string
		if err := row.Scan(&id, &name, &pattern, &kept, &created); err != nil {
			return nil, err
		}
		var t types.MetricTransformation
		if err := json.Unmarshal([]byte(kept), &t); err != nil {
			return nil, fmt.Errorf("metric filter %s: %w", name, err)
		}
		f, err := newMetricFilter(id, name, pattern, t, created)
		if err != nil {
			return nil, fmt.Errorf("metric filter %s: %w", name, err)
		}
		return f, nil
	}, `SELECT id, name, pattern, transformation, created FROM logs_metric_filter WHERE group_id = $1 ORDER BY name`, groupID)
}

// DeleteMetricFilter ends a metric filter.
func (l *Logs) DeleteMetricFilter(ctx context.Context, c *call.Call, in *cloudwatchlogs.DeleteMetricFilterInput) (*cloudwatchlogs.DeleteMetricFilterOutput, error) {
	g, err := l.own(c, "DeleteMetricFilter", in.LogGroupName)
	if err != nil {
		return nil, err
	}
	l.change(c, g, func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM logs_metric_filter WHERE group_id = $1 AND name = $2`, g.id, *in.FilterName)
		if err == nil && n == 0 {
			err = call.Errorf("ResourceNotFoundException", "The specified metric filter does not exist.")
		}
		return err
	})
	return &cloudwatchlogs.DeleteMetricFilterOutput{}, nil
}

// DescribeMetricFilters lists metric filters by name, at most 50 at a time: those of a group or of all groups, of a metric, and those
// whose names have a prefix.
func (l *Logs) DescribeMetricFilters(ctx context.Context, c *call.Call, in *cloudwatchlogs.DescribeMetricFiltersInput) (*cloudwatchlogs.DescribeMetricFiltersOutput, error) {
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, invalid("metricName and metricNamespace must be specified together.")
	}
	var groups []*group
	if in.LogGroupName != nil {
		g, err := l.own(c, "DescribeMetricFilters", in.LogGroupName)
		if err != nil {
			return nil, err
		}
		groups = []*group{g}
	} else {
		all := LogGroupID{c.Account(), c.Region, "*"}
		if err := c.Allow("logs:DescribeMetricFilters", policy.Resource{ARN: all.arn().String(), Account: all.Account}, nil); err != nil {
			return nil, err
		}
		groups = l.groupsAfter(c, "", func(string) bool { return true })
	}
	page := newListPage(in.Limit, c, deref(in.LogGroupName), deref(in.FilterNamePrefix), deref(in.MetricName), deref(in.MetricNamespace))
	after, err := pageAfter(page, in.NextToken)
	if err != nil {
		return nil, err
	}

	var found []types.MetricFilter
	order := func(f types.MetricFilter) string { return *f.FilterName + ":" + *f.LogGroupName } // neither name has a colon
	for _, g := range groups {
		for _, f := range g.filters {
			shown := types.MetricFilter{
				FilterName: new(f.name), FilterPattern: new(f.pattern), LogGroupName: new(g.Name), CreationTime: new(f.created),
				MetricTransformations: []types.MetricTransformation{f.transformation},
			}
			t := f.transformation
			if strings.HasPrefix(f.name, deref(in.FilterNamePrefix)) && order(shown) > after &&
				(in.MetricName == nil || *t.MetricName == *in.MetricName && *t.MetricNamespace == *in.MetricNamespace) {
				found = append(found, shown)
			}
		}
	}
	slices.SortFunc(found, func(a, b types.MetricFilter) int { return cmp.Compare(order(a), order(b)) })
	found, next := paging.Cut(page, found, order)
	return &cloudwatchlogs.DescribeMetricFiltersOutput{MetricFilters: append([]types.MetricFilter{}, found...), NextToken: next}, nil
}

// TestMetricFilter says which of some messages match a pattern, counted from one, and what a space-delimited pattern reads from them.
func (l *Logs) TestMetricFilter(ctx context.Context, c *call.Call, in *cloudwatchlogs.TestMetricFilterInput) (*cloudwatchlogs.TestMetricFilterOutput, error) {
	all := LogGroupID{c.Account(), c.Region, "*"}
	if err := c.Allow("logs:TestMetricFilter", policy.Resource{ARN: all.arn().String(), Account: all.Account}, nil); err != nil {
		return nil, err
	}
	f, err := query.ParseFilter(*in.FilterPattern)
	if err != nil {
		return nil, badPattern(err, "Invalid metric filter pattern")
	}
	out := &cloudwatchlogs.TestMetricFilterOutput{Matches: []types.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if values, ok := f.Extract([]byte(message)); ok {
			out.Matches = append(out.Matches, types.MetricFilterMatchRecord{
				EventNumber: int64(i + 1), EventMessage: new(message), ExtractedValues: values,
			})
		}
	}
	return out, nil
}
