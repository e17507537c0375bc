package events

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"vigil/internal/pattern"
)

var errNoInput = errors.New("events: InputPath leads nowhere in the event")

// input is what a target is given of an event.
func (t *target) input(event []byte, d pattern.Delivery) ([]byte, error) {
	switch {
	case t.given.Input != nil:
		return []byte(*t.given.Input), nil
	case t.transformer != nil:
		return t.transformer.Transform(event, d)
	case t.given.InputPath != nil:
		if t.path != nil {
			if part, ok := t.path.Select(event); ok {
				return part, nil
			}
		}
		return nil, errNoInput
	}
	return event, nil
}

// groupOf is log-group:NAME, without the :* that the ARN of a log group may end with.
func groupOf(resource string) string { return strings.TrimSuffix(resource, ":*") }

// logEvent is the time and message of what a log group gets: the event's time and the input, unless an InputTransformer makes
// the input an object of a timestamp, in milliseconds, and a message.
func logEvent(t *target, event, input []byte, now time.Time) (time.Time, []byte) {
	if t.transformer != nil {
		var made struct {
			Timestamp *int64  `json:"timestamp"`
			Message   *string `json:"message"`
		}
		if json.Unmarshal(input, &made) == nil && made.Timestamp != nil && made.Message != nil {
			return time.UnixMilli(*made.Timestamp), []byte(*made.Message)
		}
	}
	if text, ok := pattern.Select("$.time", event); ok && len(text) > 2 {
		if at, err := time.Parse(time.RFC3339, string(text[1:len(text)-1])); err == nil {
			return at, input
		}
	}
	return now, input
}
