package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// TestFormsOfValues puts a datum in each form that there is, and reads what it is then.
func TestFormsOfValues(t *testing.T) {
	for _, test := range []struct {
		name                         string
		datum                        types.MetricDatum
		count, sum, minimum, maximum float64
		median                       *float64
	}{
		{"a value", types.MetricDatum{Value: aws.Float64(2.5)}, 1, 2.5, 2.5, 2.5, aws.Float64(2.5)},
		{"zero", types.MetricDatum{Value: aws.Float64(0)}, 1, 0, 0, 0, aws.Float64(0)},
		{"the largest value", types.MetricDatum{Value: aws.Float64(math.Ldexp(1, 360))}, 1, math.Ldexp(1, 360), math.Ldexp(1, 360), math.Ldexp(1, 360), aws.Float64(math.Ldexp(1, 360))},
		{"values", types.MetricDatum{Values: []float64{3, 1, 2, 1}}, 4, 7, 1, 3, aws.Float64(1)},
		{"values and counts", types.MetricDatum{Values: []float64{10, 20}, Counts: []float64{1, 3}}, 4, 70, 10, 20, aws.Float64(20)},
		{"values and an empty list of counts", types.MetricDatum{Values: []float64{10, 20}, Counts: []float64{}}, 2, 30, 10, 20, aws.Float64(10)},
		{"a statistic set", types.MetricDatum{StatisticValues: statisticSet(5, 100, 1, 50)}, 5, 100, 1, 50, nil},
		{"a statistic set of equal values", types.MetricDatum{StatisticValues: statisticSet(5, 100, 20, 20)}, 5, 100, 20, 20, aws.Float64(20)},
		{"a negative value", types.MetricDatum{Value: aws.Float64(-4)}, 1, -4, -4, -4, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := open(t)
			at := h.lastHour().Add(90 * time.Second)
			test.datum.MetricName, test.datum.Timestamp = aws.String("latency"), &at
			must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{
				Namespace: aws.String("Test"), MetricData: []types.MetricDatum{test.datum},
			})
			for _, h := range []*house{h, h.reopen(t)} { // from memory, and from the log
				in := statisticsOf(h.lastHour(), h.lastHour().Add(time.Hour), 60)
				out := must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", in)
				if len(out.Datapoints) != 1 {
					t.Fatalf("%d points", len(out.Datapoints))
				}
				p := out.Datapoints[0]
				if *p.SampleCount != test.count || *p.Sum != test.sum || *p.Minimum != test.minimum || *p.Maximum != test.maximum ||
					*p.Average != test.sum/test.count || p.Unit != types.StandardUnitNone || !p.Timestamp.Equal(at.Truncate(time.Minute)) {
					t.Errorf("count %v, sum %v, minimum %v, maximum %v, average %v, unit %s at %v",
						*p.SampleCount, *p.Sum, *p.Minimum, *p.Maximum, *p.Average, p.Unit, p.Timestamp)
				}
				in.Statistics, in.ExtendedStatistics = nil, []string{"p50"}
				out = must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", in)
				switch {
				case test.median == nil && len(out.Datapoints) > 0:
					t.Errorf("there is a median: %v", out.Datapoints[0].ExtendedStatistics)
				case test.median != nil && (len(out.Datapoints) != 1 || out.Datapoints[0].ExtendedStatistics["p50"] != *test.median):
					t.Errorf("the median is not %v: %v", *test.median, out.Datapoints)
				}
			}
		})
	}
}

func statisticSet(count, sum, minimum, maximum float64) *types.StatisticSet {
	return &types.StatisticSet{SampleCount: &count, Sum: &sum, Minimum: &minimum, Maximum: &maximum}
}

// statisticsOf asks for all plain statistics of Test/latency.
func statisticsOf(start, end time.Time, period int32) *cloudwatch.GetMetricStatisticsInput {
	return &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Test"), MetricName: aws.String("latency"), StartTime: &start, EndTime: &end, Period: &period,
		Statistics: types.Statistic("").Values(),
	}
}

func TestPutMetricDataRefuses(t *testing.T) {
	h := open(t)
	now := h.clock.Now()
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	one := func(d types.MetricDatum) *cloudwatch.PutMetricDataInput {
		if d.MetricName == nil {
			d.MetricName = aws.String("latency")
		}
		return &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{d}}
	}
	dimensions := func(pairs ...string) (d []types.Dimension) {
		for i := 0; i < len(pairs); i += 2 {
			d = append(d, types.Dimension{Name: &pairs[i], Value: &pairs[i+1]})
		}
		return d
	}
	v := aws.Float64(1)
	for _, test := range []struct {
		name, code, message string
		in                  *cloudwatch.PutMetricDataInput
	}{
		{"no data", missingParameter, "The parameter MetricData is required.", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test")}},
		{"too many data", invalidValue, "The collection MetricData must not have a size greater than 1000.",
			&cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: make([]types.MetricDatum, 1001)}},
		{"AWS's namespace", invalidValue, "The value AWS/KMS for parameter Namespace is invalid.",
			&cloudwatch.PutMetricDataInput{Namespace: aws.String("AWS/KMS"), MetricData: one(types.MetricDatum{Value: v}).MetricData}},
		{"a namespace with a space", invalidValue, "The value a b for parameter Namespace is invalid.",
			&cloudwatch.PutMetricDataInput{Namespace: aws.String("a b"), MetricData: one(types.MetricDatum{Value: v}).MetricData}},
		{"entities", invalidValue, "The parameter EntityMetricData is not supported by this version of Vigil.",
			&cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), EntityMetricData: make([]types.EntityMetricData, 1)}},
		{"no value", missingParameter, "At least one of the parameters MetricData.member.1.Value, MetricData.member.1.Values or MetricData.member.1.StatisticValues must be specified.",
			one(types.MetricDatum{})},
		{"a value and values", invalidCombination, "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both.",
			one(types.MetricDatum{Value: v, Values: []float64{1}})},
		{"a value and a set", invalidCombination, "The parameters MetricData.member.1.Value and MetricData.member.1.StatisticValues are mutually exclusive and you have specified both.",
			one(types.MetricDatum{Value: v, StatisticValues: statisticSet(1, 1, 1, 1)})},
		{"values and a set", invalidCombination, "The parameters MetricData.member.1.Values and MetricData.member.1.StatisticValues are mutually exclusive and you have specified both.",
			one(types.MetricDatum{Values: []float64{1}, StatisticValues: statisticSet(1, 1, 1, 1)})},
		{"counts of one value", invalidCombination, "The parameter MetricData.member.1.Counts is only valid together with the parameter MetricData.member.1.Values.",
			one(types.MetricDatum{Value: v, Counts: []float64{1}})},
		{"fewer counts than values", invalidValue, "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
			one(types.MetricDatum{Values: []float64{1, 2}, Counts: []float64{1}})},
		{"too many values", invalidValue, "The collection MetricData.member.1.Values must not have a size greater than 150.",
			one(types.MetricDatum{Values: make([]float64, 151)})},
		{"NaN", invalidValue, "The value NaN for parameter MetricData.member.1.Value is invalid.", one(types.MetricDatum{Value: aws.Float64(math.NaN())})},
		{"infinity", invalidValue, "The value -Infinity for parameter MetricData.member.1.Values.member.2 is invalid.",
			one(types.MetricDatum{Values: []float64{1, math.Inf(-1)}})},
		{"too large a value", invalidValue, "The value 4.6970851655476665e+108 for parameter MetricData.member.1.Value is invalid.",
			one(types.MetricDatum{Value: aws.Float64(math.Ldexp(1, 361))})},
		{"a count of zero", invalidValue, "The value 0 for parameter MetricData.member.1.Counts.member.1 is invalid.",
			one(types.MetricDatum{Values: []float64{1}, Counts: []float64{0}})},
		{"a set with NaN", invalidValue, "The value NaN for parameter MetricData.member.1.StatisticValues.Sum is invalid.",
			one(types.MetricDatum{StatisticValues: statisticSet(1, math.NaN(), 1, 1)})},
		{"a set of nothing", invalidValue, "The parameter MetricData.member.1.StatisticValues.SampleCount must be greater than 0.",
			one(types.MetricDatum{StatisticValues: statisticSet(0, 1, 1, 1)})},
		{"a set upside down", invalidValue, "The parameter MetricData.member.1.StatisticValues.Maximum must be greater than MetricData.member.1.StatisticValues.Minimum.",
			one(types.MetricDatum{StatisticValues: statisticSet(2, 3, 2, 1)})},
		{"more than two weeks ago", invalidValue, "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
			one(types.MetricDatum{Value: v, Timestamp: at(-14*24*time.Hour - time.Minute)})},
		{"in more than two hours", invalidValue, "The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.",
			one(types.MetricDatum{Value: v, Timestamp: at(2*time.Hour + time.Minute)})},
		{"a resolution of 30", invalidValue, "The value 30 for parameter MetricData.member.1.StorageResolution is invalid. It must be 1 or 60.",
			one(types.MetricDatum{Value: v, StorageResolution: aws.Int32(30)})},
		{"a dimension twice", invalidValue, "No Metric may specify the same dimension twice.", one(types.MetricDatum{Value: v, Dimensions: dimensions("a", "1", "a", "2")})},
		{"a dimension that begins with a colon", invalidValue, `The value ":a" for parameter MetricData.member.1.Dimensions.member.1.Name is invalid.`,
			one(types.MetricDatum{Value: v, Dimensions: dimensions(":a", "1")})},
		{"a dimension that is not ASCII", invalidValue, `The value "é" for parameter MetricData.member.1.Dimensions.member.1.Value is invalid.`,
			one(types.MetricDatum{Value: v, Dimensions: dimensions("a", "é")})},
		{"a name with a NUL", invalidValue, "The value for parameter MetricData.member.1.MetricName contains characters that are not printable ASCII.",
			one(types.MetricDatum{Value: v, MetricName: aws.String("a\x00b")})},
		{"two faults, told together", invalidValue, "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.\n" +
			"The parameter MetricData.member.2.Timestamp must specify a time within the past two weeks.",
			&cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
				{MetricName: aws.String("a"), Value: v, Timestamp: at(-20 * 24 * time.Hour)}, {MetricName: aws.String("b"), Value: v, Timestamp: at(-20 * 24 * time.Hour)},
				{MetricName: aws.String("c"), Value: v, Values: []float64{1}},
			}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := do[cloudwatch.PutMetricDataOutput](h, "PutMetricData", test.in)
			refused(t, err, test.code, test.message)
		})
	}
	if out := must[cloudwatch.ListMetricsOutput](t, h, "ListMetrics", &cloudwatch.ListMetricsInput{}); len(out.Metrics) > 0 {
		t.Errorf("what was refused is there: %v", out.Metrics)
	}
}

// TestLimitsThatAreMet puts what is just within the limits.
func TestLimitsThatAreMet(t *testing.T) {
	h := open(t)
	now := h.clock.Now()
	name := strings.Repeat("n", 255)
	var dimensions []types.Dimension
	for i := range 30 {
		dimensions = append(dimensions, types.Dimension{Name: aws.String(fmt.Sprint("d", i)), Value: aws.String(strings.Repeat("v", 1024))})
	}
	past, future := now.Add(-maxPast+time.Minute), now.Add(maxFuture)
	values := make([]float64, 150)
	must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String(name), MetricData: []types.MetricDatum{
		{MetricName: &name, Dimensions: dimensions, Timestamp: &past, Values: values, Counts: append([]float64{2}, repeat(1, 149)...)},
		{MetricName: &name, Dimensions: dimensions, Timestamp: &future, Values: values},
	}})
	start, end := past.Add(-time.Minute), future.Add(time.Minute)
	out := must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", &cloudwatch.GetMetricStatisticsInput{
		Namespace: &name, MetricName: &name, Dimensions: dimensions, StartTime: &start, EndTime: &end, Period: aws.Int32(86400),
		Statistics: []types.Statistic{types.StatisticSampleCount},
	})
	if n := len(out.Datapoints); n != 2 || *out.Datapoints[0].SampleCount != 151 || *out.Datapoints[1].SampleCount != 150 {
		t.Errorf("got %d points: %v", n, out.Datapoints)
	}
}

func repeat(value float64, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value
	}
	return values
}

// TestMetricsAreToldApart has one value in each of several metrics that are almost the same.
func TestMetricsAreToldApart(t *testing.T) {
	h := open(t)
	at := h.lastHour()
	dims := func(pairs ...string) (d []types.Dimension) {
		for i := 0; i < len(pairs); i += 2 {
			d = append(d, types.Dimension{Name: &pairs[i], Value: &pairs[i+1]})
		}
		return d
	}
	metrics := [][]types.Dimension{nil, dims("a", "1"), dims("a", "2"), dims("b", "1"), dims("a", "1", "b", "1"), dims("a", "1b", "1", "x")}
	for i, d := range metrics {
		must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"),
			MetricData: []types.MetricDatum{{MetricName: aws.String("latency"), Dimensions: d, Timestamp: &at, Value: aws.Float64(float64(i))}}})
	}
	metrics[4] = dims("b", "1", "a", "1") // order does not matter
	for i, d := range metrics {
		in := statisticsOf(at, at.Add(time.Minute), 60)
		in.Dimensions = d
		out := must[cloudwatch.GetMetricStatisticsOutput](t, h, "GetMetricStatistics", in)
		if len(out.Datapoints) != 1 || *out.Datapoints[0].Sum != float64(i) || *out.Datapoints[0].SampleCount != 1 {
			t.Errorf("metric %d has %v", i, out.Datapoints)
		}
	}
}
