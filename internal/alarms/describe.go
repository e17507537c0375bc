package alarms

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// defaultRecords is how many alarms or history items an answer has when the caller does not say; the door limits what may be said.
const defaultRecords = 50

// DescribeAlarms lists metric alarms of the caller's account and region by name.
func (a *Alarms) DescribeAlarms(ctx context.Context, c *call.Call, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	if err := c.Allow("cloudwatch:DescribeAlarms", policy.Resource{ARN: c.ARN("alarm:*").String(), Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	if len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil {
		return nil, invalid("AlarmNamePrefix and AlarmNames cannot both be set")
	}
	if in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil {
		return nil, notBuilt("ChildrenOfAlarmName or ParentsOfAlarmName (composite alarms)")
	}
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []types.MetricAlarm{}, CompositeAlarms: []types.CompositeAlarm{}}
	var after string
	if err := readToken(in.NextToken, &after); err != nil {
		return nil, err
	}
	if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, types.AlarmTypeMetricAlarm) {
		return out, nil
	}
	found := a.list(c, func(one *alarm) bool {
		return one.name > after && (len(in.AlarmNames) == 0 || slices.Contains(in.AlarmNames, one.name)) &&
			strings.HasPrefix(one.name, aws.ToString(in.AlarmNamePrefix)) && one.hasAction(aws.ToString(in.ActionPrefix))
	})
	limit := records(in.MaxRecords)
	for _, one := range found {
		s := a.stateOf(one)
		if in.StateValue != "" && s.value != in.StateValue {
			continue
		}
		if len(out.MetricAlarms) == limit {
			out.NextToken = writeToken(*out.MetricAlarms[limit-1].AlarmName)
			break
		}
		out.MetricAlarms = append(out.MetricAlarms, one.describe(s))
	}
	return out, nil
}

// DescribeAlarmsForMetric lists the alarms on one metric: all of them, or those with a statistic, period and unit.
func (a *Alarms) DescribeAlarmsForMetric(ctx context.Context, c *call.Call, in *cloudwatch.DescribeAlarmsForMetricInput) (*cloudwatch.DescribeAlarmsForMetricOutput, error) {
	if err := c.Allow("cloudwatch:DescribeAlarmsForMetric", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	dimensions := sorted(dimensionsOf(in.Dimensions))
	out := &cloudwatch.DescribeAlarmsForMetricOutput{MetricAlarms: []types.MetricAlarm{}}
	for _, one := range a.list(c, func(one *alarm) bool {
		return one.Namespace == *in.Namespace && one.MetricName == *in.MetricName && slices.Equal(sorted(one.Dimensions), dimensions) &&
			(in.Statistic == "" || one.Statistic == in.Statistic) && (in.Unit == "" || one.Unit == in.Unit) &&
			(in.ExtendedStatistic == nil || one.ExtendedStatistic == *in.ExtendedStatistic) && (in.Period == nil || one.Period == *in.Period)
	}) {
		out.MetricAlarms = append(out.MetricAlarms, one.describe(a.stateOf(one)))
	}
	return out, nil
}

func sorted(dimensions []Dimension) []Dimension {
	return slices.SortedFunc(slices.Values(dimensions), func(x, y Dimension) int { return cmp.Compare(x.Name, y.Name) })
}

// list are the caller's alarms that are wanted, by name.
func (a *Alarms) list(c *call.Call, want func(*alarm) bool) (found []*alarm) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for id, one := range a.alarms {
		if id.account == c.Account() && id.region == c.Region && want(one) {
			found = append(found, one)
		}
	}
	slices.SortFunc(found, func(x, y *alarm) int { return cmp.Compare(x.name, y.name) })
	return found
}

func (c *config) hasAction(prefix string) bool {
	if prefix == "" {
		return true
	}
	for _, actions := range [][]string{c.AlarmActions, c.OKActions, c.InsufficientDataActions} {
		if slices.ContainsFunc(actions, func(action string) bool { return strings.HasPrefix(action, prefix) }) {
			return true
		}
	}
	return false
}

// SetAlarmState gives an alarm a state until its next evaluation. If that is another state than before, it has all that a transition
// has. ResourceNotFound when there is no such alarm, InvalidFormat when StateReasonData is not JSON.
func (a *Alarms) SetAlarmState(ctx context.Context, c *call.Call, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateOutput, error) {
	id := alarmID{c.Account(), c.Region, *in.AlarmName}
	if err := allow(c, "SetAlarmState", id); err != nil {
		return nil, err
	}
	if in.StateReasonData != nil && !json.Valid([]byte(*in.StateReasonData)) {
		return nil, call.Errorf("InvalidFormat", "StateReasonData must be JSON")
	}
	err := a.Watch.Update(ctx, func(tx store.Tx) error {
		one := a.find(id)
		if one == nil {
			return notFound()
		}
		now, old := c.Time.UnixMilli(), a.stateOf(one)
		to := &state{in.StateValue, *in.StateReason, aws.ToString(in.StateReasonData), now, now}
		if old.value == to.value {
			to.transitioned = old.transitioned
			return a.write(tx, one, to)
		}
		return a.transit(tx, transition{one, old, to})
	})
	return &cloudwatch.SetAlarmStateOutput{}, err
}

// place is where an answer of DescribeAlarmHistory ends.
type place struct {
	At     int64
	Source int // 0 for configuration, 1 for what happened
	ID     int64
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.At, q.At), cmp.Compare(p.Source, q.Source), cmp.Compare(p.ID, q.ID))
}

type historyItem struct {
	place
	types.AlarmHistoryItem
}

// DescribeAlarmHistory lists what happened to alarms in the last two weeks, also to those that were deleted; the newest first unless
// ScanBy says otherwise.
func (a *Alarms) DescribeAlarmHistory(ctx context.Context, c *call.Call, in *cloudwatch.DescribeAlarmHistoryInput) (*cloudwatch.DescribeAlarmHistoryOutput, error) {
	resource := c.ARN("alarm:" + cmp.Or(aws.ToString(in.AlarmName), "*")).String()
	if err := c.Allow("cloudwatch:DescribeAlarmHistory", policy.Resource{ARN: resource, Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	out := &cloudwatch.DescribeAlarmHistoryOutput{AlarmHistoryItems: []types.AlarmHistoryItem{}}
	var after place
	if err := readToken(in.NextToken, &after); err != nil {
		return nil, err
	}
	if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, types.AlarmTypeMetricAlarm) {
		return out, nil
	}
	var all []historyItem
	for source, from := range []struct {
		db    store.DB
		table string
	}{{a.DB, "alarms_change"}, {a.Watch, "alarms_history"}} {
		err := from.db.View(ctx, func(tx store.Tx) (err error) {
			all, err = a.history(tx, all, c, in, source, from.table)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	order := func(x, y historyItem) int { return y.compare(x.place) }
	if in.ScanBy == types.ScanByTimestampAscending {
		order = func(x, y historyItem) int { return x.compare(y.place) }
	}
	slices.SortFunc(all, order)
	if in.NextToken != nil {
		all = slices.DeleteFunc(all, func(i historyItem) bool { return order(i, historyItem{place: after}) <= 0 })
	}
	limit := records(in.MaxRecords)
	if len(all) > limit {
		all = all[:limit]
		out.NextToken = writeToken(all[limit-1].place)
	}
	for _, i := range all {
		out.AlarmHistoryItems = append(out.AlarmHistoryItems, i.AlarmHistoryItem)
	}
	return out, nil
}

// history reads the items of one table that are asked for.
func (a *Alarms) history(tx store.Tx, all []historyItem, c *call.Call, in *cloudwatch.DescribeAlarmHistoryInput, source int, table string) ([]historyItem, error) {
	from, to := c.Time.Add(-historyKept).UnixMilli(), c.Time.Add(time.Hour).UnixMilli()
	if in.StartDate != nil {
		from = max(from, in.StartDate.UnixMilli())
	}
	if in.EndDate != nil {
		to = in.EndDate.UnixMilli()
	}
	rows, err := tx.Query(`SELECT id, name, at, type, summary, data FROM `+table+`
		WHERE account = $1 AND region = $2 AND at >= $3 AND at <= $4`, c.Account(), c.Region, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		i := historyItem{place: place{Source: source}}
		var name, kind, summary, data string
		if err := rows.Scan(&i.ID, &name, &i.At, &kind, &summary, &data); err != nil {
			return nil, err
		}
		if in.AlarmName != nil && *in.AlarmName != name || in.HistoryItemType != "" && string(in.HistoryItemType) != kind {
			continue
		}
		i.AlarmHistoryItem = types.AlarmHistoryItem{AlarmName: &name, AlarmType: types.AlarmTypeMetricAlarm, HistoryData: &data,
			HistoryItemType: types.HistoryItemType(kind), HistorySummary: &summary, Timestamp: fromMillis(i.At)}
		all = append(all, i)
	}
	return all, rows.Err()
}

func records(want *int32) int {
	if want == nil {
		return defaultRecords
	}
	return int(*want)
}

// A NextToken is base64 of the JSON of where the answer ended. It is no secret: whoever makes one up only chooses where among the
// caller's own alarms an answer begins.
func writeToken(place any) *string {
	return aws.String(base64.RawURLEncoding.EncodeToString(marshal(place)))
}

func readToken(token *string, place any) error {
	if token == nil {
		return nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err != nil || json.Unmarshal(data, place) != nil {
		return call.Errorf("InvalidNextToken", "The value for parameter NextToken is invalid.")
	}
	return nil
}
