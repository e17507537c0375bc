package metrics

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// statistic is what to compute of the values of a period, as the CloudWatch user guide has it under "CloudWatch statistics definitions".
type statistic struct {
	kind     kind
	low      float64 // a value, or a percentage of the values
	high     float64
	absolute bool // low and high are values
}

type kind uint8

const (
	sampleCount kind = iota
	sum
	average
	minimum
	maximum
	percentile     // p99.9: the value at high
	trimmedMean    // tm90, TM(2%:98%), TM(150:1000), IQM
	winsorizedMean // wm98, WM(10%:90%)
	trimmedCount   // tc90, TC(0.005:0.030)
	trimmedSum     // ts90, TS(80%:)
	percentileRank // PR(:300)
)

var plain = map[string]kind{"SampleCount": sampleCount, "Sum": sum, "Average": average, "Minimum": minimum, "Maximum": maximum}

// Names of a statistic with one number, and with two.
var (
	oneNumber  = map[string]kind{"p": percentile, "tm": trimmedMean, "wm": winsorizedMean, "tc": trimmedCount, "ts": trimmedSum}
	twoNumbers = map[string]kind{"TM": trimmedMean, "WM": winsorizedMean, "TC": trimmedCount, "TS": trimmedSum, "PR": percentileRank}
)

var (
	number = regexp.MustCompile(`^\d{1,3}(?:\.\d{0,10})?$`)
	bounds = regexp.MustCompile(`^([A-Z]{2})\((-?\d*\.?\d*)(%?):(-?\d*\.?\d*)(%?)\)$`)
)

// parseStatistic reads the name of a statistic. An abbreviation is in small letters with one number, and in capitals with two.
func parseStatistic(name string) (statistic, bool) {
	if k, ok := plain[name]; ok {
		return statistic{kind: k}, true
	}
	if name == "IQM" {
		return statistic{kind: trimmedMean, low: 25, high: 75}, true
	}
	if at := strings.IndexAny(name, "0123456789"); at > 0 {
		if k, ok := oneNumber[name[:at]]; ok {
			high, err := strconv.ParseFloat(name[at:], 64)
			return statistic{kind: k, high: high}, number.MatchString(name[at:]) && err == nil && high <= 100
		}
	}
	m := bounds.FindStringSubmatch(name)
	if m == nil || m[2] == "" && m[4] == "" {
		return statistic{}, false
	}
	k, ok := twoNumbers[m[1]]
	if !ok {
		return statistic{}, false
	}
	s := statistic{kind: k, low: 0, high: 100}
	s.absolute = m[3] == "" && m[5] == ""
	if s.absolute {
		s.low, s.high = math.Inf(-1), math.Inf(1)
	}
	for _, bound := range []struct {
		number, percent string
		to              *float64
	}{{m[2], m[3], &s.low}, {m[4], m[5], &s.high}} {
		if bound.number == "" {
			if bound.percent != "" {
				return statistic{}, false
			}
			continue
		}
		f, err := strconv.ParseFloat(bound.number, 64)
		if err != nil || s.absolute == (bound.percent != "") || !s.absolute && (f < 0 || f > 100) {
			return statistic{}, false
		}
		*bound.to = f
	}
	return s, s.low <= s.high && (s.kind != percentileRank || s.absolute)
}

// needsValues says that the statistic cannot be computed of sums.
func (s statistic) needsValues() bool { return s.kind > maximum }

// totals is what was put in a period: what statistics are computed of.
type totals struct {
	statistics
	opaque bool       // some values are not known
	values []weighted // when they were asked for
	sorted bool
}

func (t *totals) add(b *bucket, values bool) {
	if t.count == 0 {
		t.statistics = statistics{b.count, b.sum, b.min, b.max}
	} else {
		t.count += b.count
		t.sum += b.sum
		t.min = min(t.min, b.min)
		t.max = max(t.max, b.max)
	}
	t.opaque = t.opaque || b.opaque
	if values && !t.opaque {
		t.values, t.sorted = append(t.values, b.values...), false
	}
}

// of computes the statistic. There is none when it needs values of which some are not known or negative, or when no
// value is within its bounds.
func (s statistic) of(t *totals) (float64, bool) {
	switch s.kind {
	case sampleCount:
		return t.count, true
	case sum:
		return t.sum, true
	case average:
		return t.sum / t.count, true
	case minimum:
		return t.min, true
	case maximum:
		return t.max, true
	}
	if t.opaque || t.min < 0 || t.count == 0 {
		return 0, false
	}
	if !t.sorted {
		slices.SortFunc(t.values, func(a, b weighted) int { return cmp.Compare(a.value, b.value) })
		t.sorted = true
	}
	if s.kind == percentile {
		return valueAt(t.values, last(s.high, t.count)), true
	}
	in := s.within(t)
	switch s.kind {
	case trimmedMean:
		return in.sum / in.count, in.count > 0
	case trimmedCount:
		return in.count, true
	case trimmedSum:
		return in.sum, true
	case percentileRank:
		return in.count / t.count * 100, true
	}
	return s.winsorized(t, in)
}

// within are the statistics of the values that are within the bounds: above the low one up to the high one. Of percentages,
// it is the values after the lowest that are left out, of which there are as many as make up low without going over it, up to the
// value that p(high) is.
func (s statistic) within(t *totals) statistics {
	var in statistics
	take := func(value, count float64) {
		if count <= 0 {
			return
		}
		if in.count == 0 {
			in.min = value
		}
		in.count += count
		in.sum += value * count
		in.max = value
	}
	if s.absolute {
		for _, v := range t.values {
			if v.value > s.low && v.value <= s.high {
				take(v.value, v.count)
			}
		}
		return in
	}
	from, to, before := math.Floor(s.low/100*t.count+rankError), last(s.high, t.count), 0.0
	if s.high == 0 {
		to = 0
	}
	for _, v := range t.values {
		take(v.value, min(before+v.count, to)-max(before, from))
		before += v.count
	}
	return in
}

// winsorized is the mean when the values outside the bounds count as the nearest bound. Bounds that are percentages are the least and the
// greatest value that is left.
func (s statistic) winsorized(t *totals, in statistics) (float64, bool) {
	low, high := in.min, in.max
	if s.absolute {
		low, high = s.low, s.high
	} else if in.count == 0 {
		return 0, false
	}
	var total float64
	for _, v := range t.values {
		total += min(max(v.value, low), high) * v.count
	}
	return total / t.count, true
}

// rankError makes up for what is lost when a rank is computed of a percentage: 99.9 % of 1,000 is a little more than 999.
const rankError = 1e-7

// last is the rank, from 1 on, of the greatest value of so many percent of the values.
func last(percent, count float64) float64 {
	return max(math.Ceil(percent/100*count-rankError), 1)
}

// valueAt is the value of a rank.
func valueAt(values []weighted, rank float64) float64 {
	var before float64
	for _, v := range values {
		before += v.count
		if before >= rank-rankError {
			return v.value
		}
	}
	return values[len(values)-1].value
}
