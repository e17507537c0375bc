package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/store"
)

// Query asks for one statistic of one metric.
type Query struct {
	Namespace  string
	Name       string
	Dimensions []Dimension
	Unit       string // "" for all units together
	Stat       string // "Sum", "Average", "Minimum", "Maximum", "SampleCount", "p99.9", "TM(2%:98%)" …
	// The periods begin at Start; the last is the one that begins before End. All are in whole seconds.
	Period     time.Duration
	Start, End time.Time
}

// Point is a statistic of a period.
type Point struct {
	Time        time.Time // when the period begins
	Value       float64
	SampleCount float64 // how many values it is made of
}

// Statistics computes a statistic of each period that has data, oldest first. Periods begin at Start, wherever that is, so that
// an alarm can slide over five minutes by minutes. What was durable when it is called is in the answer.
//
// Percentiles and their like need the values: a period that a statistic set or a negative value is in has none.
func (m *Metrics) Statistics(ctx context.Context, account, region string, q Query) ([]Point, error) {
	stat, ok := parseStatistic(q.Stat)
	if !ok {
		return nil, fmt.Errorf("metrics: %q is not a statistic", q.Stat)
	}
	period := int64(q.Period / time.Second)
	if period < 1 {
		return nil, fmt.Errorf("metrics: a period of %v is less than a second", q.Period)
	}
	w, err := m.windows(ctx, account, region, &selection{
		namespace: q.Namespace, name: q.Name, dimensions: q.Dimensions, unit: types.StandardUnit(q.Unit),
		start: q.Start.Unix(), end: q.End.Unix(), period: period, values: stat.needsValues(),
	})
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	points := make([]Point, 0, len(w))
	for i := range w {
		if value, ok := stat.of(&w[i].totals); ok {
			points = append(points, Point{time.Unix(w[i].start, 0).UTC(), value, w[i].count})
		}
	}
	return points, nil
}

// selection is which points of which metric to gather, and how.
type selection struct {
	namespace, name string
	dimensions      []Dimension
	unit            types.StandardUnit // "" for all
	start, end      int64
	period          int64
	values          bool // also the values
	apart           bool // a window for each unit
}

// window is a period that has data.
type window struct {
	start int64
	unit  uint8 // when units are apart
	totals
}

// tries is how often a reader looks again when what it looks at was being taken out of memory.
const tries = 100

// windows gathers the windows that have data, in order.
func (m *Metrics) windows(ctx context.Context, account, region string, q *selection) ([]window, error) {
	unit, ok := unitNumbers[q.unit]
	if !ok || q.start >= q.end {
		return nil, nil
	}
	if err := m.upToDate(ctx); err != nil {
		return nil, err
	}
	var buffer [512]byte
	key := appendKey(buffer[:0], account, region, q.namespace, q.name, inOrder(q.dimensions))
	g := gathering{selection: q, unit: unit}
	for range tries {
		s, err := m.find(ctx, key)
		if err != nil || s.id == 0 {
			return nil, err
		}
		if done, err := m.gather(ctx, s, &g); done || err != nil {
			return g.windows, err
		}
	}
	return nil, errors.New("the metric is taken out of memory all the time")
}

// gather gathers a series' windows, from memory if it is all there. It is not done when the series changed under its hands.
func (m *Metrics) gather(ctx context.Context, s *series, g *gathering) (done bool, err error) {
	from, to := hourOf(g.start), hourOf(g.end-1)
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return false, nil
	}
	to = min(to, s.last)
	if s.has(from, to) {
		defer s.mu.Unlock()
		for n := from; n <= to; n++ {
			h := s.at(n)
			h.used = true
			g.add(h)
		}
		return true, nil
	}
	swept := s.swept
	s.mu.Unlock()

	var stored []*hour
	err = m.db.View(ctx, func(tx store.Tx) (err error) {
		stored, err = readHours(tx, s.id, from, to)
		return err
	})
	if err != nil {
		return false, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.swept != swept { // an hour may have changed and been taken out since it was read
		return false, nil
	}
	s.keep(stored, max(from, m.hourNow()-cacheHours), to)
	g.addAll(s, stored, from, to)
	return true, nil
}

// has says whether all hours from one to another are in memory. The caller has s.mu.
func (s *series) has(from, to int64) bool {
	if to-from > cacheHours {
		return false
	}
	for n := from; n <= to; n++ {
		if s.at(n) == nil {
			return false
		}
	}
	return true
}

// keep puts hours that were read into memory, and empty ones for those that are not there. The caller has s.mu.
func (s *series) keep(stored []*hour, from, to int64) {
	for n := from; n <= to; n++ {
		if s.at(n) != nil {
			continue
		}
		h := &hour{hour: n, used: true}
		for _, read := range stored {
			if read.hour == n {
				h = read
				h.used = true
			}
		}
		s.hours = append(s.hours, h)
	}
}

// gathering is a selection and what there is of it so far.
type gathering struct {
	*selection
	unit    uint8
	windows []window
}

// addAll adds hours in order: those in memory, which may be newer, and those that are only stored.
func (g *gathering) addAll(s *series, stored []*hour, from, to int64) {
	next := int64(math.MinInt64)
	for _, h := range stored {
		g.addMemory(s, max(from, next), h.hour-1)
		next = h.hour + 1
		if in := s.at(h.hour); in != nil {
			h = in
		}
		g.add(h)
	}
	g.addMemory(s, max(from, next), to)
}

// addMemory adds those of the hours from one to another that are in memory.
func (g *gathering) addMemory(s *series, from, to int64) {
	for next := from; next <= to; {
		var first *hour
		for _, h := range s.hours {
			if h.hour >= next && h.hour <= to && (first == nil || h.hour < first.hour) {
				first = h
			}
		}
		if first == nil {
			return
		}
		g.add(first)
		next = first.hour + 1
	}
}

func (g *gathering) add(h *hour) {
	begin := h.hour * perHour
	for i := range h.buckets {
		b := &h.buckets[i]
		at := begin + int64(b.second)
		if at < g.start || at >= g.end || g.selection.unit != "" && b.unit != g.unit {
			continue
		}
		if b.period >= perFiveMinutes && int64(b.period) > g.period { // minutes that have been merged cannot be told apart again
			continue
		}
		g.window(at-(at-g.start)%g.period, b.unit).add(b, g.values)
	}
}

// window is the window that begins at a time, which is the last one there is or comes after it.
func (g *gathering) window(start int64, unit uint8) *window {
	if !g.apart {
		unit = 0
	}
	for i := len(g.windows) - 1; i >= 0 && g.windows[i].start == start; i-- {
		if g.windows[i].unit == unit {
			return &g.windows[i]
		}
	}
	g.windows = append(g.windows, window{start: start, unit: unit})
	return &g.windows[len(g.windows)-1]
}
