package insights

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"vigil"
)

// Event is the start or the end of an insight.
type Event struct {
	EventID  string
	SharedID string // of both events of an insight
	Time     time.Time
	Details  Details
}

// Details are the event's insightDetails, in the order in which AWS writes them.
type Details struct {
	State       string  `json:"state"` // Start or End
	EventSource string  `json:"eventSource"`
	EventName   string  `json:"eventName"`
	InsightType Kind    `json:"insightType"`
	ErrorCode   string  `json:"errorCode,omitempty"` // of an insight of errors
	Context     Context `json:"insightContext"`
}

// Context is how unusual it is, and whose doing.
type Context struct {
	Statistics   Statistics    `json:"statistics"`
	Attributions []Attribution `json:"attributions,omitempty"`
}

// Statistics are rates a minute, and durations in minutes.
type Statistics struct {
	Baseline         Average `json:"baseline"`
	Insight          Average `json:"insight"`
	InsightDuration  int64   `json:"insightDuration"`
	BaselineDuration int64   `json:"baselineDuration"`
}

// Average is a rate a minute.
type Average struct {
	Average rate `json:"average"`
}

// Attribution is what values of an attribute had which rates.
type Attribution struct {
	Attribute string  `json:"attribute"`
	Insight   []Share `json:"insight"`
	Baseline  []Share `json:"baseline"`
}

// Share is the rate of a value.
type Share struct {
	Value   string `json:"value"`
	Average rate   `json:"average"`
}

// rate is written with ten decimal places at most.
type rate float64

func (r rate) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Round(float64(r)*1e10) / 1e10)
}

// event is the start or the end of a series' insight.
func (s *series) event(state string, minute int64) Event {
	i := s.Insight
	lasted := i.Last - i.First + 1
	d := Details{State: state, EventSource: s.Source, EventName: s.Name, InsightType: s.Kind, ErrorCode: s.Error}
	d.Context.Statistics = Statistics{
		Baseline: Average{rate(i.Baseline.Mean)}, Insight: Average{perMinute(i.Total.Count, lasted)},
		InsightDuration: lasted, BaselineDuration: i.Baseline.Minutes,
	}
	for a, name := range attributes {
		if len(i.Total.Values[a]) == 0 {
			continue
		}
		d.Context.Attributions = append(d.Context.Attributions, Attribution{Attribute: name,
			Insight: shares(i.Total.Values[a], lasted), Baseline: shares(i.Before.Values[a], i.Baseline.Minutes)})
	}
	return Event{EventID: uuid.NewString(), SharedID: i.ID, Time: time.Unix(minute*60, 0).UTC(), Details: d}
}

func perMinute(n int, minutes int64) rate { return rate(float64(n) / float64(minutes)) }

// shares are the values with the highest rates, from the highest on.
func shares(of map[string]int, minutes int64) []Share {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	list := []Share{}
	for _, name := range names[:min(len(names), shown)] {
		list = append(list, Share{name, perMinute(of[name], minutes)})
	}
	return list
}

// Record is the event as CloudTrail writes it.
func (e *Event) Record(account, region string) ([]byte, error) {
	return json.Marshal(struct {
		EventVersion       string  `json:"eventVersion"`
		EventTime          string  `json:"eventTime"`
		AWSRegion          string  `json:"awsRegion"`
		EventID            string  `json:"eventID"`
		EventType          string  `json:"eventType"`
		RecipientAccountID string  `json:"recipientAccountId"`
		SharedEventID      string  `json:"sharedEventID"`
		InsightDetails     Details `json:"insightDetails"`
		EventCategory      string  `json:"eventCategory"`
	}{vigil.RecordVersion, e.Time.Format(time.RFC3339), region, e.EventID, vigil.AwsCloudTrailInsight, account, e.SharedID, e.Details, vigil.CategoryInsight})
}
