package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func queryOf(id, stat string, period int32) types.MetricDataQuery {
	return types.MetricDataQuery{Id: &id, MetricStat: &types.MetricStat{
		Metric: &types.Metric{Namespace: aws.String("Test"), MetricName: aws.String("latency")}, Period: &period, Stat: &stat,
	}}
}

// texts are results in the form "id label status [minutes] [values]", minutes from start on.
func texts(results []types.MetricDataResult, start time.Time) (texts []string) {
	for _, r := range results {
		minutes := []int{}
		for _, at := range r.Timestamps {
			minutes = append(minutes, int(at.Sub(start)/time.Minute))
		}
		texts = append(texts, fmt.Sprintf("%s %q %s %v %v", *r.Id, *r.Label, r.StatusCode, minutes, r.Values))
	}
	return texts
}

func TestGetMetricData(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	end := start.Add(4 * time.Minute)
	for minute, value := range []float64{1, 2, 3, 5} {
		h.putValue(t, start.Add(time.Duration(minute)*time.Minute), value)
	}
	hidden := queryOf("b", "Sum", 60)
	hidden.ReturnData = aws.Bool(false)
	labelled := queryOf("b", "Sum", 60)
	labelled.Label = aws.String("all of them")
	other := queryOf("c", "Sum", 60)
	other.MetricStat.Metric = &types.Metric{Namespace: aws.String("Test"), MetricName: aws.String("nothing")}
	for _, test := range []struct {
		name    string
		queries []types.MetricDataQuery
		scanBy  types.ScanBy
		most    int32      // points an answer
		want    [][]string // of each answer
	}{
		{"the newest first", []types.MetricDataQuery{queryOf("a", "Sum", 60)}, "", 0, [][]string{{`a "latency" Complete [3 2 1 0] [5 3 2 1]`}}},
		{"the oldest first", []types.MetricDataQuery{queryOf("a", "Sum", 60)}, types.ScanByTimestampAscending, 0, [][]string{{`a "latency" Complete [0 1 2 3] [1 2 3 5]`}}},
		{"statistics that differ are in the labels", []types.MetricDataQuery{queryOf("a", "Maximum", 120), queryOf("b", "p50", 120)}, "", 0,
			[][]string{{`a "latency Maximum" Complete [2 0] [5 2]`, `b "latency p50" Complete [2 0] [3 1]`}}},
		{"and so are periods", []types.MetricDataQuery{queryOf("a", "Sum", 120), queryOf("b", "Average", 240)}, "", 0,
			[][]string{{`a "latency Sum 120" Complete [2 0] [8 3]`, `b "latency Average 240" Complete [0] [2.75]`}}},
		{"a label of one's own", []types.MetricDataQuery{labelled}, "", 0, [][]string{{`b "all of them" Complete [3 2 1 0] [5 3 2 1]`}}},
		{"data that is not to be returned", []types.MetricDataQuery{queryOf("a", "Sum", 240), hidden}, "", 0, [][]string{{`a "latency" Complete [0] [11]`}}},
		{"a metric that does not exist", []types.MetricDataQuery{other}, "", 0, [][]string{{`c "nothing" Complete [] []`}}},
		{"page by page", []types.MetricDataQuery{queryOf("a", "Sum", 60), queryOf("b", "Sum", 60)}, "", 3, [][]string{
			{`a "latency" PartialData [3 2 1] [5 3 2]`},
			{`a "latency" Complete [0] [1]`, `b "latency" PartialData [3 2] [5 3]`},
			{`b "latency" Complete [1 0] [2 1]`},
		}},
		{"page by page, the oldest first", []types.MetricDataQuery{queryOf("a", "Sum", 60), queryOf("b", "Sum", 60)}, types.ScanByTimestampAscending, 4, [][]string{
			{`a "latency" Complete [0 1 2 3] [1 2 3 5]`},
			{`b "latency" Complete [0 1 2 3] [1 2 3 5]`},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &cloudwatch.GetMetricDataInput{StartTime: &start, EndTime: &end, MetricDataQueries: test.queries, ScanBy: test.scanBy}
			if test.most > 0 {
				in.MaxDatapoints = &test.most
			}
			for page, want := range test.want {
				out := must[cloudwatch.GetMetricDataOutput](t, h, "GetMetricData", in)
				if got := texts(out.MetricDataResults, start); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("answer %d:\n got %v\nwant %v", page+1, got, want)
				}
				in.NextToken = out.NextToken
				if last := page == len(test.want)-1; last != (in.NextToken == nil) {
					t.Fatalf("answer %d: the token is %v", page+1, in.NextToken)
				}
			}
		})
	}
}

func TestGetMetricDataRefuses(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	for _, test := range []struct {
		name, code, message string
		change              func(in *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery)
	}{
		{"an expression", validationError, "Error in expression 'a': metric math expressions are not supported by this version of Vigil.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) {
				q.MetricStat, q.Expression = nil, aws.String("SUM(METRICS())")
			}},
		{"an expression and a metric", validationError, "The parameters MetricDataQueries.member.1.Expression and MetricDataQueries.member.1.MetricStat are mutually exclusive and you have specified both.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.Expression = aws.String("1") }},
		{"neither", validationError, "At least one of the parameters MetricDataQueries.member.1.Expression or MetricDataQueries.member.1.MetricStat must be specified.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.MetricStat = nil }},
		{"two periods", validationError, "The parameters MetricDataQueries.member.1.Period and MetricDataQueries.member.1.MetricStat are mutually exclusive and you have specified both.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.Period = aws.Int32(60) }},
		{"a wrong id", validationError, "The value 1a for parameter MetricDataQueries.member.1.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.Id = aws.String("1a") }},
		{"a wrong statistic", validationError, "The value None for parameter MetricDataQueries.member.1.MetricStat.Stat is not a valid statistic.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) {
				q.MetricStat.Stat = aws.String("None")
			}},
		{"a wrong period", validationError, "The parameter MetricDataQueries.member.1.MetricStat.Period must be 1, 5, 10, 30 or a multiple of 60.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.MetricStat.Period = aws.Int32(61) }},
		{"no name", validationError, "The parameter MetricDataQueries.member.1.MetricStat.Metric.MetricName is required.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.MetricStat.Metric.MetricName = nil }},
		{"another account", validationError, "The parameter MetricDataQueries.member.1.AccountId names another account, which is not supported by this version of Vigil.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) {
				q.AccountId = aws.String("444455556666")
			}},
		{"a dynamic label", validationError, "The parameter MetricDataQueries.member.1.Label is a dynamic label, which is not supported by this version of Vigil.",
			func(_ *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) { q.Label = aws.String("${MAX}") }},
		{"the same id twice", validationError, "The values for parameter id in MetricDataQueries are not unique.",
			func(in *cloudwatch.GetMetricDataInput, q *types.MetricDataQuery) {
				in.MetricDataQueries = append(in.MetricDataQueries, *q)
			}},
		{"no queries", validationError, "The parameter MetricDataQueries is required.",
			func(in *cloudwatch.GetMetricDataInput, _ *types.MetricDataQuery) { in.MetricDataQueries = nil }},
		{"too many queries", validationError, "The collection MetricDataQueries must not have a size greater than 500.",
			func(in *cloudwatch.GetMetricDataInput, _ *types.MetricDataQuery) {
				in.MetricDataQueries = make([]types.MetricDataQuery, 501)
			}},
		{"no time", validationError, "The parameter StartTime must not equal parameter EndTime.",
			func(in *cloudwatch.GetMetricDataInput, _ *types.MetricDataQuery) { in.EndTime = in.StartTime }},
		{"too many points", validationError, "The value 100801 for parameter MaxDatapoints is invalid. It must be between 1 and 100800.",
			func(in *cloudwatch.GetMetricDataInput, _ *types.MetricDataQuery) {
				in.MaxDatapoints = aws.Int32(100_801)
			}},
		{"a token that is none", invalidToken, "The value for parameter NextToken is invalid.",
			func(in *cloudwatch.GetMetricDataInput, _ *types.MetricDataQuery) { in.NextToken = aws.String("AAAA") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := &cloudwatch.GetMetricDataInput{StartTime: &start, EndTime: aws.Time(start.Add(time.Hour)), MetricDataQueries: []types.MetricDataQuery{queryOf("a", "Sum", 60)}}
			test.change(in, &in.MetricDataQueries[0])
			_, err := do[cloudwatch.GetMetricDataOutput](h, "GetMetricData", in)
			refused(t, err, test.code, test.message)
		})
	}
}

// TestATokenIsForItsRequest gives the token of one request with another.
func TestATokenIsForItsRequest(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	h.putValue(t, start, 1)
	h.putValue(t, start.Add(time.Minute), 1)
	in := &cloudwatch.GetMetricDataInput{StartTime: &start, EndTime: aws.Time(start.Add(time.Hour)), MaxDatapoints: aws.Int32(1),
		MetricDataQueries: []types.MetricDataQuery{queryOf("a", "Sum", 60)}}
	in.NextToken = must[cloudwatch.GetMetricDataOutput](t, h, "GetMetricData", in).NextToken
	in.MetricDataQueries[0].MetricStat.Stat = aws.String("Average")
	_, err := do[cloudwatch.GetMetricDataOutput](h, "GetMetricData", in)
	refused(t, err, invalidToken, "The value for parameter NextToken is invalid.")
}
