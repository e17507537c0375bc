package logs

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigil/internal/query"
	"vigil/internal/store"
)

// measurer is a metric's value: a number, or where in the event it stands.
type measurer struct {
	number   float64
	selector *query.Selector
}

func newMeasurer(f *query.Filter, text string) (measurer, error) {
	if strings.HasPrefix(text, "$") {
		selector, err := f.Selector(text)
		if err != nil {
			return measurer{}, invalid("Invalid metric transformation: the metric value %s is not a field of the filter pattern's events.", text)
		}
		return measurer{selector: selector}, nil
	}
	number, ok := finite(text)
	if !ok {
		return measurer{}, invalid("Invalid metric transformation: the metric value must be a number or a field of the filter pattern's events.")
	}
	return measurer{number: number}, nil
}

// of is the value in an event that matches. There is none where the event's field is not a number.
func (m measurer) of(message []byte) (float64, bool) {
	if m.selector == nil {
		return m.number, true
	}
	text, ok := m.selector.Text(message)
	if !ok {
		return 0, false
	}
	return finite(text)
}

func finite(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || strings.ContainsAny(text, "_xXpP") { // Go's own ways to write a number
		return 0, false
	}
	return n, true
}

// dimension takes a metric's dimension from events.
type dimension struct {
	name     string
	selector *query.Selector
}

func newDimensions(f *query.Filter, selectors map[string]string) (dimensions []dimension, err error) {
	for _, name := range slices.Sorted(maps.Keys(selectors)) {
		selector, err := f.Selector(selectors[name])
		if err != nil {
			return nil, invalid("Invalid metric transformation: the dimension value %s is not a field of the filter pattern's events.", selectors[name])
		}
		dimensions = append(dimensions, dimension{name, selector})
	}
	return dimensions, nil
}

// maxDimensionValue is the most characters of a dimension's value in CloudWatch.
const maxDimensionValue = 1024

// of are the dimensions of an event that matches. An event that lacks one, or has it in a form that no metric can have, is not
// measured: its value would belong to another metric.
func dimensionsOf(dimensions []dimension, message []byte) ([]Dimension, bool) {
	if len(dimensions) == 0 {
		return nil, true
	}
	values := make([]Dimension, len(dimensions))
	for i, d := range dimensions {
		text, ok := d.selector.Text(message)
		if !ok || strings.TrimSpace(text) == "" || len(text) > maxDimensionValue {
			return nil, false
		}
		values[i] = Dimension{d.name, text}
	}
	return values, true
}

// measure has each event go through each of the group's metric filters, once, in the transaction that has the events. A value has the
// time of its event.
func (l *Logs) measure(tx store.Tx, g *group, events []Event, now int64) error {
	if len(g.filters) == 0 || l.putMetrics == nil {
		return nil
	}
	var data []Datum
	for _, f := range g.filters {
		matched := false
		for _, e := range events {
			if !f.filter.Match(e.Message) {
				continue
			}
			matched = true
			value, ok := f.value.of(e.Message)
			dimensions, whole := dimensionsOf(f.dimensions, e.Message)
			if ok && whole {
				data = append(data, f.datum(value, dimensions, e.Time))
			}
		}
		if f.transformation.DefaultValue != nil {
			if err := noteMinute(tx, g, f, now, matched); err != nil {
				return err
			}
		}
	}
	if len(data) == 0 {
		return nil
	}
	return l.putMetrics(tx, g.Account, g.Region, data)
}

func (f *metricFilter) datum(value float64, dimensions []Dimension, at time.Time) Datum {
	t := f.transformation
	unit := string(t.Unit)
	if unit == "" {
		unit = "None"
	}
	return Datum{Namespace: *t.MetricNamespace, Name: *t.MetricName, Dimensions: dimensions, Value: value, Unit: unit, Time: at}
}

// The default value of a filter is published for a minute in which events came in of which none matched, when the minute is over. So
// the database notes the minutes in which events came in.

const minute = int64(60_000) // ms

func noteMinute(tx store.Tx, g *group, f *metricFilter, now int64, matched bool) error {
	statement := `INSERT INTO logs_minute (minute, group_id, filter_id, matched) VALUES ($1, $2, $3, 0) ON CONFLICT (minute, group_id, filter_id) DO NOTHING`
	if matched {
		statement = `INSERT INTO logs_minute (minute, group_id, filter_id, matched) VALUES ($1, $2, $3, 1) ON CONFLICT (minute, group_id, filter_id) DO UPDATE SET matched = 1`
	}
	_, err := tx.Exec(statement, now-now%minute, g.id, f.id)
	return err
}

// endMinutes publishes the default values of the minutes that are over.
func (l *Logs) endMinutes(tx store.Tx, now int64) error {
	type note struct{ minute, group, filter, matched int64 }
	notes, err := store.List(tx, func(row store.Scanner) (n note, err error) {
		err = row.Scan(&n.minute, &n.group, &n.filter, &n.matched)
		return n, err
	}, `SELECT minute, group_id, filter_id, matched FROM logs_minute WHERE minute < $1 ORDER BY minute`, now-now%minute)
	if err != nil || len(notes) == 0 {
		return err
	}
	for _, n := range notes {
		if n.matched == 1 {
			continue
		}
		g, f := l.filterOf(n.group, n.filter)
		if f == nil { // changed or deleted since
			continue
		}
		datum := f.datum(*f.transformation.DefaultValue, nil, time.UnixMilli(n.minute).UTC())
		if err := l.putMetrics(tx, g.Account, g.Region, []Datum{datum}); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`DELETE FROM logs_minute WHERE minute < $1`, now-now%minute)
	return err
}

// filterOf finds a filter as it was when an event came in.
func (l *Logs) filterOf(groupID, filterID int64) (*group, *metricFilter) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	g := l.byID[groupID]
	if g == nil {
		return nil, nil
	}
	for _, f := range g.filters {
		if f.id == filterID {
			return g, f
		}
	}
	return nil, nil
}
