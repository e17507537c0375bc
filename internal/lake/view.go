package lake

import (
	"math"
	"slices"
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

// has says whether a record is the store's. f is its outline. One that was imported is, if the store took such events then, however old it is.
func (v *view) has(e journal.Entry, f *vigil.Outline) bool {
	if string(f.Account) != v.account || f.Second*1000 < v.from {
		return false
	}
	at := e.Time
	switch {
	case !e.Imported.IsZero():
		at = e.Imported
	case at.Unix() != f.Second:
		at = time.Unix(f.Second, 0)
	}
	for _, p := range v.periods {
		if p.has(at.UnixMilli(), at.UnixMilli()) && (p.region == "" || string(f.Region) == p.region) && p.takes(f) {
			return true
		}
	}
	return false
}

// mayHave says whether a page can have records of the store.
func (v *view) mayHave(p journal.StoredPage) bool {
	first, last := p.Oldest.UnixMilli()-999, p.Newest.UnixMilli() // eventTime has whole seconds
	if at := p.Imported(); !at.IsZero() {
		first, last = at.UnixMilli(), at.UnixMilli()
	}
	return slices.ContainsFunc(v.periods, func(p period) bool { return p.has(first, last) })
}

// has says whether some of the time from first to last is within the period.
func (p *period) has(first, last int64) bool {
	return last >= p.begin && (p.end == 0 || first <= p.end)
}

// span is the time of the records of the store that a query can be about whose eventTime is within [from, to].
func (v *view) span(from, to int64) (begin, end time.Time) {
	return time.UnixMilli(max(from, v.from)), time.UnixMilli(min(to, math.MaxInt64/2) + 999) // eventTime has whole seconds
}
