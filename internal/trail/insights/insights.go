// Package insights finds unusual rates of calls and of errors in an account's events of a region: CloudTrail Insights.
//
// A series is the calls of one operation, if it changes something, or the calls of one operation that fail with one error code. Of each
// series a model knows how many there were in each minute of the last seven days, as mean and deviation: its baseline. A minute is
// unusual when it has at least ten, and more than the mean and six deviations, where a deviation is at least the mean's square root, as
// it is of calls that have nothing to do with each other. AWS does not publish its own threshold. The first unusual minute starts an
// insight, which ends with the first minute that is usual again by the baseline that it started with, or after a day, when the new rate is the usual one. A
// model says nothing in its first 24 hours.
//
// The events have the form that the CloudTrail user guide describes under "CloudTrail record contents for Insights events".
package insights

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"vigil"
)

// Kind is a type of insight.
type Kind string

const (
	CallRate  Kind = "ApiCallRateInsight"
	ErrorRate Kind = "ApiErrorRateInsight"
)

// All times are in minutes, and those of events in minutes since 1970.
const (
	learning = 24 * 60     // for how long a model says nothing
	window   = 7 * 24 * 60 // how far back a baseline goes
	tooLate  = 15          // for an event to be counted still; imported ones are of another time
	longest  = 24 * 60     // for how long an insight lasts at most
	hour     = 60          // a baseline's grain
	day      = 24 * 60     // the grain of what is known of attributes
	fewest   = 10          // calls that an unusual minute has at least
	unusual  = 6           // deviations from the mean
	values   = 50          // of an attribute, that are kept of a day; others are counted as one
	shown    = 5           // of an attribute, that an event shows
	others   = "(others)"  // what they are counted as
	noErrors = "null"      // how AWS writes that there was no error
)

// attributes are what an insight is attributed to.
var attributes = [...]string{"userIdentityArn", "userAgent", "errorCode"}

// Model is what is known of one account's events in one region. It is kept as JSON. It belongs to one goroutine.
type Model struct {
	Began  int64 // the first minute that it knows
	Closed int64 // the minutes before it are judged
	Series map[string]*series
	Open   map[int64]map[string]*tally // the minutes that are not judged yet
}

// tally is what there was of a series in some time.
type tally struct {
	Count  int
	Values [len(attributes)]map[string]int
}

// series is what is known of one.
type series struct {
	Kind                Kind
	Source, Name, Error string
	Hours               map[int64]*moments // by the hour's first minute
	Days                map[int64]*tally   // by the day's first minute; without Count
	Insight             *insight           `json:",omitempty"` // that goes on
}

// moments are the sums of counts of minutes and of their squares.
type moments struct{ Sum, Squares float64 }

type insight struct {
	ID          string
	First, Last int64 // unusual minutes
	Baseline    baseline
	Total       tally
	Before      tally // of the baseline's time
}

type baseline struct {
	Mean, Deviation float64
	Minutes         int64
}

// New is a model that begins to learn in a minute.
func New(minute int64) *Model {
	return &Model{Began: minute, Closed: minute, Series: map[string]*series{}, Open: map[int64]map[string]*tally{}}
}

// Add counts an event. What is not a management event of a call is passed over.
func (m *Model) Add(o *vigil.Outline) {
	if len(o.Category) > 0 && string(o.Category) != vigil.CategoryManagement || string(o.EventType) != vigil.AwsAPICall {
		return
	}
	minute := max(o.Second/60, m.Closed) // one that is late is as if it came now
	if minute-o.Second/60 > tooLate {
		return
	}
	if !o.ReadOnly {
		m.count(minute, o, CallRate)
	}
	if len(o.ErrorCode) > 0 {
		m.count(minute, o, ErrorRate)
	}
}

func (m *Model) count(minute int64, o *vigil.Outline, kind Kind) {
	failure := ""
	if kind == ErrorRate {
		failure = string(o.ErrorCode)
	}
	key := strings.Join([]string{string(kind), string(o.EventSource), string(o.EventName), failure}, " ")
	if m.Series[key] == nil {
		m.Series[key] = &series{Kind: kind, Source: string(o.EventSource), Name: string(o.EventName), Error: failure,
			Hours: map[int64]*moments{}, Days: map[int64]*tally{}}
	}
	of := m.Open[minute]
	if of == nil {
		of = map[string]*tally{}
		m.Open[minute] = of
	}
	if of[key] == nil {
		of[key] = new(tally)
	}
	t := of[key]
	t.Count++
	t.add(0, string(o.CallerARN), 1)
	t.add(1, string(o.UserAgent), 1)
	if kind == CallRate {
		t.add(2, cmp.Or(string(o.ErrorCode), noErrors), 1)
	}
}

// add counts a value of an attribute, of which so many are kept.
func (t *tally) add(attribute int, value string, n int) {
	if value == "" {
		return
	}
	if t.Values[attribute] == nil {
		t.Values[attribute] = map[string]int{}
	}
	of := t.Values[attribute]
	if _, known := of[value]; !known && len(of) >= values {
		value = others
	}
	of[value] += n
}

func (t *tally) addAll(other *tally) {
	t.Count += other.Count
	for a, of := range other.Values {
		for _, value := range slices.Sorted(maps.Keys(of)) {
			t.add(a, value, of[value])
		}
	}
}

// Close judges the minutes before a minute, each once and in order, and returns what starts and ends in them.
func (m *Model) Close(before int64) (events []Event) {
	for m.Closed < before {
		if !m.anyInsight() && m.Open[m.Closed] == nil { // nothing happens until the next minute that has something
			next := before
			for minute := range m.Open {
				next = min(next, minute)
			}
			if m.Closed = next; next == before {
				break
			}
		}
		events = append(events, m.judge(m.Closed)...)
		delete(m.Open, m.Closed)
		m.Closed++
	}
	m.forget()
	return events
}

func (m *Model) anyInsight() bool {
	for _, s := range m.Series {
		if s.Insight != nil {
			return true
		}
	}
	return false
}

// judge looks at a minute that is over.
func (m *Model) judge(minute int64) (events []Event) {
	tallies := m.Open[minute]
	for _, key := range slices.Sorted(maps.Keys(m.Series)) {
		s, t := m.Series[key], tallies[key]
		if t == nil {
			t = new(tally)
		}
		if s.Insight != nil {
			if !s.Insight.Baseline.isUnusual(t.Count) || minute-s.Insight.First >= longest {
				events = append(events, s.event("End", minute))
				s.Insight = nil
			} else {
				s.Insight.Last = minute
				s.Insight.Total.addAll(t)
			}
		} else if t.Count >= fewest && minute-m.Began >= learning {
			if b := s.baseline(m.Began, minute); b.isUnusual(t.Count) {
				s.Insight = &insight{ID: uuid.NewString(), First: minute, Last: minute, Baseline: b, Before: s.before(minute)}
				s.Insight.Total.addAll(t)
				events = append(events, s.event("Start", minute))
			}
		}
		s.learn(minute, t)
	}
	return events
}

// learn makes a minute part of the baseline.
func (s *series) learn(minute int64, t *tally) {
	if t.Count == 0 {
		return
	}
	h := minute - minute%hour
	if s.Hours[h] == nil {
		s.Hours[h] = new(moments)
	}
	s.Hours[h].Sum += float64(t.Count)
	s.Hours[h].Squares += float64(t.Count) * float64(t.Count)
	d := minute - minute%day
	if s.Days[d] == nil {
		s.Days[d] = new(tally)
	}
	s.Days[d].addAll(t)
}

// baseline is what a minute is held against.
func (s *series) baseline(began, minute int64) baseline {
	n := min(minute-began, window)
	var sum moments
	for h, of := range s.Hours {
		if h >= minute-n-hour && h < minute {
			sum.Sum += of.Sum
			sum.Squares += of.Squares
		}
	}
	mean := sum.Sum / float64(n)
	variance := max(0, sum.Squares/float64(n)-mean*mean)
	return baseline{Mean: mean, Deviation: math.Sqrt(max(variance, mean)), Minutes: n}
}

func (b baseline) isUnusual(count int) bool {
	return count >= fewest && float64(count) > b.Mean+unusual*b.Deviation
}

// before is what is known of the attributes in the time of a baseline.
func (s *series) before(minute int64) (all tally) {
	for _, d := range slices.Sorted(maps.Keys(s.Days)) {
		if d > minute-window-day {
			all.addAll(s.Days[d])
		}
	}
	return all
}

// forget drops what no baseline goes back to any more.
func (m *Model) forget() {
	for key, s := range m.Series {
		maps.DeleteFunc(s.Hours, func(h int64, _ *moments) bool { return h < m.Closed-window-hour })
		maps.DeleteFunc(s.Days, func(d int64, _ *tally) bool { return d < m.Closed-window-day })
		waits := false
		for _, tallies := range m.Open {
			waits = waits || tallies[key] != nil
		}
		if len(s.Hours) == 0 && s.Insight == nil && !waits {
			delete(m.Series, key)
		}
	}
}
