package metrics

import (
	"cmp"
	"math"
	"slices"
)

// Periods of buckets, in seconds, from the finest to the coarsest.
const (
	perSecond      = 1    // what was put with a StorageResolution of 1
	perMinute      = 60   // all else
	perFiveMinutes = 300  // minutes, when they are 15 days old
	perHour        = 3600 // five minutes, when they are 63 days old
)

// maxValues is how many different values a bucket keeps as they are. With more, values are rounded so that fewer differ.
const maxValues = 4096

// mantissa is how many bits of a value's fraction there are; a bucket that rounds drops some of them, but never all.
const (
	mantissa = 52
	minKept  = 4
)

// bucket is all that was put into one series with one unit in one period: its statistics, and the values themselves, each with
// how often it occurred, so that percentiles are exact.
type bucket struct {
	second int32 // when it begins, from the beginning of its hour
	period int32 // in seconds
	unit   uint8 // index in units

	// opaque says that a statistic set is in it whose values are not known. It has no values then, and no percentiles.
	opaque bool
	// dropped is how many bits of the values' fractions were rounded away: 0 while they are exact.
	dropped uint8

	count, sum, min, max float64

	values []weighted
	sorted int // as many of values are in order and different
}

// weighted is a value and how often it occurred.
type weighted struct{ value, count float64 }

// add takes a value that occurred count times.
func (b *bucket) add(value, count float64) {
	b.total(statistics{count: count, sum: value * count, min: value, max: value})
	if !b.opaque {
		b.append(value, count)
	}
}

// addSet takes a statistic set. Its values are known when they must all be the same.
func (b *bucket) addSet(s statistics) {
	if s.min == s.max && s.sum == s.min*s.count {
		b.add(s.min, s.count)
		return
	}
	b.total(s)
	b.hide()
}

// merge takes all that another bucket has, of the same unit.
func (b *bucket) merge(o *bucket) {
	b.total(statistics{o.count, o.sum, o.min, o.max})
	if o.opaque {
		b.hide()
	}
	if b.opaque {
		return
	}
	if b.dropped < o.dropped {
		b.round(o.dropped)
	}
	for _, v := range o.values {
		b.append(v.value, v.count)
	}
}

// statistics are what is known of values without the values.
type statistics struct{ count, sum, min, max float64 }

func (b *bucket) total(s statistics) {
	if b.count == 0 {
		b.count, b.sum, b.min, b.max = s.count, s.sum, s.min, s.max
		return
	}
	b.count += s.count
	b.sum += s.sum
	b.min = min(b.min, s.min)
	b.max = max(b.max, s.max)
}

func (b *bucket) hide() { b.opaque, b.dropped, b.values, b.sorted = true, 0, nil, 0 }

func (b *bucket) append(value, count float64) {
	value = rounded(value, b.dropped)
	if n := len(b.values); n > 0 && b.values[n-1].value == value {
		b.values[n-1].count += count
		return
	}
	if n := len(b.values); b.sorted == n && (n == 0 || b.values[n-1].value < value) {
		b.sorted++
	}
	b.values = append(b.values, weighted{value, count})
	if len(b.values) >= 2*b.sorted+64 { // so that sorting costs each value its logarithm, not its rank
		b.compact()
	}
}

// compact puts the values in order, each once, and rounds them when they are too many.
func (b *bucket) compact() {
	if b.sorted < len(b.values) {
		b.sort()
	}
	for len(b.values) > maxValues && b.dropped < mantissa-minKept {
		b.round(max(b.dropped+1, mantissa-12)) // the first time to 12 bits, an eight-thousandth
	}
}

// round drops bits of the values' fractions.
func (b *bucket) round(dropped uint8) {
	b.dropped = dropped
	for i := range b.values {
		b.values[i].value = rounded(b.values[i].value, dropped)
	}
	b.sort()
}

func (b *bucket) sort() {
	if len(b.values) == 0 {
		return
	}
	slices.SortFunc(b.values, func(a, c weighted) int { return cmp.Compare(a.value, c.value) })
	distinct := b.values[:1]
	for _, v := range b.values[1:] {
		if last := &distinct[len(distinct)-1]; last.value == v.value {
			last.count += v.count
			continue
		}
		distinct = append(distinct, v)
	}
	b.values, b.sorted = distinct, len(distinct)
}

// rounded is the value with the last bits of its fraction rounded away.
func rounded(value float64, dropped uint8) float64 {
	if dropped == 0 {
		return value
	}
	bits := math.Float64bits(value)
	return math.Float64frombits((bits + 1<<(dropped-1)) &^ (1<<dropped - 1))
}

// before orders the buckets of an hour.
func (b *bucket) before(o *bucket) bool {
	if b.second != o.second {
		return b.second < o.second
	}
	if b.period != o.period {
		return b.period < o.period
	}
	return b.unit < o.unit
}

// put merges a bucket into those of an hour, which are in order. It keeps neither o nor its values.
func put(buckets []bucket, o *bucket) []bucket {
	at := len(buckets)
	for at > 0 && o.before(&buckets[at-1]) {
		at--
	}
	if at > 0 && !buckets[at-1].before(o) {
		buckets[at-1].merge(o)
		return buckets
	}
	added := *o
	added.values = slices.Clone(o.values)
	return slices.Insert(buckets, at, added)
}

// coarser returns the buckets with those of a finer period than the one given merged into that.
func coarser(buckets []bucket, period int32) []bucket {
	var merged []bucket
	for i := range buckets {
		b := buckets[i]
		if b.period < period {
			b.second -= b.second % period
			b.period = period
		}
		merged = put(merged, &b)
	}
	return merged
}

// finest is the shortest period among the buckets.
func finest(buckets []bucket) int32 {
	period := int32(perHour)
	for i := range buckets {
		period = min(period, buckets[i].period)
	}
	return period
}
