package metrics

import (
	"fmt"
	"math"
	"testing"
)

// totalsOf are the totals of a bucket that the values were put into.
func totalsOf(values []float64) *totals {
	var b bucket
	for _, v := range values {
		b.add(v, 1)
	}
	var t totals
	t.add(&b, true)
	return &t
}

func oneTo(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64((i*7)%n + 1) // not in order; n is no multiple of 7
	}
	return values
}

func TestStatistics(t *testing.T) {
	ten, thousand := oneTo(10), oneTo(1000)
	for _, test := range []struct {
		stat   string
		values []float64
		want   float64
	}{
		{"SampleCount", ten, 10},
		{"Sum", ten, 55},
		{"Average", ten, 5.5},
		{"Minimum", ten, 1},
		{"Maximum", ten, 10},

		// The greatest of the lowest so many percent.
		{"p50", ten, 5},
		{"p90", ten, 9},
		{"p95", ten, 10},
		{"p0", ten, 1},
		{"p0.1", ten, 1},
		{"p100", ten, 10},
		{"p99", thousand, 990},
		{"p99.9", thousand, 999},
		{"p99.91", thousand, 1000},
		{"p99.99", thousand, 1000},
		{"p10.0000000000", ten, 1},
		{"p50", []float64{42}, 42},

		// Without the highest tenth, which is 10.
		{"tm90", ten, 5},
		{"tc90", ten, 9},
		{"ts90", ten, 45},
		{"TM(:90%)", ten, 5},
		{"wm90", ten, 5.4}, // 10 counts as 9
		{"tm100", ten, 5.5},

		// Without 1 and 10.
		{"TM(10%:90%)", ten, 5.5},
		{"TC(10%:90%)", ten, 8},
		{"TS(10%:90%)", ten, 44},
		{"WM(10%:90%)", ten, 5.5}, // 1 counts as 2, 10 as 9
		{"TS(80%:)", ten, 19},
		{"TM(80%:)", ten, 9.5},
		{"IQM", ten, 5.5},             // 3 to 8
		{"TC(25%:75%)", ten, 6},       //
		{"TM(2%:98%)", ten, 5.5},      // a fiftieth of ten is none of them
		{"TC(2%:98%)", thousand, 960}, //
		{"TC(0%:0%)", ten, 0},

		// Values above the low bound, up to the high one.
		{"TM(2:5)", ten, 4},
		{"TC(2:5)", ten, 3},
		{"TS(2:5)", ten, 12},
		{"WM(2:5)", ten, 4.1}, // 2, 2, 3, 4 and six times 5
		{"TC(:0.5)", ten, 0},
		{"TC(:5)", ten, 5},
		{"TC(5:)", ten, 5},
		{"PR(:3)", ten, 30},
		{"PR(3:7)", ten, 40},
		{"PR(100:)", ten, 0},
		{"PR(0.005:0.030)", []float64{0.005, 0.01, 0.03, 0.04}, 50},
	} {
		s, ok := parseStatistic(test.stat)
		if !ok {
			t.Errorf("%s is refused", test.stat)
			continue
		}
		got, ok := s.of(totalsOf(test.values))
		if !ok || math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s of %d values is %v, %v; want %v", test.stat, len(test.values), got, ok, test.want)
		}
	}
}

func TestThereIsNoStatistic(t *testing.T) {
	set := func(s statistics) *totals {
		var b bucket
		b.addSet(s)
		var t totals
		t.add(&b, true)
		return &t
	}
	for _, test := range []struct {
		name, stat string
		totals     *totals
		want       bool
	}{
		{"a percentile of a statistic set", "p50", set(statistics{3, 6, 1, 3}), false},
		{"a percentile of a set of one value", "p50", set(statistics{1, 2, 2, 2}), true},
		{"a percentile of a set of equal values", "p50", set(statistics{3, 6, 2, 2}), true},
		{"a percentile of equal values with another sum", "p50", set(statistics{3, 7, 2, 2}), false},
		{"a sum of a statistic set", "Sum", set(statistics{3, 6, 1, 3}), true},
		{"a percentile of a negative value", "p50", totalsOf([]float64{-1, 2}), false},
		{"a trimmed count of a negative value", "tc50", totalsOf([]float64{-1, 2}), false},
		{"an average of a negative value", "Average", totalsOf([]float64{-1, 2}), true},
		{"a trimmed mean of no value", "TM(50:60)", totalsOf(oneTo(10)), false},
		{"a trimmed count of no value", "TC(50:60)", totalsOf(oneTo(10)), true},
	} {
		s, _ := parseStatistic(test.stat)
		if _, ok := s.of(test.totals); ok != test.want {
			t.Errorf("%s: %v, want %v", test.name, ok, test.want)
		}
	}
}

func TestNamesThatAreNoStatistic(t *testing.T) {
	for _, name := range []string{
		"", "sum", "Median", "p", "p101", "p-1", "p50%", "P50", "p50.12345678901", "tm", "TM90", "tm(10%:90%)", "TM()", "TM(:)", "TM(%:50%)",
		"TM(10%:90)", "TM(10:90%)", "TM(90%:10%)", "TM(5:2)", "TM(10%:190%)", "PR(10%:20%)", "pr90", "PR90", "iqm", "P(1:2)", "XX(1:2)", "TM(1:2", "TM(.:2)",
		"p1e1", "p0x10",
	} {
		if _, ok := parseStatistic(name); ok {
			t.Errorf("%q is taken for a statistic", name)
		}
	}
}

// A statistic of values is the same however often each is given at once, and in whatever order.
func TestWeightsAreValues(t *testing.T) {
	var one, many bucket
	for i := range 100 {
		for range i%5 + 1 {
			one.add(float64((i*37)%100), 1)
		}
		many.add(float64(((99-i)*37)%100), float64((99-i)%5+1))
	}
	var a, b totals
	a.add(&one, true)
	b.add(&many, true)
	for _, stat := range []string{"Sum", "SampleCount", "p1", "p33.3", "p50", "p99", "tm80", "TM(10%:60%)", "wm95", "tc70", "IQM", "PR(10:40)", "TS(10:40)"} {
		s, _ := parseStatistic(stat)
		x, _ := s.of(&a)
		y, _ := s.of(&b)
		if math.Abs(x-y) > 1e-9 {
			t.Errorf("%s: %v and %v", stat, x, y)
		}
	}
}

func TestManyDifferentValuesAreRounded(t *testing.T) {
	var b bucket
	const n = 200_000
	for i := range n {
		b.add(float64((i*7919)%n)+0.5, 1)
	}
	b.compact()
	if len(b.values) > maxValues {
		t.Errorf("%d values are kept", len(b.values))
	}
	var all totals
	all.add(&b, true)
	if all.count != n || all.min != 0.5 || all.max != n-0.5 || all.sum != n*n/2 {
		t.Errorf("the totals are not exact: %+v", all.statistics)
	}
	for _, p := range []float64{1, 25, 50, 99, 99.9} {
		s, _ := parseStatistic(fmt.Sprint("p", p))
		got, _ := s.of(&all)
		if exact := n * p / 100; math.Abs(got-exact) > exact/200 {
			t.Errorf("p%v is %v, want %v within half a percent", p, got, exact)
		}
	}
}

func FuzzParseStatistic(f *testing.F) {
	for _, name := range []string{"Sum", "p99.9", "TM(2%:98%)", "PR(:300)", "WM(-1.5:)", "tm90"} {
		f.Add(name)
	}
	values := oneTo(100)
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := parseStatistic(name)
		if !ok {
			return
		}
		if got, ok := s.of(totalsOf(values)); ok && (math.IsNaN(got) || math.IsInf(got, 0)) {
			t.Errorf("%s is %v", name, got)
		}
	})
}
