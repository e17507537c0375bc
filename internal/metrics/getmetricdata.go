package metrics

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

const (
	maxQueries    = 500
	maxDatapoints = 100_800 // of an answer
)

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

// GetMetricData computes statistics of up to 500 metrics, as the CloudWatch API reference describes it: newest first, unless ScanBy says
// otherwise, and at most MaxDatapoints (100,800) points an answer. A result whose points go on in the next answer has the status
// PartialData; one that has not begun is left out. Without a Unit the points of all units are taken together.
// Metric math, dynamic labels and metrics of other accounts are not built, and are refused.
func (m *Metrics) GetMetricData(ctx context.Context, c *call.Call, in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	if err := c.Allow("cloudwatch:GetMetricData", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	queries, err := checkQueries(c, in)
	if err != nil {
		return nil, err
	}
	place, err := readDataToken(c, in)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{}, Messages: []types.MessageData{}}
	left := maxDatapoints
	if in.MaxDatapoints != nil {
		left = int(*in.MaxDatapoints)
	}
	for n := place.query; n < int64(len(queries)); n++ {
		if left == 0 {
			out.NextToken = writeDataToken(c, in, dataPlace{query: n})
			break
		}
		result, more, err := m.result(ctx, c, in, &queries[n], place, left)
		if err != nil {
			return nil, err
		}
		out.MetricDataResults = append(out.MetricDataResults, result)
		if more {
			last := result.Timestamps[len(result.Timestamps)-1].Unix()
			out.NextToken = writeDataToken(c, in, dataPlace{query: n, begun: true, after: last})
			break
		}
		left -= len(result.Values)
		place = dataPlace{}
	}
	return out, nil
}

// dataQuery is a query that has been checked.
type dataQuery struct {
	id, label, statName string
	selection           selection
	stat                statistic
}

// result is up to limit points of a query, from a place on, and whether there are more.
func (m *Metrics) result(ctx context.Context, c *call.Call, in *cloudwatch.GetMetricDataInput, q *dataQuery, from dataPlace, limit int) (types.MetricDataResult, bool, error) {
	r := types.MetricDataResult{Id: &q.id, Label: &q.label, StatusCode: types.StatusCodeComplete, Timestamps: []time.Time{}, Values: []float64{}}
	windows, err := m.windows(ctx, c.Account(), c.Region, &q.selection)
	if err != nil {
		return r, false, err
	}
	ascending := in.ScanBy == types.ScanByTimestampAscending
	if !ascending {
		slices.Reverse(windows)
	}
	for i := range windows {
		w := &windows[i]
		if from.begun && (ascending && w.start <= from.after || !ascending && w.start >= from.after) {
			continue
		}
		value, ok := q.stat.of(&w.totals)
		if !ok {
			continue
		}
		if len(r.Values) == limit {
			r.StatusCode = types.StatusCodePartialData
			return r, true, nil
		}
		r.Timestamps = append(r.Timestamps, time.Unix(w.start, 0).UTC())
		r.Values = append(r.Values, value)
	}
	return r, false, nil
}

// checkQueries returns the queries that return data.
func checkQueries(c *call.Call, in *cloudwatch.GetMetricDataInput) ([]dataQuery, error) {
	var f faults
	checkTimes(&f, validationError, *in.StartTime, *in.EndTime)
	if len(in.MetricDataQueries) == 0 {
		f.add(validationError, "The parameter MetricDataQueries is required.")
	}
	if len(in.MetricDataQueries) > maxQueries {
		f.add(validationError, "The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	}
	if n := in.MaxDatapoints; n != nil && (*n < 1 || *n > maxDatapoints) {
		f.add(validationError, "The value %d for parameter MaxDatapoints is invalid. It must be between 1 and %d.", *n, maxDatapoints)
	}
	if f.code != "" {
		return nil, f.err()
	}
	ids := map[string]bool{}
	var queries []dataQuery
	for i := range in.MetricDataQueries {
		q := &in.MetricDataQueries[i]
		id := aws.ToString(q.Id)
		if ids[id] {
			f.add(validationError, "The values for parameter id in MetricDataQueries are not unique.")
		}
		ids[id] = true
		checked := checkQuery(&f, c, in, i+1, q)
		if f.code == "" && (q.ReturnData == nil || *q.ReturnData) {
			queries = append(queries, checked)
		}
	}
	label(queries)
	return queries, f.err()
}

func checkQuery(f *faults, c *call.Call, in *cloudwatch.GetMetricDataInput, number int, q *types.MetricDataQuery) dataQuery {
	name := fmt.Sprintf("MetricDataQueries.member.%d", number)
	id := aws.ToString(q.Id)
	if !queryID.MatchString(id) {
		f.add(validationError, "The value %s for parameter %s.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.", id, name)
	}
	s := q.MetricStat
	switch {
	case q.Expression != nil && s != nil:
		f.add(validationError, "The parameters %s.Expression and %s.MetricStat are mutually exclusive and you have specified both.", name, name)
		return dataQuery{}
	case q.Expression != nil:
		f.add(validationError, "Error in expression '%s': metric math expressions are not supported by this version of Vigil.", id)
		return dataQuery{}
	case s == nil:
		f.add(validationError, "At least one of the parameters %s.Expression or %s.MetricStat must be specified.", name, name)
		return dataQuery{}
	case q.Period != nil:
		f.add(validationError, "The parameters %s.Period and %s.MetricStat are mutually exclusive and you have specified both.", name, name)
	}
	if a := aws.ToString(q.AccountId); a != "" && a != c.Account() {
		f.add(validationError, "The parameter %s.AccountId names another account, which is not supported by this version of Vigil.", name)
	}
	if strings.Contains(aws.ToString(q.Label), "${") {
		f.add(validationError, "The parameter %s.Label is a dynamic label, which is not supported by this version of Vigil.", name)
	}
	checkPeriod(f, validationError, name+".MetricStat.Period", aws.ToInt32(s.Period))
	checkDimensions(f, name+".MetricStat.Metric.", s.Metric.Dimensions)
	for _, required := range []struct {
		name  string
		value *string
	}{{"Namespace", s.Metric.Namespace}, {"MetricName", s.Metric.MetricName}} {
		if aws.ToString(required.value) == "" {
			f.add(validationError, "The parameter %s.MetricStat.Metric.%s is required.", name, required.name)
		}
	}
	stat, ok := parseStatistic(aws.ToString(s.Stat))
	if !ok {
		f.add(validationError, "The value %s for parameter %s.MetricStat.Stat is not a valid statistic.", aws.ToString(s.Stat), name)
	}
	if f.code != "" {
		return dataQuery{}
	}
	period := int64(*s.Period)
	return dataQuery{id: id, label: aws.ToString(q.Label), statName: *s.Stat, stat: stat, selection: selection{
		namespace: *s.Metric.Namespace, name: *s.Metric.MetricName, dimensions: dimensionsOf(s.Metric.Dimensions), unit: s.Unit,
		start: roundStart(*in.StartTime, c.Time, period), end: endOf(*in.EndTime), period: period, values: stat.needsValues(),
	}}
}

// label gives the queries that have no label CloudWatch's: the metric's name, then the statistic if the queries' statistics
// differ, then the period if the periods differ.
func label(queries []dataQuery) {
	var stats, periods bool
	for i := range queries {
		stats = stats || queries[i].statName != queries[0].statName
		periods = periods || queries[i].selection.period != queries[0].selection.period
	}
	for i := range queries {
		q := &queries[i]
		if q.label != "" {
			continue
		}
		q.label = q.selection.name
		if stats {
			q.label += " " + q.statName
		}
		if periods {
			q.label += fmt.Sprint(" ", q.selection.period)
		}
	}
}
