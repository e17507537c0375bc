package lake

import (
	"math"
	"time"

	"vigil"
	"vigil/internal/journal"
)

// view is what a store has of the journal, as a query sees it: nothing of it is copied.
type view struct {
	account string
	from    int64 // of eventTime, by the retention; milliseconds since 1970
	end     int64 // of the journal: records from here on came later than the query
	periods []period
}

// period is a time in which a store took events, in milliseconds since 1970, and which it took. Both bounds are within it. One that has not
// ended has end 0.
type period struct {
	begin, end int64
	region     string                      // empty is all
	takes      func(f *vigil.Outline) bool // by the selectors
}

// has says whether a record is the store's. f is its outline.
func (v *view) has(e journal.Entry, f *vigil.Outline) bool {
	if string(f.Account) != v.account || f.Second*1000 < v.from {
		return false
	}
	at := e.Time.UnixMilli()
	if e.Time.Unix() != f.Second {
		at = f.Second * 1000
	}
	for _, p := range v.periods {
		if at >= p.begin && (p.end == 0 || at <= p.end) && (p.region == "" || string(f.Region) == p.region) && p.takes(f) {
			return true
		}
	}
	return false
}

// span is the time in which the journal can have records of the store whose eventTime is within [from, to].
func (v *view) span(from, to int64) (begin, end time.Time) {
	from, to = max(from, v.from), min(to, math.MaxInt64/2)
	first, last := int64(math.MaxInt64/2), int64(math.MinInt64/2)
	for _, p := range v.periods {
		first = min(first, p.begin)
		if p.end == 0 {
			last = math.MaxInt64 / 2
		}
		last = max(last, p.end)
	}
	return time.UnixMilli(max(from, first)), time.UnixMilli(min(to+999, last)) // eventTime has whole seconds
}
