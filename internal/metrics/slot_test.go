package metrics

import (
	"cmp"
	"testing"
	"time"

	"vigil/internal/clock"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/storetest"
)

func TestSlots(t *testing.T) {
	type place struct{ day, series, hour int64 }
	var last place
	for n, p := range []place{
		{-1, 5, -24}, {-1, 5, -1}, {-1, 6, -23}, {0, 1, 0}, {0, 1, 23}, {0, 1<<40 - 1, 5}, {1, 1, 24}, {20_000, 1, 480_000}, {20_000, 1, 480_023}, {100_000, 3, 2_400_001},
	} {
		slot := slotOf(p.series, p.hour)
		if series, hour := ofSlot(slot); series != p.series || hour != p.hour {
			t.Errorf("slot %d is of series %d and hour %d, not of %d and %d", slot, series, hour, p.series, p.hour)
		}
		if first := firstSlot(p.day); slot < first || slot >= firstSlot(p.day+1) {
			t.Errorf("slot %d of hour %d is not within day %d", slot, p.hour, p.day)
		}
		if n > 0 && cmp.Compare(slotOf(last.series, last.hour), slot) >= 0 {
			t.Errorf("%v is not before %v", last, p)
		}
		last = p
	}
}

// TestHoursOfEarlierVersions opens a database whose hours have no slots yet: they are all there, they are merged in their time, and what is put next joins them.
func TestHoursOfEarlierVersions(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { testHoursOfEarlierVersions(t, openDB(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), storetest.Postgres(t), "watch")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		testHoursOfEarlierVersions(t, db)
	})
}

func testHoursOfEarlierVersions(t *testing.T, db store.DB) {
	const hours = 40 * hoursOfDay
	clk := clock.NewMovable(0)
	now := hourOf(clk.Now().Unix())
	if err := db.Migrate(t.Context(), "metrics", migrations[0]); err != nil {
		t.Fatal(err)
	}
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for id, name := range []string{"latency", "other"} {
			key := string(appendKey(nil, account, region, "Test", name, nil))
			if _, err := tx.Exec(`INSERT INTO metrics_series (id, hash, account, region, namespace, name, dimensions, active)
				VALUES ($1, $2, $3, $4, 'Test', $5, $6, $7)`, id+1, hash(key), account, region, name, []byte{}, clk.Now().UnixMilli()); err != nil {
				return err
			}
			for h := now - hours; h < now; h++ {
				var b bucket
				b.period = perMinute
				b.add(float64(id+1), 1)
				if _, err := tx.Exec(`INSERT INTO metrics_hour (series, hour, period, upto, body) VALUES ($1, $2, 60, 0, $3)`,
					id+1, h, appendBuckets(nil, []bucket{b})); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	h := openOn(t, db, clk)
	begin := time.Unix((now-hours)*perHour, 0)
	has := func(h *house, want int) {
		t.Helper()
		points := h.ask(t, "Sum", begin, clk.Now(), time.Hour)
		sum := 0.0
		for _, p := range points {
			sum += p.Value
		}
		if len(points) != hours || int(sum) != want {
			t.Errorf("there are %d hours with %v together, want %d and %d", len(points), sum, hours, want)
		}
	}
	has(h, hours)
	h.putValue(t, clk.Now().Add(-time.Hour), 1)
	h.putValue(t, clk.Now().Add(-13*24*time.Hour), 1)
	has(h, hours+2)
	if err := h.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	has(h.reopen(t), hours+2)

	var fine, due int
	err = db.View(t.Context(), func(tx store.Tx) error {
		if err := tx.QueryRow(`SELECT COUNT(*) FROM metrics_series_hour WHERE period < 300`).Scan(&fine); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT COUNT(*) FROM metrics_due`).Scan(&due)
	})
	if err != nil {
		t.Fatal(err)
	}
	if fine != 2*15*hoursOfDay || due != hours {
		t.Errorf("%d rows have minutes and %d hours are due, want those of 15 days of two metrics, %d, and all %d", fine, due, 2*15*hoursOfDay, hours)
	}
}
