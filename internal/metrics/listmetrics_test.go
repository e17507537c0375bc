package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/store"
)

// putMetrics puts a value into metrics that are written as namespace/name{dimension=value,…}.
func (h *house) putMetrics(t testing.TB, account, region string, metrics ...string) {
	t.Helper()
	var data []Datum
	for _, text := range metrics {
		name, dimensions, _ := strings.Cut(strings.TrimSuffix(text, "}"), "{")
		d := Datum{Time: h.clock.Now(), Value: 1}
		d.Namespace, d.Name, _ = strings.Cut(name, "/")
		for _, pair := range strings.FieldsFunc(dimensions, func(r rune) bool { return r == ',' }) {
			name, value, _ := strings.Cut(pair, "=")
			d.Dimensions = append(d.Dimensions, Dimension{name, value})
		}
		data = append(data, d)
	}
	if err := h.db.Update(t.Context(), func(tx store.Tx) error { return h.Put(tx, account, region, data) }); err != nil {
		t.Fatal(err)
	}
}

// list is all that ListMetrics answers, written as putMetrics reads it, and in how many answers.
func (h *house) list(t testing.TB, in cloudwatch.ListMetricsInput) (metrics []string, answers int) {
	t.Helper()
	for {
		out := must[cloudwatch.ListMetricsOutput](t, h, "ListMetrics", &in)
		answers++
		for _, m := range out.Metrics {
			var pairs []string
			for _, d := range m.Dimensions {
				pairs = append(pairs, *d.Name+"="+*d.Value)
			}
			text := *m.Namespace + "/" + *m.MetricName
			if pairs != nil {
				text += "{" + strings.Join(pairs, ",") + "}"
			}
			metrics = append(metrics, text)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			return metrics, answers
		}
	}
}

func TestListMetrics(t *testing.T) {
	h := open(t)
	h.putMetrics(t, account, region, "B/calls", "A/calls{Key=1}", "A/calls{Key=2,Op=x}", "A/errors{Key=1}", "A/calls")
	h.putMetrics(t, "444455556666", region, "A/others")
	h.putMetrics(t, account, "us-east-1", "A/elsewhere")
	filter := func(pairs ...string) (f []types.DimensionFilter) {
		for _, pair := range pairs {
			name, value, ok := strings.Cut(pair, "=")
			d := types.DimensionFilter{Name: &name}
			if ok {
				d.Value = &value
			}
			f = append(f, d)
		}
		return f
	}
	for _, test := range []struct {
		name string
		in   cloudwatch.ListMetricsInput
		want []string
	}{
		{"all", cloudwatch.ListMetricsInput{}, []string{"A/calls{Key=1}", "A/calls{Key=2,Op=x}", "A/calls", "A/errors{Key=1}", "B/calls"}},
		{"a namespace", cloudwatch.ListMetricsInput{Namespace: aws.String("B")}, []string{"B/calls"}},
		{"a name", cloudwatch.ListMetricsInput{MetricName: aws.String("errors")}, []string{"A/errors{Key=1}"}},
		{"a dimension", cloudwatch.ListMetricsInput{Dimensions: filter("Key")}, []string{"A/calls{Key=1}", "A/calls{Key=2,Op=x}", "A/errors{Key=1}"}},
		{"a dimension's value", cloudwatch.ListMetricsInput{Dimensions: filter("Key=1"), Namespace: aws.String("A")}, []string{"A/calls{Key=1}", "A/errors{Key=1}"}},
		{"two dimensions", cloudwatch.ListMetricsInput{Dimensions: filter("Key", "Op=x")}, []string{"A/calls{Key=2,Op=x}"}},
		{"nothing", cloudwatch.ListMetricsInput{Namespace: aws.String("C")}, nil},
		{"another account's", cloudwatch.ListMetricsInput{OwningAccount: aws.String("444455556666")}, nil},
	} {
		if got, _ := h.list(t, test.in); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %v\nwant %v", test.name, got, test.want)
		}
	}
}

func TestListMetricsPageByPage(t *testing.T) {
	h := open(t)
	var all, odd []string
	for i := range 2500 {
		all = append(all, fmt.Sprintf("A/m%04d{Key=%d}", i, i%2))
		if i%2 == 1 {
			odd = append(odd, all[i])
		}
	}
	h.putMetrics(t, account, region, all...)
	if got, answers := h.list(t, cloudwatch.ListMetricsInput{}); !slices.Equal(got, all) || answers != 5 {
		t.Errorf("%d metrics in %d answers", len(got), answers)
	}
	in := cloudwatch.ListMetricsInput{Dimensions: []types.DimensionFilter{{Name: aws.String("Key"), Value: aws.String("1")}}}
	if got, answers := h.list(t, in); !slices.Equal(got, odd) || answers != 3 {
		t.Errorf("%d metrics in %d answers", len(got), answers)
	}
	in.NextToken = aws.String("AAAA")
	_, err := do[cloudwatch.ListMetricsOutput](h, "ListMetrics", &in)
	refused(t, err, invalidValue, "The value for parameter NextToken is invalid.")
}

// TestMetricsAreListedForTwoWeeks has a metric that gets points all the time and one that gets none any more.
func TestMetricsAreListedForTwoWeeks(t *testing.T) {
	h := open(t)
	recently := cloudwatch.ListMetricsInput{RecentlyActive: types.RecentlyActivePt3h}
	check := func(in cloudwatch.ListMetricsInput, want ...string) {
		t.Helper()
		for _, h := range []*house{h, h.reopen(t)} {
			if got, _ := h.list(t, in); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	h.putMetrics(t, account, region, "A/idle", "A/busy")
	check(recently, "A/busy", "A/idle")
	h.clock.Advance(3*time.Hour + time.Minute)
	h.putMetrics(t, account, region, "A/busy")
	check(recently, "A/busy")
	check(cloudwatch.ListMetricsInput{}, "A/busy", "A/idle")
	if err := h.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(14*24*time.Hour - 2*time.Hour)
	check(cloudwatch.ListMetricsInput{}, "A/busy")
	h.clock.Advance(3 * time.Hour)
	check(cloudwatch.ListMetricsInput{})
}
