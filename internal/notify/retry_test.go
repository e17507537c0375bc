package notify

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestSchedules(t *testing.T) {
	for _, c := range []struct{ policy, want string }{
		{`{}`, "[20s 20s 20s]"},
		{`{"numRetries":0}`, "[]"},
		{`{"numRetries":6,"numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":1,"minDelayTarget":1,"maxDelayTarget":9}`, "[0s 1s 1s 5s 9s 9s]"},
		{`{"numRetries":3,"minDelayTarget":1,"maxDelayTarget":9,"backoffFunction":"arithmetic"}`, "[1s 3s 9s]"},
		{`{"numRetries":3,"minDelayTarget":1,"maxDelayTarget":9,"backoffFunction":"geometric"}`, "[1s 3s 9s]"},
		{`{"numRetries":4,"minDelayTarget":1,"maxDelayTarget":8,"backoffFunction":"exponential"}`, "[1s 2s 4s 8s]"},
		{`{"numRetries":3,"minDelayTarget":20,"maxDelayTarget":10}`, "minDelayTarget must be between 1 and 10"},
		{`{"numRetries":3,"numNoDelayRetries":2,"numMaxDelayRetries":2}`, "numRetries must be at least the sum of the retries of all phases"},
		{`{"numRetries":100,"minDelayTarget":60,"maxDelayTarget":60}`, "the delays of all retries must not be more than 3600 seconds"},
		{`{"backoffFunction":"loud"}`, "backoffFunction must be linear, arithmetic, geometric or exponential"},
		{`{"colour":"red"}`, "failed to parse JSON"},
	} {
		p, err := parseSubscriptionPolicy(`{"healthyRetryPolicy":` + c.policy + `}`)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(p.HealthyRetryPolicy.schedule())
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.policy, got, c.want)
		}
	}
	if _, err := parseSubscriptionPolicy(`{"throttlePolicy":{"maxReceivesPerSecond":1}}`); err != errThrottle {
		t.Error(err)
	}
	var total time.Duration
	for _, d := range mailSchedule {
		total += d
	}
	if len(mailSchedule) != 50 || total < 6*time.Hour || total > 7*time.Hour {
		t.Errorf("mail: %d retries in %s", len(mailSchedule), total)
	}
}

// Whatever a policy says, it is refused or it is a schedule within the documented bounds.
func FuzzDeliveryPolicy(f *testing.F) {
	f.Add(`{"healthyRetryPolicy":{"numRetries":6,"minDelayTarget":1,"maxDelayTarget":9,"backoffFunction":"exponential"}}`)
	f.Add(`{"http":{"defaultHealthyRetryPolicy":{"numRetries":100,"numNoDelayRetries":100},"disableSubscriptionOverrides":true}}`)
	f.Add(`{"requestPolicy":{"headerContentType":"a"},"healthyRetryPolicy":null}`)
	f.Fuzz(func(t *testing.T, value string) {
		var schedules [][]time.Duration
		if p, err := parseTopicPolicy(value); err == nil {
			schedules = append(schedules, p.HTTP.DefaultHealthyRetryPolicy.schedule())
		}
		if p, err := parseSubscriptionPolicy(value); err == nil && p.HealthyRetryPolicy != nil {
			schedules = append(schedules, p.HealthyRetryPolicy.schedule())
		}
		for _, s := range schedules {
			var total time.Duration
			for _, d := range s {
				if d < 0 || d > time.Hour {
					t.Errorf("a delay of %s", d)
				}
				total += d
			}
			if len(s) > 100 || total > time.Hour {
				t.Errorf("%d retries in %s", len(s), total)
			}
		}
		if !json.Valid([]byte(effectiveTopicPolicy(value))) {
			t.Error("the effective policy is not JSON")
		}
	})
}

// A message of the structure json is refused, or has a text for everybody.
func FuzzMessageStructure(f *testing.F) {
	f.Add(`{"default":"a","http":"b"}`)
	f.Add(`{"default":null}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, message string) {
		texts, err := textsOf(message, new("json"))
		if _, ok := texts["default"]; ok != (err == nil) {
			t.Errorf("%v, %v", texts, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(*token("topic", "id"))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if parts, err := position(&s, 2); err == nil && len(parts) != 2 {
			t.Errorf("%q", parts)
		}
	})
}
