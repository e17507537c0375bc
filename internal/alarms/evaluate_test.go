package alarms

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

var start = time.Date(2019, 10, 2, 16, 59, 0, 0, time.UTC)

// slotsOf reads periods as CloudWatch's documentation writes them: 0 good, X breaching, - missing.
func slotsOf(text string) (slots []slot) {
	for i, s := range strings.Fields(text) {
		one := slot{time: start.Add(time.Duration(i) * time.Minute)}
		if s != "-" {
			one.point = &Point{Time: one.time, Value: map[string]float64{"0": 1, "X": 100}[s], SampleCount: 1}
		}
		slots = append(slots, one)
	}
	return slots
}

func threshold(n int32, m int32, treatment string) *config {
	return &config{EvaluationPeriods: n, DatapointsToAlarm: &m, Threshold: 50, Period: 60, Statistic: types.StatisticAverage,
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, TreatMissingData: treatment}
}

func TestMissingDataAsDocumented(t *testing.T) {
	const keep, ok, alarm, insufficient = types.StateValue(""), types.StateValueOk, types.StateValueAlarm, types.StateValueInsufficientData
	for _, table := range []struct {
		m    int32
		rows map[string][4]types.StateValue // missing, ignore, breaching, notBreaching
	}{
		{3, map[string][4]types.StateValue{
			"0 - X - X": {ok, ok, ok, ok},
			"0 - - - -": {ok, ok, ok, ok},
			"- - - - -": {insufficient, keep, alarm, ok},
			"0 X X - X": {alarm, alarm, alarm, alarm},
			"- - X - -": {alarm, keep, alarm, ok},
			"- - - - X": {keep, keep, alarm, ok}, // too new to be an alarm, says the text below the tables
			"- - - X -": {keep, keep, alarm, ok},
		}},
		{2, map[string][4]types.StateValue{
			"0 - X - X": {alarm, alarm, alarm, alarm},
			"0 0 X 0 X": {alarm, alarm, alarm, alarm},
			"0 - X - -": {ok, ok, alarm, ok},
			"- - - - 0": {ok, ok, alarm, ok},
			"- - - X -": {alarm, keep, alarm, ok},
		}},
	} {
		for points, want := range table.rows {
			for i, treatment := range []string{treatMissing, treatIgnore, treatBreaching, treatNotBreaching} {
				if got := threshold(3, table.m, treatment).evaluate(slotsOf(points)).state; got != want[i] {
					t.Errorf("M=%d, %s, %s: %q, want %q", table.m, points, treatment, got, want[i])
				}
			}
		}
	}
}

func TestDynamoDBAlarmsIgnoreMissingData(t *testing.T) {
	c := threshold(3, 3, treatBreaching)
	c.Namespace = "AWS/DynamoDB"
	if got := c.evaluate(slotsOf("- - - - -")).state; got != "" {
		t.Errorf("%q", got)
	}
}

func TestComparisonOperators(t *testing.T) {
	for operator, want := range map[types.ComparisonOperator][3]bool{ // of 49, 50 and 51
		types.ComparisonOperatorGreaterThanOrEqualToThreshold: {false, true, true},
		types.ComparisonOperatorGreaterThanThreshold:          {false, false, true},
		types.ComparisonOperatorLessThanThreshold:             {true, false, false},
		types.ComparisonOperatorLessThanOrEqualToThreshold:    {true, true, false},
	} {
		c := config{ComparisonOperator: operator, Threshold: 50}
		for i, breaches := range want {
			if got := c.breaches(float64(49 + i)); got != breaches {
				t.Errorf("%d %s 50: %v", 49+i, operator, got)
			}
		}
	}
}

func TestPercentileOfFewSamplesKeepsTheState(t *testing.T) {
	for _, test := range []struct {
		statistic, option string
		samples           float64
		keep              bool
	}{
		{"p99", lowSamplesIgnore, 999, true},
		{"p99", lowSamplesIgnore, 1000, false},
		{"p50", lowSamplesIgnore, 19, true},
		{"p50", lowSamplesIgnore, 20, false},
		{"p10", lowSamplesIgnore, 99, true},
		{"p10", lowSamplesIgnore, 100, false},
		{"p99", lowSamplesEvaluate, 1, false},
		{"p99", "", 1, false},
	} {
		c := threshold(1, 1, "")
		c.Statistic, c.ExtendedStatistic, c.EvaluateLowSampleCountPercentile = "", test.statistic, test.option
		slots := slotsOf("- - X")
		slots[2].point.SampleCount = test.samples
		if got := c.evaluate(slots).state == ""; got != test.keep {
			t.Errorf("%+v: kept %v", test, got)
		}
	}
}

func TestReasons(t *testing.T) {
	for _, test := range []struct {
		old       types.StateValue
		n, m      int32
		treatment string
		points    string
		want      string
	}{
		{"INSUFFICIENT_DATA", 1, 1, "", "X", "Threshold Crossed: 1 datapoint [100.0 (02/10/19 16:59:00)] was greater than the threshold (50.0)."},
		{"OK", 1, 1, "", "X",
			"Threshold Crossed: 1 out of the last 1 datapoints [100.0 (02/10/19 16:59:00)] was greater than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition)."},
		{"ALARM", 1, 1, "", "0",
			"Threshold Crossed: 1 out of the last 1 datapoints [1.0 (02/10/19 16:59:00)] was not greater than the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."},
		{"OK", 3, 2, "", "X 0 X",
			"Threshold Crossed: 2 out of the last 3 datapoints [100.0 (02/10/19 17:01:00), 100.0 (02/10/19 16:59:00)] were greater than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM transition)."},
		{"INSUFFICIENT_DATA", 2, 2, treatBreaching, "- -",
			"Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching]."},
		{"ALARM", 1, 1, treatNotBreaching, "-",
			"Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as [NonBreaching]."},
		{"OK", 2, 2, "", "- -", "Insufficient Data: 2 datapoints were unknown."},
	} {
		c := threshold(test.n, test.m, test.treatment)
		if got := c.reason(test.old, c.evaluate(slotsOf(test.points))); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.points, got, test.want)
		}
	}
}

func TestReasonData(t *testing.T) {
	at := start.Add(5*time.Minute + 40*time.Second + 985*time.Millisecond)
	c := threshold(1, 1, treatBreaching)
	c.Unit = types.StandardUnitSeconds
	for points, want := range map[string]string{
		"X": `{"version":"1.0","queryDate":"2019-10-02T17:04:40.985+0000","startDate":"2019-10-02T16:59:00.000+0000","unit":"Seconds","statistic":"Average","period":60,"recentDatapoints":[100.0],"threshold":50.0,` +
			`"evaluatedDatapoints":[{"timestamp":"2019-10-02T16:59:00.000+0000","sampleCount":1.0,"value":100.0}]}`,
		"-": `{"version":"1.0","queryDate":"2019-10-02T17:04:40.985+0000","unit":"Seconds","statistic":"Average","period":60,"recentDatapoints":[],"threshold":50.0,` +
			`"evaluatedDatapoints":[{"timestamp":"2019-10-02T16:59:00.000+0000"}]}`,
	} {
		slots := slotsOf(points)
		if got := string(c.reasonData(slots, c.evaluate(slots), at)); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}

func TestNumbersAreWrittenAsCloudWatchWritesThem(t *testing.T) {
	for number, want := range map[float64]string{21: "21.0", 0: "0.0", 99.50160229693434: "99.50160229693434", 1e7: "1.0E7", 1.5e-4: "1.5E-4", -3: "-3.0"} {
		if got := double(number).String(); got != want {
			t.Errorf("%v: %s, want %s", number, got, want)
		}
	}
}
