package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// A delivery policy says how often a message is sent again to an HTTP endpoint that has failed, and after which delays (SNS
// developer guide, "Creating an HTTP/S delivery policy"). A retry comes in one of four phases: without a delay, after the least delay,
// after delays that grow from the least to the greatest, after the greatest.

// healthyPolicy is the policy of retries. Delays are in seconds.
type healthyPolicy struct {
	MinDelayTarget     int    `json:"minDelayTarget"`
	MaxDelayTarget     int    `json:"maxDelayTarget"`
	NumRetries         int    `json:"numRetries"`
	NumMaxDelayRetries int    `json:"numMaxDelayRetries"`
	NumNoDelayRetries  int    `json:"numNoDelayRetries"`
	NumMinDelayRetries int    `json:"numMinDelayRetries"`
	BackoffFunction    string `json:"backoffFunction"`
}

type requestPolicy struct {
	HeaderContentType string `json:"headerContentType"`
}

// topicPolicy is the value of a topic's DeliveryPolicy.
type topicPolicy struct {
	HTTP struct {
		DefaultHealthyRetryPolicy    healthyPolicy    `json:"defaultHealthyRetryPolicy"`
		DisableSubscriptionOverrides bool             `json:"disableSubscriptionOverrides"`
		DefaultThrottlePolicy        *json.RawMessage `json:"defaultThrottlePolicy,omitempty"`
		DefaultRequestPolicy         requestPolicy    `json:"defaultRequestPolicy"`
	} `json:"http"`
}

// subscriptionPolicy is the value of a subscription's DeliveryPolicy. What it does not have is the topic's.
type subscriptionPolicy struct {
	HealthyRetryPolicy *healthyPolicy   `json:"healthyRetryPolicy,omitempty"`
	ThrottlePolicy     *json.RawMessage `json:"throttlePolicy,omitempty"`
	RequestPolicy      *requestPolicy   `json:"requestPolicy,omitempty"`
}

func defaultHealthy() healthyPolicy {
	return healthyPolicy{MinDelayTarget: 20, MaxDelayTarget: 20, NumRetries: 3, BackoffFunction: "linear"}
}

// mailSchedule is how SNS tries a mail again: for six hours.
var mailSchedule = (&healthyPolicy{
	MinDelayTarget: 10, MaxDelayTarget: 600, NumRetries: 50, NumMinDelayRetries: 2, NumMaxDelayRetries: 38, BackoffFunction: "exponential",
}).schedule()

const defaultContentType = "text/plain; charset=UTF-8"

func parseTopicPolicy(value string) (topicPolicy, error) {
	var p topicPolicy
	p.HTTP.DefaultHealthyRetryPolicy = defaultHealthy()
	p.HTTP.DefaultRequestPolicy.HeaderContentType = defaultContentType
	if value == "" {
		return p, nil
	}
	if err := decodePolicy(value, &p); err != nil {
		return p, err
	}
	if set(p.HTTP.DefaultThrottlePolicy) {
		return p, errThrottle
	}
	if err := p.HTTP.DefaultRequestPolicy.check(); err != nil {
		return p, err
	}
	return p, p.HTTP.DefaultHealthyRetryPolicy.check()
}

func parseSubscriptionPolicy(value string) (subscriptionPolicy, error) {
	var p subscriptionPolicy
	if value == "" {
		return p, nil
	}
	var has struct {
		HealthyRetryPolicy *json.RawMessage `json:"healthyRetryPolicy"`
	}
	if err := json.Unmarshal([]byte(value), &has); err == nil && has.HealthyRetryPolicy != nil {
		p.HealthyRetryPolicy = new(defaultHealthy()) // for what it does not say
	}
	if err := decodePolicy(value, &p); err != nil {
		return p, err
	}
	if set(p.ThrottlePolicy) {
		return p, errThrottle
	}
	if p.RequestPolicy != nil {
		if err := p.RequestPolicy.check(); err != nil {
			return p, err
		}
	}
	if p.HealthyRetryPolicy != nil {
		return p, p.HealthyRetryPolicy.check()
	}
	return p, nil
}

var errThrottle = errors.New("a throttle policy is not supported by this version of Vigil")

func set(raw *json.RawMessage) bool { return raw != nil && string(*raw) != "null" }

func decodePolicy(value string, into any) error {
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || d.More() {
		return errors.New("failed to parse JSON")
	}
	return nil
}

// check holds a policy to its documented ranges.
func (p *healthyPolicy) check() error {
	for _, r := range []struct {
		name            string
		value, min, max int
	}{
		{"maxDelayTarget", p.MaxDelayTarget, 1, 3600},
		{"minDelayTarget", p.MinDelayTarget, 1, p.MaxDelayTarget},
		{"numRetries", p.NumRetries, 0, 100},
		{"numNoDelayRetries", p.NumNoDelayRetries, 0, p.NumRetries},
		{"numMinDelayRetries", p.NumMinDelayRetries, 0, p.NumRetries},
		{"numMaxDelayRetries", p.NumMaxDelayRetries, 0, p.NumRetries},
	} {
		if r.value < r.min || r.value > r.max {
			return fmt.Errorf("%s must be between %d and %d", r.name, r.min, r.max)
		}
	}
	if p.NumNoDelayRetries+p.NumMinDelayRetries+p.NumMaxDelayRetries > p.NumRetries {
		return errors.New("numRetries must be at least the sum of the retries of all phases")
	}
	switch p.BackoffFunction {
	case "linear", "arithmetic", "geometric", "exponential":
	default:
		return errors.New("backoffFunction must be linear, arithmetic, geometric or exponential")
	}
	total := time.Duration(0)
	for _, d := range p.schedule() {
		total += d
	}
	if total > time.Hour {
		return errors.New("the delays of all retries must not be more than 3600 seconds")
	}
	return nil
}

func (p *requestPolicy) check() error {
	if p.HeaderContentType == "" {
		p.HeaderContentType = defaultContentType
	}
	if len(p.HeaderContentType) > 256 || strings.ContainsFunc(p.HeaderContentType, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("headerContentType is not a content type")
	}
	return nil
}

// schedule is the delay before each retry. SNS documents how its backoff functions look and not what they are: linear grows evenly,
// arithmetic with the square, geometric by a constant factor, and exponential doubles what it is above the least delay.
func (p *healthyPolicy) schedule() []time.Duration {
	delays := make([]time.Duration, p.NumRetries)
	least, most := float64(p.MinDelayTarget), float64(p.MaxDelayTarget)
	growing := p.NumRetries - p.NumNoDelayRetries - p.NumMinDelayRetries - p.NumMaxDelayRetries
	for i := range delays {
		phase := i - p.NumNoDelayRetries
		seconds := 0.0
		switch {
		case phase < 0:
		case phase < p.NumMinDelayRetries:
			seconds = least
		case phase < p.NumMinDelayRetries+growing:
			seconds = p.grown(phase-p.NumMinDelayRetries, growing, least, most)
		default:
			seconds = most
		}
		delays[i] = time.Duration(seconds * float64(time.Second))
	}
	return delays
}

// grown is the i-th of n delays that grow from least to most.
func (p *healthyPolicy) grown(i, n int, least, most float64) float64 {
	part := 1.0
	if n > 1 {
		part = float64(i) / float64(n-1)
	}
	switch p.BackoffFunction {
	case "arithmetic":
		part *= part
	case "geometric":
		return least * math.Pow(most/least, part)
	case "exponential":
		if n > 1 {
			part = (math.Exp2(float64(i)) - 1) / (math.Exp2(float64(n-1)) - 1)
		}
	}
	return least + (most-least)*part
}

// effective is the policy of a subscription, with what is its topic's or the default one.
func effective(t *topic, s *subscription) (healthyPolicy, requestPolicy) {
	base, err := parseTopicPolicy(t.attributes["DeliveryPolicy"])
	if err != nil { // it was checked when it was set
		base, _ = parseTopicPolicy("")
	}
	healthy, request := base.HTTP.DefaultHealthyRetryPolicy, base.HTTP.DefaultRequestPolicy
	own, err := parseSubscriptionPolicy(s.attributes["DeliveryPolicy"])
	if err != nil || base.HTTP.DisableSubscriptionOverrides {
		return healthy, request
	}
	if own.HealthyRetryPolicy != nil {
		healthy = *own.HealthyRetryPolicy
	}
	if own.RequestPolicy != nil {
		request = *own.RequestPolicy
	}
	return healthy, request
}

func effectiveTopicPolicy(value string) string {
	p, err := parseTopicPolicy(value)
	if err != nil {
		p, _ = parseTopicPolicy("")
	}
	data, _ := json.Marshal(p)
	return string(data)
}

func effectiveSubscriptionPolicy(t *topic, s *subscription) string {
	healthy, request := effective(t, s)
	data, _ := json.Marshal(subscriptionPolicy{HealthyRetryPolicy: &healthy, RequestPolicy: &request})
	return string(data)
}
