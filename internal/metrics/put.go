package metrics

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/store"
)

// Datum is what is put into one metric at one time: Value, or Values with how often each occurred, or a statistic set.
type Datum struct {
	Namespace  string
	Name       string
	Dimensions []Dimension // in any order, each name once
	Unit       string      // one of CloudWatch's; "" is None
	Time       time.Time
	Resolution time.Duration // time.Second, 5 * time.Minute, time.Hour, or anything else for a minute

	Value  float64
	Values []float64     // in place of Value
	Counts []float64     // nil for 1 each
	Set    *StatisticSet // in place of Value
}

// StatisticSet sums up values that are not known.
type StatisticSet struct{ SampleCount, Sum, Minimum, Maximum float64 }

// Put puts points in a transaction of the Watch database: they are there when it is durable, and not if it is undone. A
// transaction may put several times. Times are taken as they are: unlike PutMetricData, Put takes points of any age, as a follower that has
// fallen behind brings old ones; what is older than all retention is passed over.
func (m *Metrics) Put(tx store.Tx, account, region string, data []Datum) error {
	b := newBatch()
	for i := range data {
		if err := b.add(account, region, &data[i]); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	if _, err := m.write(tx, b); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// batch is what one transaction puts, gathered by series and bucket.
type batch struct {
	series map[string]*batchSeries
	order  []*batchSeries
	values int
	key    []byte
}

type batchSeries struct {
	key     string
	buckets []batchBucket
}

type batchBucket struct {
	hour int64
	bucket
}

func newBatch() *batch { return &batch{series: map[string]*batchSeries{}} }

func (b *batch) add(account, region string, d *Datum) error {
	unit, ok := unitNumbers[types.StandardUnit(d.Unit)]
	if !ok {
		return fmt.Errorf("the unit %q is not one of CloudWatch's", d.Unit)
	}
	s, err := b.into(account, region, d.Namespace, d.Name, inOrder(d.Dimensions))
	if err != nil {
		return err
	}
	return b.addValues(s.bucket(d.Time.Unix(), d.Resolution, unit), d)
}

// into is the series for a metric, whose dimensions are in the order of their names.
func (b *batch) into(account, region, namespace, name string, dimensions []Dimension) (*batchSeries, error) {
	b.key = appendKey(b.key[:0], account, region, namespace, name, dimensions)
	s := b.series[string(b.key)]
	if s == nil {
		if strings.Contains(account+region, "\x00") {
			return nil, fmt.Errorf("%q and %q cannot be an account and a region", account, region)
		}
		if err := checkText(namespace, name, dimensions); err != nil {
			return nil, err
		}
		s = &batchSeries{key: string(b.key)}
		b.series[s.key] = s
		b.order = append(b.order, s)
	}
	return s, nil
}

func (b *batch) addValues(into *bucket, d *Datum) error {
	switch {
	case d.Set != nil:
		set := d.Set
		if !storable(set.Sum) || !storable(set.Minimum) || !storable(set.Maximum) || !storable(set.SampleCount) || set.SampleCount <= 0 || set.Minimum > set.Maximum {
			return fmt.Errorf("%+v is no statistic set", *set)
		}
		into.addSet(statistics{set.SampleCount, set.Sum, set.Minimum, set.Maximum})
		b.values++
		return nil
	case d.Values == nil:
		if !storable(d.Value) {
			return fmt.Errorf("the value %v cannot be stored", d.Value)
		}
		into.add(d.Value, 1)
		b.values++
		return nil
	}
	if d.Counts != nil && len(d.Counts) != len(d.Values) {
		return fmt.Errorf("there are %d values and %d counts", len(d.Values), len(d.Counts))
	}
	for i, value := range d.Values {
		count := 1.0
		if d.Counts != nil {
			count = d.Counts[i]
		}
		if !storable(value) || !storable(count) || count <= 0 {
			return fmt.Errorf("the value %v, %v times, cannot be stored", value, count)
		}
		into.add(value, count)
	}
	b.values += len(d.Values)
	return nil
}

// bucket is the one for a time. Points of a request mostly have the same.
func (s *batchSeries) bucket(second int64, resolution time.Duration, unit uint8) *bucket {
	period := int64(perMinute)
	switch resolution {
	case time.Second, perFiveMinutes * time.Second, perHour * time.Second:
		period = int64(resolution / time.Second)
	}
	hour := hourOf(second)
	at := second - hour*perHour
	at -= at % period
	for i := len(s.buckets) - 1; i >= 0; i-- {
		if b := &s.buckets[i]; b.hour == hour && b.second == int32(at) && b.period == int32(period) && b.unit == unit {
			return &b.bucket
		}
	}
	s.buckets = append(s.buckets, batchBucket{hour, bucket{second: int32(at), period: int32(period), unit: unit}})
	return &s.buckets[len(s.buckets)-1].bucket
}

// largest is the largest value that CloudWatch takes, 2^360, and the least is the same below zero.
var largest = math.Ldexp(1, 360)

func storable(value float64) bool { return value >= -largest && value <= largest } // false for NaN

// checkText refuses what could not be stored as text or as a part of a key.
func checkText(namespace, name string, dimensions []Dimension) error {
	for _, text := range [...]string{namespace, name} {
		if text == "" || !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return fmt.Errorf("%q cannot name a metric", text)
		}
	}
	for i, d := range dimensions {
		if d.Name == "" || !utf8.ValidString(d.Name+d.Value) || strings.IndexByte(d.Name, 0) >= 0 || strings.IndexByte(d.Value, 0) >= 0 {
			return fmt.Errorf("%q=%q cannot be a dimension", d.Name, d.Value)
		}
		if i > 0 && dimensions[i-1].Name == d.Name {
			return fmt.Errorf("the dimension %q is there twice", d.Name)
		}
	}
	return nil
}

// write writes batches to the log as one page, has it taken into memory when that is durable, and returns which page it is.
func (m *Metrics) write(tx store.Tx, batches ...*batch) (pageID, error) {
	var values int
	for _, b := range batches {
		values += b.values
	}
	if values == 0 {
		return pageID{}, nil
	}
	p, err := m.newPage(tx)
	if err != nil {
		return pageID{}, err
	}
	for _, b := range batches {
		for _, bs := range b.order {
			if err := m.addSeries(tx, p, bs); err != nil {
				return pageID{}, err
			}
		}
	}
	if err := p.insert(tx); err != nil {
		return pageID{}, err
	}
	tx.OnCommit(func() {
		m.apply(p)
		m.put.Add(int64(values))
	})
	return p.pageID, nil
}

// addSeries adds what is put into one series to a page.
func (m *Metrics) addSeries(tx store.Tx, p *page, bs *batchSeries) error {
	s, err := m.seriesFor(tx, bs.key, p.at)
	if err != nil {
		return err
	}
	at := len(p.series)
	p.series = append(p.series, s)
	oldest := hourOf(p.at/1000 - int64(retention/time.Second))
	for i := range bs.buckets {
		b := &bs.buckets[i]
		if b.hour < oldest {
			continue
		}
		loaded, err := hourFor(tx, s, b.hour)
		if err != nil {
			return err
		}
		p.entries = append(p.entries, entry{series: at, hour: b.hour, bucket: &b.bucket, loaded: loaded})
	}
	return nil
}

// seriesFor is the series for a key, which is made if there is none. What is not in memory yet gets there when the transaction
// is durable.
func (m *Metrics) seriesFor(tx store.Tx, key string, now int64) (*series, error) {
	m.mu.RLock()
	s := m.series[key]
	m.mu.RUnlock()
	if s != nil && s.id != 0 {
		return s, nil
	}
	s, err := readSeries(tx, key)
	if err != nil || s.id != 0 {
		return s, err
	}
	id := parseKey(key)
	s.active, s.saved = now, now
	err = tx.QueryRow(`INSERT INTO metrics_series (id, hash, account, region, namespace, name, dimensions, active)
		VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM metrics_series), $1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		hash(key), id.account, id.region, id.namespace, id.name, []byte(id.dimensions), now).Scan(&s.id)
	return s, err
}

// hourFor reads an hour that is not in memory, or returns nil for one that is there or is new.
func hourFor(tx store.Tx, s *series, number int64) (*hour, error) {
	s.mu.Lock()
	known := number > s.last || s.at(number) != nil
	s.mu.Unlock()
	if known {
		return nil, nil
	}
	hours, err := readHours(tx, s.id, number, number)
	if err != nil {
		return nil, err
	}
	if len(hours) == 0 {
		return &hour{hour: number}, nil
	}
	return hours[0], nil
}
