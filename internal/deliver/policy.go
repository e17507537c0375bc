package deliver

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy says how often, and for how long, a delivery is attempted. The zero Policy is EventBridge's default. An attempt that fails
// by the network, by its timeout, or with a status of 500 or more is made again; after any other status than those and those of
// RetryOn the delivery is given up.
type Policy struct {
	MaxAttempts int           // all of them; 0 for 186: the first and 185 retries
	MaxAge      time.Duration // of the delivery, after which it is not attempted; 0 for 24 h

	// Base and Cap make the delays when there is no Schedule: before the n-th retry a delay between nothing and Base * 2^(n-1),
	// which is at most Cap. This is exponential backoff with full jitter. 0 for 1 s and 15 min.
	Base, Cap time.Duration
	// Schedule is the delays before each retry, which are made up to a tenth longer: never shorter, as they are what
	// an endpoint was promised. There are no more retries than it has delays.
	Schedule []time.Duration

	RetryOn    []int // statuses below 500 after which it is attempted again, such as 429
	RetryAfter bool  // honour a Retry-After that is longer than the delay; a negative one gives the delivery up
}

func (p Policy) withDefaults() Policy {
	if p.MaxAttempts <= 0 {
		p.MaxAttempts = 186
	}
	if p.Schedule != nil {
		p.MaxAttempts = min(p.MaxAttempts, len(p.Schedule)+1)
	}
	if p.MaxAge <= 0 {
		p.MaxAge = 24 * time.Hour
	}
	if p.Base <= 0 {
		p.Base = time.Second
	}
	if p.Cap <= 0 {
		p.Cap = 15 * time.Minute
	}
	return p
}

// delay is how long to wait before a retry, the first of which is number 1. random is at least 0 and less than 1.
func (p Policy) delay(retry int, random float64) time.Duration {
	if p.Schedule != nil {
		d := p.Schedule[min(retry, len(p.Schedule))-1]
		return d + time.Duration(float64(d)/10*random)
	}
	ceiling := p.Base
	for i := 1; i < retry && ceiling < p.Cap; i++ {
		ceiling *= 2
	}
	return time.Duration(float64(min(ceiling, p.Cap)) * random)
}

// retries reports whether a delivery is attempted again after a status.
func (p Policy) retries(status int) bool {
	return status >= http.StatusInternalServerError || slices.Contains(p.RetryOn, status)
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or a date. What is neither is 0.
func retryAfter(value string, now time.Time) time.Duration {
	const most = 365 * 24 * 3600
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(max(-1, min(seconds, most))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(at.Sub(now), most*time.Second))
	}
	return 0
}
