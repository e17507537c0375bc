package presto

import (
	"strings"
	"time"
)

const dayMillis = 24 * 3600 * 1000

// dateParts are the functions that are a part of a time, and which.
var dateParts = map[string]string{"year": "year", "quarter": "quarter", "month": "month", "week": "week", "week_of_year": "week", "day": "day", "day_of_month": "day",
	"day_of_week": "dow", "dow": "dow", "day_of_year": "doy", "doy": "doy", "year_of_week": "yow", "yow": "yow", "hour": "hour", "minute": "minute",
	"second": "second", "millisecond": "millisecond"}

var timeForms = []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02 15:04:05.999", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.999Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05 UTC",
	"2006-01-02 15:04:05.999 UTC"}

// parseTime reads a time as texts write it, in UTC unless it says otherwise.
func parseTime(s string) (ms int64, ok bool) {
	s = strings.TrimSpace(s)
	for _, form := range timeForms {
		if t, err := time.Parse(form, s); err == nil {
			return t.UnixMilli(), true
		}
	}
	return 0, false
}

func mod(a, b int64) int64 { return (a%b + b) % b }

func timestampFn(args []any) (any, error) {
	ms, ok := parseTime(args[0].(string))
	if !ok {
		return nil, fails("Invalid format: %s", args[0])
	}
	return ms, nil
}

func partFn(args []any) (any, error) {
	t := time.UnixMilli(args[1].(int64)).UTC()
	n := 0
	switch args[0].(string) {
	case "year":
		n = t.Year()
	case "quarter":
		n = (int(t.Month())-1)/3 + 1
	case "month":
		n = int(t.Month())
	case "week":
		_, n = t.ISOWeek()
	case "yow":
		n, _ = t.ISOWeek()
	case "day":
		n = t.Day()
	case "dow":
		n = (int(t.Weekday())+6)%7 + 1
	case "doy":
		n = t.YearDay()
	case "hour":
		n = t.Hour()
	case "minute":
		n = t.Minute()
	case "second":
		n = t.Second()
	case "millisecond":
		n = t.Nanosecond() / 1e6
	}
	return int64(n), nil
}

var unitSizes = map[string]int64{"millisecond": 1, "second": 1000, "minute": 60 * 1000, "hour": 3600 * 1000, "day": dayMillis, "week": 7 * dayMillis}
var unitMonths = map[string]int64{"month": 1, "quarter": 3, "year": 12}

func isUnit(s string) bool { return unitSizes[s] > 0 || unitMonths[s] > 0 }

// maxTime bounds times, so that they can be reckoned with: the year 100000, as far ahead and back.
const maxTime = 100_000 * 366 * dayMillis

var errTime = fails("the time is out of range")

func addMillis(ms, n, size int64) (any, error) {
	if n > maxTime/size || n < -maxTime/size || ms > maxTime || ms < -maxTime {
		return nil, errTime
	}
	return ms + n*size, nil
}

// addMonths keeps the day, or takes the last that the month has.
func addMonths(ms, n int64) (any, error) {
	if n > 1_200_000 || n < -1_200_000 || ms > maxTime || ms < -maxTime {
		return nil, errTime
	}
	t := time.UnixMilli(ms).UTC()
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, int(n), 0)
	last := first.AddDate(0, 1, -1).Day()
	day := first.AddDate(0, 0, min(t.Day(), last)-1)
	return day.UnixMilli() + mod(ms, dayMillis), nil
}

func dateAddFn(args []any) (any, error) {
	unit, n, ms := args[0].(string), args[1].(int64), args[2].(int64)
	if months := unitMonths[unit]; months > 0 {
		if n > maxTime || n < -maxTime {
			return nil, errTime
		}
		return addMonths(ms, n*months)
	}
	return addMillis(ms, n, unitSizes[unit])
}

func monthsFn(args []any) (any, error) { return addMonths(args[0].(int64), args[1].(int64)) }

func dateDiffFn(args []any) (any, error) {
	unit, a, b := args[0].(string), args[1].(int64), args[2].(int64)
	if size := unitSizes[unit]; size > 0 {
		return (b - a) / size, nil
	}
	if a > maxTime || a < -maxTime || b > maxTime || b < -maxTime {
		return nil, errTime
	}
	negative := a > b
	if negative {
		a, b = b, a
	}
	from, to := time.UnixMilli(a).UTC(), time.UnixMilli(b).UTC()
	n := int64(to.Year()-from.Year())*12 + int64(to.Month()-from.Month())
	if at, _ := addMonths(a, n); at != nil && at.(int64) > b {
		n--
	}
	if n /= unitMonths[unit]; negative {
		n = -n
	}
	return n, nil
}

func dateTruncFn(args []any) (any, error) {
	unit, ms := args[0].(string), args[1].(int64)
	if size := unitSizes[unit]; size > 0 && unit != "week" {
		return ms - mod(ms, size), nil
	}
	day := ms - mod(ms, dayMillis)
	t := time.UnixMilli(day).UTC()
	switch unit {
	case "week":
		return t.AddDate(0, 0, -((int(t.Weekday()) + 6) % 7)).UnixMilli(), nil
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	case "quarter":
		return time.Date(t.Year(), (t.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	}
	return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
}
