package wire

import (
	"math"
	"strconv"
	"time"
)

// How a model says that a timestamp is written. Without a word, JSON has seconds since 1970 and query and XML have ISO 8601.
// CBOR always has seconds since 1970.
const (
	unixTimestamp = "unixTimestamp"
	iso8601       = "iso8601"
)

// Timestamps on the wire are of the years 1 to 9999, and exact to the millisecond.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

// parseTimestamp reads seconds since 1970, or an ISO 8601 time when the form is that.
func parseTimestamp(text []byte, form string) (time.Time, bool) {
	if form == iso8601 {
		t, err := time.Parse(time.RFC3339, string(text))
		if err != nil || t.Unix() < firstSecond || t.Unix() > lastSecond {
			return time.Time{}, false
		}
		return time.UnixMilli(t.UnixMilli()).UTC(), true
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return time.Time{}, false
	}
	return timeAt(seconds)
}

// timeAt is the time that is so many seconds after 1970.
func timeAt(seconds float64) (time.Time, bool) {
	if !(seconds >= firstSecond && seconds <= lastSecond) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), true
}

// appendUnix writes seconds since 1970 with as many decimals as the milliseconds need: 1747806465.123.
func appendUnix(dst []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		dst = append(dst, '-')
		ms = -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	if ms %= 1000; ms == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendISO8601 writes 2025-05-21T05:47:45Z, with milliseconds when there are any.
func appendISO8601(dst []byte, t time.Time) []byte {
	layout := "2006-01-02T15:04:05Z"
	if t.UnixMilli()%1000 != 0 {
		layout = "2006-01-02T15:04:05.000Z"
	}
	return t.UTC().AppendFormat(dst, layout)
}

// appendRecordTime writes May 21, 2025, 5:47:45 AM, as CloudTrail shows a time within a record.
func appendRecordTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "Jan 2, 2006, 3:04:05 PM")
}
