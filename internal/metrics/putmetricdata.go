package metrics

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/policy"
)

// Codes of errors, as the CloudWatch API's model has them. The query protocol leaves "Exception" off.
const (
	invalidValue       = "InvalidParameterValueException"
	invalidCombination = "InvalidParameterCombinationException"
	missingParameter   = "MissingRequiredParameterException"
	invalidToken       = "InvalidNextToken"
	validationError    = "ValidationError" // GetMetricData's
)

const (
	maxData    = 1000                // of a request
	maxCounted = 150                 // values of a datum
	maxPast    = 14 * 24 * time.Hour // of a timestamp
	maxFuture  = 2 * time.Hour
)

// PutMetricData puts points, as the CloudWatch API reference describes it. They are durable, and in statistics, when it returns. All of them
// are refused if one is wrong. The namespace AWS/ is AWS's. Times are kept to the second of a StorageResolution of 1, and otherwise to
// the minute. Entities are not built.
func (m *Metrics) PutMetricData(ctx context.Context, c *call.Call, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	conditions := func(key string) ([]string, bool) {
		return []string{aws.ToString(in.Namespace)}, key == "cloudwatch:namespace"
	}
	if err := c.Allow("cloudwatch:PutMetricData", policy.Resource{ARN: "*", Account: c.Account()}, conditions); err != nil {
		return nil, err
	}
	if len(in.EntityMetricData) > 0 {
		return nil, call.Errorf(invalidValue, "The parameter EntityMetricData is not supported by this version of Vigil.")
	}
	if err := checkData(in, c.Time); err != nil {
		return nil, err
	}
	b := newBatch()
	for i := range in.MetricData {
		d := datumOf(aws.ToString(in.Namespace), &in.MetricData[i], c.Time)
		if err := b.add(c.Account(), c.Region, &d); err != nil {
			return nil, call.Errorf(invalidValue, "The parameter MetricData.member.%d is invalid: %s.", i+1, err)
		}
	}
	if err := m.commit(ctx, b); err != nil {
		return nil, err
	}
	return &cloudwatch.PutMetricDataOutput{}, nil
}

// putNamed is PutMetricData that leaves of its input what the record shows: which metrics, and not which values.
func (m *Metrics) putNamed(ctx context.Context, c *call.Call, in *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error) {
	out, err := m.PutMetricData(ctx, c, in)
	for i, d := range in.MetricData {
		in.MetricData[i] = types.MetricDatum{MetricName: d.MetricName, Dimensions: d.Dimensions}
	}
	return out, err
}

func datumOf(namespace string, in *types.MetricDatum, now time.Time) Datum {
	d := Datum{
		Namespace: namespace, Name: aws.ToString(in.MetricName), Dimensions: dimensionsOf(in.Dimensions), Unit: string(in.Unit),
		Time: now, Resolution: time.Minute,
		Value: aws.ToFloat64(in.Value), Values: in.Values, Counts: in.Counts,
	}
	if in.Timestamp != nil {
		d.Time = *in.Timestamp
	}
	if aws.ToInt32(in.StorageResolution) == 1 {
		d.Resolution = time.Second
	}
	if in.StatisticValues != nil {
		s := setOf(in.StatisticValues)
		d.Set = &s
	}
	if len(d.Values) == 0 {
		d.Values, d.Counts = nil, nil
	}
	if len(d.Counts) == 0 {
		d.Counts = nil
	}
	return d
}

func setOf(in *types.StatisticSet) StatisticSet {
	return StatisticSet{aws.ToFloat64(in.SampleCount), aws.ToFloat64(in.Sum), aws.ToFloat64(in.Minimum), aws.ToFloat64(in.Maximum)}
}

func dimensionsOf(in []types.Dimension) []Dimension {
	if len(in) == 0 {
		return nil
	}
	out := make([]Dimension, len(in))
	for i := range in {
		out[i] = Dimension{aws.ToString(in[i].Name), aws.ToString(in[i].Value)}
	}
	return out
}

// faults are what is wrong with a request. CloudWatch tells all that has the same code at once, a line each.
type faults struct {
	code  string
	lines []string
}

func (f *faults) add(code, format string, args ...any) {
	if f.code == "" {
		f.code = code
	}
	if f.code == code {
		f.lines = append(f.lines, fmt.Sprintf(format, args...))
	}
}

func (f *faults) err() error {
	if f.code == "" {
		return nil
	}
	return call.Errorf(f.code, "%s", strings.Join(f.lines, "\n"))
}

func checkData(in *cloudwatch.PutMetricDataInput, now time.Time) error {
	var f faults
	checkNamespace(&f, aws.ToString(in.Namespace))
	if len(in.MetricData) == 0 {
		f.add(missingParameter, "The parameter MetricData is required.")
	}
	if len(in.MetricData) > maxData {
		f.add(invalidValue, "The collection MetricData must not have a size greater than %d.", maxData)
		return f.err()
	}
	for i := range in.MetricData {
		checkDatum(&f, i+1, &in.MetricData[i], now)
	}
	return f.err()
}

func checkNamespace(f *faults, namespace string) {
	valid := strings.IndexFunc(namespace, func(r rune) bool {
		return !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || strings.ContainsRune(".-_/#:", r))
	}) < 0
	if !valid || strings.HasPrefix(namespace, "AWS/") {
		f.add(invalidValue, "The value %s for parameter Namespace is invalid.", namespace)
	}
}

func checkDatum(f *faults, number int, d *types.MetricDatum, now time.Time) {
	name := func(member string) string { return fmt.Sprintf("MetricData.member.%d.%s", number, member) }
	if !printable(aws.ToString(d.MetricName)) {
		f.add(invalidValue, "The value for parameter %s contains characters that are not printable ASCII.", name("MetricName"))
	}
	checkDimensions(f, fmt.Sprintf("MetricData.member.%d.", number), d.Dimensions)
	if t := d.Timestamp; t != nil {
		if t.Before(now.Add(-maxPast)) {
			f.add(invalidValue, "The parameter %s must specify a time within the past two weeks.", name("Timestamp"))
		} else if t.After(now.Add(maxFuture)) {
			f.add(invalidValue, "The parameter %s must specify a time no more than two hours in the future.", name("Timestamp"))
		}
	}
	if r := d.StorageResolution; r != nil && *r != 1 && *r != 60 {
		f.add(invalidValue, "The value %d for parameter %s is invalid. It must be 1 or 60.", *r, name("StorageResolution"))
	}
	if _, ok := unitNumbers[d.Unit]; !ok {
		f.add(invalidValue, "The value %s for parameter %s is invalid.", d.Unit, name("Unit"))
	}
	checkGiven(f, name, d)
	if d.Value != nil && !storable(*d.Value) {
		f.add(invalidValue, "The value %s for parameter %s is invalid.", number64(*d.Value), name("Value"))
	}
	checkValues(f, name, d)
	if d.StatisticValues != nil {
		checkSet(f, name, d.StatisticValues)
	}
}

// checkGiven has the value given in one way.
func checkGiven(f *faults, name func(string) string, d *types.MetricDatum) {
	exclusive := func(a, b string) {
		f.add(invalidCombination, "The parameters %s and %s are mutually exclusive and you have specified both.", name(a), name(b))
	}
	value, values, set := d.Value != nil, len(d.Values) > 0, d.StatisticValues != nil
	switch {
	case value && values:
		exclusive("Value", "Values")
	case value && set:
		exclusive("Value", "StatisticValues")
	case values && set:
		exclusive("Values", "StatisticValues")
	case !value && !values && !set:
		f.add(missingParameter, "At least one of the parameters %s, %s or %s must be specified.", name("Value"), name("Values"), name("StatisticValues"))
	case !values && len(d.Counts) > 0:
		f.add(invalidCombination, "The parameter %s is only valid together with the parameter %s.", name("Counts"), name("Values"))
	}
}

func checkValues(f *faults, name func(string) string, d *types.MetricDatum) {
	for _, collection := range []struct {
		name string
		size int
	}{{"Values", len(d.Values)}, {"Counts", len(d.Counts)}} {
		if collection.size > maxCounted {
			f.add(invalidValue, "The collection %s must not have a size greater than %d.", name(collection.name), maxCounted)
			return
		}
	}
	if len(d.Values) > 0 && len(d.Counts) > 0 && len(d.Values) != len(d.Counts) {
		f.add(invalidValue, "The parameters %s and %s must be of the same size.", name("Values"), name("Counts"))
		return
	}
	for i, v := range d.Values {
		if !storable(v) {
			f.add(invalidValue, "The value %s for parameter %s.member.%d is invalid.", number64(v), name("Values"), i+1)
		}
	}
	for i, n := range d.Counts {
		if !storable(n) || n <= 0 {
			f.add(invalidValue, "The value %s for parameter %s.member.%d is invalid.", number64(n), name("Counts"), i+1)
		}
	}
}

func checkSet(f *faults, name func(string) string, in *types.StatisticSet) {
	s := setOf(in)
	bad := false
	for _, v := range []struct {
		name  string
		value float64
	}{{"SampleCount", s.SampleCount}, {"Sum", s.Sum}, {"Minimum", s.Minimum}, {"Maximum", s.Maximum}} {
		if !storable(v.value) {
			f.add(invalidValue, "The value %s for parameter %s is invalid.", number64(v.value), name("StatisticValues."+v.name))
			bad = true
		}
	}
	if !bad && s.SampleCount <= 0 {
		f.add(invalidValue, "The parameter %s must be greater than 0.", name("StatisticValues.SampleCount"))
	}
	if !bad && s.Maximum < s.Minimum {
		f.add(invalidValue, "The parameter %s must be greater than %s.", name("StatisticValues.Maximum"), name("StatisticValues.Minimum"))
	}
}

func checkDimensions(f *faults, within string, in []types.Dimension) {
	for i := range in {
		name, value := aws.ToString(in[i].Name), aws.ToString(in[i].Value)
		if !printable(name) || strings.HasPrefix(name, ":") {
			f.add(invalidValue, "The value %q for parameter %sDimensions.member.%d.Name is invalid.", name, within, i+1)
		}
		if !printable(value) {
			f.add(invalidValue, "The value %q for parameter %sDimensions.member.%d.Value is invalid.", value, within, i+1)
		}
		for j := range i {
			if aws.ToString(in[j].Name) == name {
				f.add(invalidValue, "No Metric may specify the same dimension twice.")
				return
			}
		}
	}
}

// printable says that a text is ASCII without control characters and not only white space.
func printable(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return strings.TrimSpace(text) != ""
}

// number64 writes a number as CloudWatch does in an error.
func number64(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return fmt.Sprint(v)
}
