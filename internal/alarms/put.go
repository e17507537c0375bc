package alarms

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// maxSpan is the longest time that the evaluated periods may span: a day.
const maxSpan = 86400

// PutMetricAlarm makes an alarm or replaces all of its configuration, as the CloudWatch API reference describes it. A new one is in
// INSUFFICIENT_DATA; one that is replaced keeps its state. Either is evaluated at once.
func (a *Alarms) PutMetricAlarm(ctx context.Context, c *call.Call, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	id := alarmID{c.Account(), c.Region, *in.AlarmName}
	if err := allow(c, "PutMetricAlarm", id); err != nil {
		return nil, err
	}
	if err := built(in); err != nil {
		return nil, err
	}
	if err := check(in); err != nil {
		return nil, err
	}
	text := string(marshal(configOf(in)))
	c.Effect(func(tx store.Tx) error { return a.put(tx, c.Time, id, text) })
	return &cloudwatch.PutMetricAlarmOutput{}, nil
}

// allow asks for an action on an alarm and notes the alarm.
func allow(c *call.Call, action string, id alarmID) error {
	if err := c.Allow("cloudwatch:"+action, policy.Resource{ARN: id.arn(), Account: id.account}, nil); err != nil {
		return err
	}
	if name, err := arn.Parse(id.arn()); err == nil {
		c.Touch("AWS::CloudWatch::Alarm", name)
	}
	return nil
}

// built refuses kinds of alarms that Vigil does not have.
func built(in *cloudwatch.PutMetricAlarmInput) error {
	switch {
	case len(in.Metrics) > 0:
		return notBuilt("An alarm on Metrics (expressions)")
	case in.ThresholdMetricId != nil, in.ComparisonOperator != "" && comparisons[in.ComparisonOperator] == "":
		return notBuilt("An alarm on anomaly detection")
	case in.EvaluationCriteria != nil || in.EvaluationInterval != nil || in.EvaluationWindow != nil:
		return notBuilt("An alarm with EvaluationCriteria, EvaluationInterval or EvaluationWindow")
	case in.WarmUpConfiguration != nil:
		return notBuilt("An alarm with WarmUpConfiguration")
	case in.ActionConfiguration != nil:
		return notBuilt("An alarm with ActionConfiguration")
	case len(in.Tags) > 0:
		return notBuilt("Tagging an alarm")
	}
	return nil
}

var extended = regexp.MustCompile(`^((p|tm|tc|ts|wm)(\d{1,2}(\.\d{1,10})?|100(\.0{1,10})?)|IQM|(TM|WM|TC|TS|PR)\([\d.%-]*:[\d.%-]*\))$`)

func check(in *cloudwatch.PutMetricAlarmInput) error {
	switch {
	case in.MetricName == nil:
		return invalid("MetricName must not be null")
	case in.Namespace == nil:
		return invalid("Namespace must not be null")
	case in.Period == nil:
		return invalid("Period must not be null")
	case in.EvaluationPeriods == nil:
		return invalid("EvaluationPeriods must not be null")
	case in.Threshold == nil:
		return invalid("Threshold must not be null")
	case math.IsNaN(*in.Threshold) || math.IsInf(*in.Threshold, 0):
		return invalid("Threshold must be a finite number")
	case in.ComparisonOperator == "":
		return invalid("ComparisonOperator must not be null")
	case in.Statistic != "" && in.ExtendedStatistic != nil:
		return invalid("Statistic and ExtendedStatistic cannot both be set")
	case in.Statistic == "" && in.ExtendedStatistic == nil:
		return invalid("Either Statistic or ExtendedStatistic must be set")
	case in.ExtendedStatistic != nil && !extended.MatchString(*in.ExtendedStatistic):
		return invalid("The value %s for parameter ExtendedStatistic is not supported.", *in.ExtendedStatistic)
	}
	if err := checkPeriods(in); err != nil {
		return err
	}
	if t := aws.ToString(in.TreatMissingData); in.TreatMissingData != nil && !slices.Contains([]string{treatMissing, treatIgnore, treatBreaching, treatNotBreaching}, t) {
		return invalid("The value %s for parameter TreatMissingData is not supported.", t)
	}
	if in.EvaluateLowSampleCountPercentile != nil {
		switch {
		case *in.EvaluateLowSampleCountPercentile != lowSamplesEvaluate && *in.EvaluateLowSampleCountPercentile != lowSamplesIgnore:
			return invalid("Option %s is not supported for parameter EvaluateLowSampleCountPercentile.", *in.EvaluateLowSampleCountPercentile)
		case in.ExtendedStatistic == nil || (*in.ExtendedStatistic)[0] != 'p':
			return invalid("EvaluateLowSampleCountPercentile is only for percentile statistics.")
		}
	}
	return checkActions(in)
}

func checkPeriods(in *cloudwatch.PutMetricAlarmInput) error {
	p, n := int64(*in.Period), int64(*in.EvaluationPeriods)
	switch {
	case p != 10 && p != 20 && p != 30 && (p < 60 || p%60 != 0):
		return invalid("Period must be 10, 20, 30 or a multiple of 60")
	case n < 1:
		return invalid("EvaluationPeriods must be at least 1")
	case n*p > maxSpan:
		return invalid("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= %d).", maxSpan)
	case in.DatapointsToAlarm != nil && (*in.DatapointsToAlarm < 1 || int64(*in.DatapointsToAlarm) > n):
		return invalid("DatapointsToAlarm must be from 1 to EvaluationPeriods")
	}
	return nil
}

func checkActions(in *cloudwatch.PutMetricAlarmInput) error {
	for _, actions := range [][]string{in.AlarmActions, in.OKActions, in.InsufficientDataActions} {
		for i, action := range actions {
			if _, err := arn.Parse(action); err != nil {
				return invalid("Invalid arn syntax: %s", action)
			}
			if slices.Contains(actions[:i], action) {
				return invalid("The same action is there twice: %s", action)
			}
		}
	}
	return nil
}

func configOf(in *cloudwatch.PutMetricAlarmInput) *config {
	c := &config{
		ActionsEnabled:                   in.ActionsEnabled == nil || *in.ActionsEnabled,
		AlarmActions:                     append([]string{}, in.AlarmActions...),
		AlarmDescription:                 in.AlarmDescription,
		ComparisonOperator:               in.ComparisonOperator,
		DatapointsToAlarm:                in.DatapointsToAlarm,
		Dimensions:                       dimensionsOf(in.Dimensions),
		EvaluateLowSampleCountPercentile: aws.ToString(in.EvaluateLowSampleCountPercentile),
		EvaluationPeriods:                *in.EvaluationPeriods,
		ExtendedStatistic:                aws.ToString(in.ExtendedStatistic),
		InsufficientDataActions:          append([]string{}, in.InsufficientDataActions...),
		MetricName:                       *in.MetricName,
		Namespace:                        *in.Namespace,
		OKActions:                        append([]string{}, in.OKActions...),
		Period:                           *in.Period,
		Statistic:                        in.Statistic,
		Threshold:                        *in.Threshold,
		TreatMissingData:                 aws.ToString(in.TreatMissingData),
		Unit:                             in.Unit,
	}
	return c
}

func dimensionsOf(in []types.Dimension) []Dimension {
	all := []Dimension{}
	for _, d := range in {
		all = append(all, Dimension{aws.ToString(d.Name), aws.ToString(d.Value)})
	}
	return all
}

// put writes an alarm's configuration.
func (a *Alarms) put(tx store.Tx, at time.Time, id alarmID, text string) error {
	now := at.UnixMilli()
	one := &alarm{alarmID: id, created: now, updated: now}
	if err := one.parse(text); err != nil {
		return err
	}
	kind, member := "Update", "updatedAlarm"
	err := tx.QueryRow(`SELECT id, created FROM alarms_alarm WHERE account = $1 AND region = $2 AND name = $3`,
		id.account, id.region, id.name).Scan(&one.id, &one.created)
	if errors.Is(err, store.ErrNoRows) {
		kind, member = "Create", "createdAlarm"
		one.id, err = nextID(tx)
	}
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO alarms_alarm (account, region, name, id, created, updated, config) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account, region, name) DO UPDATE SET updated = excluded.updated, config = excluded.config`,
		id.account, id.region, id.name, one.id, one.created, one.updated, text); err != nil {
		return err
	}
	if err := changed(tx, one, now, kind, member); err != nil {
		return err
	}
	tx.OnCommit(func() { a.keep(one) })
	return nil
}

// keep takes an alarm into memory and has it evaluated.
func (a *Alarms) keep(one *alarm) {
	a.mu.Lock()
	a.alarms[one.alarmID] = one
	a.fresh[one.alarmID] = true
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func nextID(tx store.Tx) (id int64, err error) {
	err = tx.QueryRow(`UPDATE alarms_next SET id = id + 1 WHERE one = 1 RETURNING id`).Scan(&id)
	return id, err
}

// changed notes a change of configuration in the history.
func changed(tx store.Tx, one *alarm, now int64, kind, member string) error {
	id, err := nextID(tx)
	if err != nil {
		return err
	}
	summary := map[string]string{"Create": "created", "Update": "updated", "Delete": "deleted"}[kind]
	data := marshal(map[string]any{"version": "1.0", "type": kind, member: json.RawMessage(one.text)})
	if _, err := tx.Exec(`DELETE FROM alarms_change WHERE at < $1`, now-historyKept.Milliseconds()); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO alarms_change (id, account, region, name, at, type, summary, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, one.account, one.region, one.name, now, string(types.HistoryItemTypeConfigurationUpdate), `Alarm "`+one.name+`" `+summary, string(data))
	return err
}

// DeleteAlarms deletes alarms: all that are named, or none when one does not exist (ResourceNotFound).
func (a *Alarms) DeleteAlarms(ctx context.Context, c *call.Call, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	ids, err := named(c, "DeleteAlarms", in.AlarmNames)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		for _, id := range ids {
			if err := a.remove(tx, c.Time, id); err != nil {
				return err
			}
		}
		return nil
	})
	return &cloudwatch.DeleteAlarmsOutput{}, nil
}

// named are alarms of the caller, each once.
func named(c *call.Call, action string, names []string) (ids []alarmID, err error) {
	for _, name := range names {
		id := alarmID{c.Account(), c.Region, name}
		if slices.Contains(ids, id) {
			continue
		}
		if err := allow(c, action, id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (a *Alarms) remove(tx store.Tx, at time.Time, id alarmID) error {
	one, err := read(tx, id)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM alarms_alarm WHERE id = $1`, one.id); err != nil {
		return err
	}
	if err := changed(tx, one, at.UnixMilli(), "Delete", "deletedAlarm"); err != nil {
		return err
	}
	tx.OnCommit(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.alarms, id)
		delete(a.fresh, id)
	})
	return nil
}

// read reads an alarm in a transaction of the main database, as those before it in the batch have left it.
func read(tx store.Tx, id alarmID) (*alarm, error) {
	one := &alarm{alarmID: id}
	var text string
	err := tx.QueryRow(`SELECT id, created, updated, config FROM alarms_alarm WHERE account = $1 AND region = $2 AND name = $3`,
		id.account, id.region, id.name).Scan(&one.id, &one.created, &one.updated, &text)
	if errors.Is(err, store.ErrNoRows) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	return one, one.parse(text)
}

// EnableAlarmActions lets alarms do their actions. Names that do not exist are passed over.
func (a *Alarms) EnableAlarmActions(ctx context.Context, c *call.Call, in *cloudwatch.EnableAlarmActionsInput) (*cloudwatch.EnableAlarmActionsOutput, error) {
	return &cloudwatch.EnableAlarmActionsOutput{}, a.switchActions(c, in.AlarmNames, true)
}

// DisableAlarmActions keeps alarms from doing their actions. Names that do not exist are passed over.
func (a *Alarms) DisableAlarmActions(ctx context.Context, c *call.Call, in *cloudwatch.DisableAlarmActionsInput) (*cloudwatch.DisableAlarmActionsOutput, error) {
	return &cloudwatch.DisableAlarmActionsOutput{}, a.switchActions(c, in.AlarmNames, false)
}

func (a *Alarms) switchActions(c *call.Call, names []string, on bool) error {
	ids, err := named(c, c.Operation, names)
	if err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		for _, id := range ids {
			one, err := read(tx, id)
			var missing *call.Error
			if errors.As(err, &missing) || err == nil && one.ActionsEnabled == on {
				continue
			}
			if err != nil {
				return err
			}
			one.ActionsEnabled = on
			if err := a.put(tx, c.Time, id, string(marshal(&one.config))); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}
