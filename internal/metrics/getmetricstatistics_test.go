package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// TestPeriods has a value 1, 2, 3 … in each of the minutes 0 to 11 of an hour, and sums them in different ways.
func TestPeriods(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	for minute := range 12 {
		h.putValue(t, start.Add(time.Duration(minute)*time.Minute+17*time.Second), float64(minute+1))
	}
	for _, test := range []struct {
		name       string
		from, to   time.Duration // from start
		period     time.Duration
		wantByMins map[int]float64
	}{
		{"minutes", 0, 3 * time.Minute, time.Minute, map[int]float64{0: 1, 1: 2, 2: 3}},
		{"five minutes", 0, time.Hour, 5 * time.Minute, map[int]float64{0: 15, 5: 40, 10: 23}},
		{"five minutes that begin at the second", time.Minute, 11 * time.Minute, 5 * time.Minute, map[int]float64{1: 20, 6: 45}},
		{"an end within a period leaves out what comes after it", 0, 7 * time.Minute, 5 * time.Minute, map[int]float64{0: 15, 5: 13}},
		{"the end is not in it", 0, time.Minute, time.Minute, map[int]float64{0: 1}},
		{"a day", -time.Hour, 23 * time.Hour, 24 * time.Hour, map[int]float64{-60: 78}},
		{"nothing", 20 * time.Minute, 30 * time.Minute, time.Minute, nil},
		{"long before", -10 * 24 * time.Hour, -9 * 24 * time.Hour, time.Hour, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := func(h *house) {
				wantPoints(t, h.ask(t, "Sum", start.Add(test.from), start.Add(test.to), test.period), start, test.wantByMins)
			}
			check(h)
			other := h.reopen(t)
			check(other)
			if err := other.fold(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(other)
			check(h.reopen(t)) // from rows alone
		})
	}
}

func TestStartIsRounded(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 34, 56, 0, time.UTC)
	for _, test := range []struct {
		name   string
		start  time.Time
		period int64
		want   time.Time
	}{
		{"to the minute", now.Add(-time.Hour), 60, time.Date(2026, 7, 1, 11, 34, 0, 0, time.UTC)},
		{"to the minute, whatever the period", now.Add(-time.Hour), 3600, time.Date(2026, 7, 1, 11, 34, 0, 0, time.UTC)},
		{"to ten seconds", now.Add(-time.Hour), 10, time.Date(2026, 7, 1, 11, 34, 50, 0, time.UTC)},
		{"to the second", now.Add(-time.Hour), 1, time.Date(2026, 7, 1, 11, 34, 56, 0, time.UTC)},
		{"to the minute, as seconds are not kept so long", now.Add(-4 * time.Hour), 10, time.Date(2026, 7, 1, 8, 34, 0, 0, time.UTC)},
		{"to five minutes after 15 days", now.Add(-16 * 24 * time.Hour), 60, time.Date(2026, 6, 15, 12, 30, 0, 0, time.UTC)},
		{"to the hour after 63 days", now.Add(-64 * 24 * time.Hour), 60, time.Date(2026, 4, 28, 12, 0, 0, 0, time.UTC)},
	} {
		if got := time.Unix(roundStart(test.start, now, test.period), 0).UTC(); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestUnits has the same metric with two units in one period, and without one.
func TestUnits(t *testing.T) {
	h := open(t)
	at := h.lastHour()
	for _, d := range []types.MetricDatum{
		{Value: aws.Float64(1), Unit: types.StandardUnitSeconds}, {Value: aws.Float64(3), Unit: types.StandardUnitSeconds},
		{Value: aws.Float64(10), Unit: types.StandardUnitMilliseconds}, {Value: aws.Float64(100)},
	} {
		d.MetricName, d.Timestamp = aws.String("latency"), &at
		must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{d}})
	}
	for _, test := range []struct {
		unit types.StandardUnit
		want map[types.StandardUnit]float64
	}{
		{"", map[types.StandardUnit]float64{"Seconds": 4, "Milliseconds": 10, "None": 100}},
		{"Seconds", map[types.StandardUnit]float64{"Seconds": 4}},
		{"None", map[types.StandardUnit]float64{"None": 100}},
		{"Bytes", map[types.StandardUnit]float64{}},
	} {
		in := statisticsOf(at, at.Add(time.Minute), 60)
		in.Unit = test.unit
		got := map[types.StandardUnit]float64{}
		for _, p := range must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", in).Datapoints {
			got[p.Unit] = *p.Sum
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("with the unit %q: %v, want %v", test.unit, got, test.want)
		}
	}
	if points := h.ask(t, "Sum", at, at.Add(time.Minute), time.Minute); len(points) != 1 || points[0].Value != 114 {
		t.Errorf("an alarm without a unit sees %v", points)
	}
}

// TestHighResolution has three values within a minute, put with a StorageResolution of one second.
func TestHighResolution(t *testing.T) {
	h := open(t)
	start := h.clock.Now().Truncate(time.Minute).Add(-10 * time.Minute)
	for _, second := range []int{0, 4, 31} {
		at := start.Add(time.Duration(second) * time.Second)
		must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
			{MetricName: aws.String("latency"), Timestamp: &at, Value: aws.Float64(float64(second)), StorageResolution: aws.Int32(1)}}})
	}
	for period, want := range map[int32]map[int]float64{
		1: {0: 0, 4: 4, 31: 31}, 5: {0: 4, 30: 31}, 10: {0: 4, 30: 31}, 30: {0: 4, 30: 31}, 60: {0: 35},
	} {
		out := must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", statisticsOf(start, start.Add(time.Minute), period))
		got := map[int]float64{}
		for _, p := range out.Datapoints {
			got[int(p.Timestamp.Sub(start)/time.Second)] = *p.Sum
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("with a period of %d: %v, want %v", period, got, want)
		}
	}
}

func TestGetMetricStatisticsRefuses(t *testing.T) {
	h := open(t)
	now := h.clock.Now().Truncate(time.Minute)
	for _, test := range []struct {
		name, code, message string
		change              func(*cloudwatch.GetMetricStatisticsInput)
	}{
		{"start behind end", invalidValue, "The parameter StartTime must be less than the parameter EndTime.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.StartTime, in.EndTime = in.EndTime, in.StartTime }},
		{"start is end", invalidValue, "The parameter StartTime must not equal parameter EndTime.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.EndTime = in.StartTime }},
		{"a period of 90", invalidValue, "The parameter Period must be 1, 5, 10, 30 or a multiple of 60.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.Period = aws.Int32(90) }},
		{"a period of two days", invalidValue, "The parameter Period must be less than or equal to 86400.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.Period = aws.Int32(2 * 86400) }},
		{"no statistic", missingParameter, "At least one of the parameters Statistics or ExtendedStatistics must be specified.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.Statistics = nil }},
		{"both kinds of statistics", invalidCombination, "The parameters Statistics and ExtendedStatistics are mutually exclusive and you have specified both.",
			func(in *cloudwatch.GetMetricStatisticsInput) { in.ExtendedStatistics = []string{"p99"} }},
		{"no such statistic", invalidValue, "The value p101 for parameter ExtendedStatistics.member.2 is not a valid statistic.",
			func(in *cloudwatch.GetMetricStatisticsInput) {
				in.Statistics, in.ExtendedStatistics = nil, []string{"p99", "p101"}
			}},
		{"too many points", invalidCombination, "You have requested up to 86400 datapoints, which exceeds the limit of 1440. You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
			func(in *cloudwatch.GetMetricStatisticsInput) {
				in.StartTime, in.Period = aws.Time(now.Add(-24*time.Hour)), aws.Int32(1)
			}},
		{"one point too many", invalidCombination, "You have requested up to 1441 datapoints, which exceeds the limit of 1440. You may reduce the datapoints requested by increasing Period, or decreasing the time range.",
			func(in *cloudwatch.GetMetricStatisticsInput) {
				in.StartTime = aws.Time(now.Add(-1441 * time.Minute))
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := statisticsOf(now.Add(-time.Hour), now, 60)
			test.change(in)
			_, err := do[cloudwatch.GetMetricStatisticsOutput](h, "GetMetricStatistics", in)
			refused(t, err, test.code, test.message)
		})
	}
	must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", statisticsOf(now.Add(-1440*time.Minute), now, 60))
}
