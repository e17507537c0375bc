package metrics

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// same is whether buckets are the same once their values are in order.
func same(a, b []bucket) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.compact()
		y.compact()
		if len(x.values) == 0 && len(y.values) == 0 {
			x.values, y.values = nil, nil
		}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

func TestBucketsAreReadAsTheyWereWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	value := func() float64 {
		switch r.IntN(4) {
		case 0:
			return float64(r.IntN(10))
		case 1:
			return -r.ExpFloat64()
		case 2:
			return math.Ldexp(r.Float64(), r.IntN(700)-350)
		}
		return r.Float64()
	}
	for range 500 {
		var buckets []bucket
		for range r.IntN(8) {
			period := periods[r.IntN(len(periods))]
			b := bucket{period: period, second: int32(r.IntN(perHour)) / period * period, unit: uint8(r.IntN(len(units)))}
			for range 1 + r.IntN(40) {
				switch r.IntN(10) {
				case 0:
					b.add(value(), r.ExpFloat64()+1e-3)
				default:
					b.add(value(), float64(1+r.IntN(3)))
				}
			}
			if r.IntN(10) == 0 {
				b.addSet(statistics{3, 6, 1, 3})
			}
			if r.IntN(10) == 0 && !b.opaque {
				b.round(40)
			}
			buckets = put(buckets, &b)
		}
		got, err := readBuckets(appendBuckets(nil, buckets))
		if err != nil {
			t.Fatal(err)
		}
		for i := range buckets { // a sum of one value is not stored but computed, as is a count
			if i < len(got) && math.Abs(got[i].sum-buckets[i].sum) <= 1e-9*math.Abs(buckets[i].sum) {
				got[i].sum = buckets[i].sum
			}
			if i < len(got) && math.Abs(got[i].count-buckets[i].count) <= 1e-9*buckets[i].count {
				got[i].count = buckets[i].count
			}
		}
		if !same(got, buckets) {
			t.Fatalf("got  %+v\nwant %+v", got, buckets)
		}
	}
}

// TestUnitsKeepTheirNumbers has the numbers under which units are stored stay as they are.
func TestUnitsKeepTheirNumbers(t *testing.T) {
	for number, unit := range map[int]string{0: "None", 1: "Seconds", 3: "Milliseconds", 4: "Bytes", 14: "Percent", 15: "Count", 26: "Count/Second"} {
		if string(units[number]) != unit {
			t.Errorf("unit %d is %s, want %s", number, units[number], unit)
		}
	}
	if n := len(units[0].Values()); n != len(units) {
		t.Errorf("CloudWatch has %d units, %d are known", n, len(units))
	}
}

// Whatever is read as buckets is written and read as the same again.
func FuzzReadBuckets(f *testing.F) {
	var b bucket
	b.period = perMinute
	b.add(1, 2)
	b.add(0.3, 1)
	f.Add(appendBuckets(nil, []bucket{b}))
	b.addSet(statistics{3, 6, 1, 3})
	f.Add(appendBuckets(nil, []bucket{b}))
	f.Fuzz(func(t *testing.T, body []byte) {
		buckets, err := readBuckets(body)
		if err != nil {
			return
		}
		again, err := readBuckets(appendBuckets(nil, buckets))
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != len(buckets) {
			t.Fatalf("%d buckets became %d", len(buckets), len(again))
		}
		for i := range again {
			if len(again[i].values) != min(len(buckets[i].values), len(again[i].values)) || again[i].second != buckets[i].second {
				t.Fatalf("%+v became %+v", buckets[i], again[i])
			}
		}
	})
}
