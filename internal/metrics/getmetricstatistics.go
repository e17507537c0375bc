package metrics

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

const (
	maxStatisticsPoints = 1440
	maxPeriod           = 86400
)

// GetMetricStatistics computes statistics of a metric, as the CloudWatch API reference describes it: at most 1,440 points, in the
// order of time. StartTime is rounded down to the minute (five minutes and an hour, when it is more than 15 and 63 days ago), and periods
// begin there. Without a Unit there is a point for each unit that was put.
func (m *Metrics) GetMetricStatistics(ctx context.Context, c *call.Call, in *cloudwatch.GetMetricStatisticsInput) (*cloudwatch.GetMetricStatisticsOutput, error) {
	if err := c.Allow("cloudwatch:GetMetricStatistics", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	stats, err := checkStatistics(in)
	if err != nil {
		return nil, err
	}
	period := int64(*in.Period)
	q := &selection{
		namespace: *in.Namespace, name: *in.MetricName, dimensions: dimensionsOf(in.Dimensions), unit: in.Unit,
		start: roundStart(*in.StartTime, c.Time, period), end: endOf(*in.EndTime), period: period,
		values: len(in.ExtendedStatistics) > 0, apart: true,
	}
	windows, err := m.windows(ctx, c.Account(), c.Region, q)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []types.Datapoint{}}
	for i := range windows {
		if point, ok := datapoint(&windows[i], in, stats); ok {
			out.Datapoints = append(out.Datapoints, point)
		}
	}
	return out, nil
}

// checkStatistics returns the extended statistics that are asked for.
func checkStatistics(in *cloudwatch.GetMetricStatisticsInput) ([]statistic, error) {
	var f faults
	period := checkPeriod(&f, invalidValue, "Period", aws.ToInt32(in.Period))
	checkTimes(&f, invalidValue, *in.StartTime, *in.EndTime)
	checkDimensions(&f, "", in.Dimensions)
	switch {
	case len(in.Statistics) == 0 && len(in.ExtendedStatistics) == 0:
		f.add(missingParameter, "At least one of the parameters Statistics or ExtendedStatistics must be specified.")
	case len(in.Statistics) > 0 && len(in.ExtendedStatistics) > 0:
		f.add(invalidCombination, "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.")
	}
	var stats []statistic
	for i, name := range in.ExtendedStatistics {
		s, ok := parseStatistic(name)
		if !ok || !s.needsValues() {
			f.add(invalidValue, "The value %s for parameter ExtendedStatistics.member.%d is not a valid statistic.", name, i+1)
		}
		stats = append(stats, s)
	}
	if f.code == "" {
		span := in.EndTime.Sub(*in.StartTime)
		if points := int64((span + period - 1) / period); points > maxStatisticsPoints {
			f.add(invalidCombination, "You have requested up to %d datapoints, which exceeds the limit of %d. You may reduce the datapoints "+
				"requested by increasing Period, or decreasing the time range.", points, maxStatisticsPoints)
		}
	}
	return stats, f.err()
}

// checkPeriod has a period be 1, 5, 10, 30 or a multiple of 60 seconds, up to a day.
func checkPeriod(f *faults, code, name string, period int32) time.Duration {
	switch {
	case period < 1:
		f.add(code, "The parameter %s must be greater than 0.", name)
		return time.Second
	case period != 1 && period != 5 && period != 10 && period != 30 && period%60 != 0:
		f.add(code, "The parameter %s must be 1, 5, 10, 30 or a multiple of 60.", name)
	case period > maxPeriod:
		f.add(code, "The parameter %s must be less than or equal to %d.", name, maxPeriod)
	}
	return time.Duration(period) * time.Second
}

func checkTimes(f *faults, code string, start, end time.Time) {
	if start.Equal(end) {
		f.add(code, "The parameter StartTime must not equal parameter EndTime.")
	} else if start.After(end) {
		f.add(code, "The parameter StartTime must be less than the parameter EndTime.")
	}
}

// roundStart is where the first period begins, as the API reference has it for StartTime: down to what is kept of that age.
func roundStart(start, now time.Time, period int64) int64 {
	to := int64(perMinute)
	switch age := now.Sub(start); {
	case age > 63*24*time.Hour:
		to = perHour
	case age > 15*24*time.Hour:
		to = perFiveMinutes
	case period < perMinute && age <= 3*time.Hour:
		to = period
	}
	second := start.Unix()
	return second - ((second%to)+to)%to
}

// endOf is the first second that is not asked for.
func endOf(end time.Time) int64 {
	second := end.Unix()
	if end.Nanosecond() > 0 {
		second++
	}
	return second
}

func datapoint(w *window, in *cloudwatch.GetMetricStatisticsInput, stats []statistic) (types.Datapoint, bool) {
	at := time.Unix(w.start, 0).UTC()
	p := types.Datapoint{Timestamp: &at, Unit: units[w.unit]}
	for _, name := range in.Statistics {
		value, _ := statistic{kind: plain[string(name)]}.of(&w.totals)
		switch name {
		case types.StatisticSampleCount:
			p.SampleCount = &value
		case types.StatisticSum:
			p.Sum = &value
		case types.StatisticAverage:
			p.Average = &value
		case types.StatisticMinimum:
			p.Minimum = &value
		case types.StatisticMaximum:
			p.Maximum = &value
		}
	}
	for i, s := range stats {
		if value, ok := s.of(&w.totals); ok {
			if p.ExtendedStatistics == nil {
				p.ExtendedStatistics = map[string]float64{}
			}
			p.ExtendedStatistics[in.ExtendedStatistics[i]] = value
		}
	}
	return p, len(in.Statistics) > 0 || p.ExtendedStatistics != nil
}
