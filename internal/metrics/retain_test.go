package metrics

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"vigil/internal/store"
)

// TestPointsGetCoarserAndGo has ten values, a second apart and then a minute apart, and lets 455 days pass.
func TestPointsGetCoarserAndGo(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	var data []Datum
	for i := range 10 {
		data = append(data,
			Datum{Namespace: "Test", Name: "latency", Time: start.Add(time.Duration(i) * time.Second), Resolution: time.Second, Value: float64(i + 1)},
			Datum{Namespace: "Test", Name: "latency", Time: start.Add(time.Duration(10+i) * time.Minute), Value: float64(i + 1)})
	}
	if err := h.db.Update(t.Context(), func(tx store.Tx) error { return h.Put(tx, account, region, data) }); err != nil {
		t.Fatal(err)
	}
	end := start.Add(time.Hour)
	count := func(h *house, period time.Duration) int { return len(h.ask(t, "Sum", start, end, period)) }
	for _, step := range []struct {
		name                        string
		advance                     time.Duration
		seconds, minutes, five, all int // how many periods have data
	}{
		{"at first", 0, 20, 11, 3, 1},
		{"after 3 hours, seconds are minutes", 4 * time.Hour, 11, 11, 3, 1},
		{"after 14 days", 14 * 24 * time.Hour, 11, 11, 3, 1},
		{"after 15 days, minutes are five minutes", 24 * time.Hour, 0, 0, 3, 1},
		{"after 63 days, five minutes are hours", 48 * 24 * time.Hour, 0, 0, 0, 1},
		{"after 455 days they are gone", 393 * 24 * time.Hour, 0, 0, 0, 0},
	} {
		h.clock.Advance(step.advance)
		if err := h.fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.retain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*house{h, h.reopen(t)} {
			for _, c := range []struct {
				period time.Duration
				want   int
			}{{time.Second, step.seconds}, {time.Minute, step.minutes}, {5 * time.Minute, step.five}, {time.Hour, step.all}} {
				if got := count(h, c.period); got != c.want {
					t.Errorf("%s: %d periods of %v, want %d", step.name, got, c.period, c.want)
				}
			}
			if step.all == 0 {
				continue
			}
			for stat, want := range map[string]float64{"Sum": 110, "SampleCount": 20, "Minimum": 1, "Maximum": 10, "p50": 5, "p95": 10, "IQM": 5.5} {
				wantPoints(t, h.ask(t, stat, start, end, time.Hour), start, map[int]float64{0: want})
			}
		}
	}
	err := h.db.View(t.Context(), func(tx store.Tx) error {
		for _, table := range []string{"metrics_series", "metrics_series_hour", "metrics_due", "metrics_page"} {
			var n int
			if err := tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil || n > 0 {
				t.Errorf("%s has %d rows, %v", table, n, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// A metric that was dropped can be put again, also in the same process.
	h.putValue(t, h.lastHour(), 7)
	for _, h := range []*house{h, h.reopen(t)} {
		wantPoints(t, h.ask(t, "Sum", h.lastHour(), h.lastHour().Add(time.Hour), time.Hour), h.lastHour(), map[int]float64{0: 7})
		if got, _ := h.list(t, cloudwatch.ListMetricsInput{}); len(got) != 1 {
			t.Errorf("the list is %v", got)
		}
	}
}

// TestAPointThatComesLateIsCounted puts into an hour whose row has been written and whose seconds have been merged.
func TestAPointThatComesLateIsCounted(t *testing.T) {
	h := open(t)
	start := h.lastHour()
	put := func(h *house, value float64) {
		err := h.db.Update(t.Context(), func(tx store.Tx) error {
			return h.Put(tx, account, region, []Datum{{Namespace: "Test", Name: "latency", Time: start, Resolution: time.Second, Value: value}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put(h, 1)
	h.clock.Advance(30 * time.Hour)
	want := 1.0
	for n := range 3 {
		for _, upkeep := range []error{h.fold(t.Context()), h.retain(t.Context()), h.fold(t.Context())} {
			if upkeep != nil {
				t.Fatal(upkeep)
			}
		}
		put(h, 10)
		want += 10
		wantPoints(t, h.ask(t, "Sum", start, start.Add(time.Minute), time.Minute), start, map[int]float64{0: want})
		if n == 1 {
			h = h.reopen(t)
		}
	}
}
