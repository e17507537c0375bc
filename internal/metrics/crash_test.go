package metrics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/clock"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/storetest"
)

var waysToFail = map[string]storetest.Fault{
	"before the transaction":            storetest.Before,
	"the transaction":                   storetest.Failed,
	"the commit, and it did not happen": storetest.FailedInDoubt,
	"the commit, but it happened":       storetest.PersistedInDoubt,
}

// TestAnsweredPointsAreThereOnce has a PutMetricData fail in each way, between others that do not.
func TestAnsweredPointsAreThereOnce(t *testing.T) {
	for name, fault := range waysToFail {
		t.Run(name, func(t *testing.T) {
			db := storetest.NewFaultDB(openDB(t))
			h := openOn(t, db, clock.NewMovable(0))
			at := h.lastHour()
			in := func(value float64) *cloudwatch.PutMetricDataInput {
				return &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"),
					MetricData: []types.MetricDatum{{MetricName: aws.String("latency"), Timestamp: &at, Value: &value}}}
			}
			want := 1.0
			must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", in(1))
			db.FailUpdate(1, fault)
			if _, err := do[cloudwatch.PutMetricDataOutput](h, "PutMetricData", in(10)); err == nil {
				want += 10
			}
			if happens := fault == storetest.PersistedInDoubt; happens != (want == 11) {
				t.Errorf("the put was answered as if its commit was otherwise: %v", want)
			}
			check := func(h *house, want float64) {
				t.Helper()
				wantPoints(t, h.ask(t, "Sum", at, at.Add(time.Minute), time.Minute), at, map[int]float64{0: want})
			}
			check(h, want)
			must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", in(100))
			check(h, want+100)
			check(h.reopen(t), want+100)
		})
	}
}

// TestAnInDoubtPutOfOthers has a transaction of somebody else's with a Put in it fail in doubt. Whether it happened is what readers see,
// though nobody says so.
func TestAnInDoubtPutOfOthers(t *testing.T) {
	for name, fault := range waysToFail {
		t.Run(name, func(t *testing.T) {
			db := storetest.NewFaultDB(openDB(t))
			h := openOn(t, db, clock.NewMovable(0))
			at := h.lastHour()
			put := func(h *house, value float64, told bool) {
				err := db.Update(t.Context(), func(tx store.Tx) error {
					for _, v := range []float64{value, 2 * value} { // twice in one transaction
						if err := h.Put(tx, account, region, []Datum{{Namespace: "Test", Name: "latency", Time: at, Value: v}}); err != nil {
							return err
						}
					}
					undone := errors.New("undone")
					err := tx.Savepoint(func(tx store.Tx) error { // and a third that does not count
						if err := h.Put(tx, account, region, []Datum{{Namespace: "Test", Name: "latency", Time: at, Value: 1e6}}); err != nil {
							return err
						}
						return undone
					})
					if !errors.Is(err, undone) {
						return err
					}
					return nil
				})
				var inDoubt *store.CommitError
				if errors.As(err, &inDoubt) && told && fault == storetest.PersistedInDoubt {
					inDoubt.Happened()
				}
			}
			for _, told := range []bool{false, true} {
				h := h.reopen(t)
				before := 0.0
				if points := h.ask(t, "Sum", at, at.Add(time.Minute), time.Minute); len(points) > 0 {
					before = points[0].Value
				}
				put(h, 1, false)
				want := before + 3
				db.FailUpdate(1, fault)
				put(h, 10, told)
				if fault == storetest.PersistedInDoubt {
					want += 30
				}
				for _, h := range []*house{h, h.reopen(t)} {
					wantPoints(t, h.ask(t, "Sum", at, at.Add(time.Minute), time.Minute), at, map[int]float64{0: want})
				}
				put(h, 100, false)
				wantPoints(t, h.reopen(t).ask(t, "Sum", at, at.Add(time.Minute), time.Minute), at, map[int]float64{0: want + 300})
			}
		})
	}
}

// TestAnyCourse does at random what can be done, with failures and new processes at any moment, and compares with what was
// answered.
func TestAnyCourse(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("SQLite, course ", seed), func(t *testing.T) { anyCourse(t, openDB(t), seed) })
	}
	t.Run("PostgreSQL", func(t *testing.T) {
		db, err := postgres.Open(t.Context(), storetest.Postgres(t), "watch")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		anyCourse(t, db, 99)
	})
}

func anyCourse(t *testing.T, real store.DB, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	db := storetest.NewFaultDB(real)
	clk := clock.NewMovable(0)
	h := openOn(t, db, clk)
	start := h.clock.Now().Truncate(time.Hour).Add(-30 * time.Hour)
	type point struct{ series, minute int }
	want := map[point]float64{}
	const series, minutes = 7, 32 * 60

	name := func(i int) string { return fmt.Sprint("metric-", i) }
	for step := range 400 {
		switch n := r.IntN(20); {
		case n < 11: // put
			var data []types.MetricDatum
			added := map[point]float64{}
			for range 1 + r.IntN(20) {
				p := point{r.IntN(series), r.IntN(minutes)}
				if r.IntN(2) == 0 {
					p.minute = 30 * 60 // as most points are, of now
				}
				v := float64(1 + r.IntN(1000))
				at := start.Add(time.Duration(p.minute) * time.Minute)
				data = append(data, types.MetricDatum{MetricName: aws.String(name(p.series)), Timestamp: &at, Value: &v})
				added[p] += v
			}
			if r.IntN(4) == 0 {
				db.FailUpdate(1, storetest.Fault(r.IntN(5)))
			}
			_, err := do[cloudwatch.PutMetricDataOutput](h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: data})
			if err == nil {
				for p, v := range added {
					want[p] += v
				}
			}
		case n < 14: // fold, which may stop at any of its transactions
			if r.IntN(2) == 0 {
				db.FailUpdate(1+r.IntN(3), storetest.Fault(r.IntN(5)))
			}
			_ = h.fold(t.Context())
		case n < 15:
			if err := h.alone(t.Context(), func(store.Tx) error {
				for _, s := range h.series {
					s.sweep(h.hourNow(), r.IntN(2) == 0)
					if s.empty() && r.IntN(2) == 0 {
						h.evict(s)
					}
				}
				return nil
			}); err != nil && !errors.Is(err, storetest.ErrInjected) {
				t.Fatal(err)
			}
		case n < 16:
			fresh := storetest.NewFaultDB(real) // without the faults that are still to come
			db = fresh
			h = openOn(t, db, clk)
		default: // look at one
			i := r.IntN(series)
			from := r.IntN(minutes)
			to := from + 1 + r.IntN(minutes-from)
			if r.IntN(2) == 0 {
				to = min(from+5, minutes)
			}
			fresh := 0
			q := Query{Namespace: "Test", Name: name(i), Stat: "Sum", Period: time.Minute,
				Start: start.Add(time.Duration(from) * time.Minute), End: start.Add(time.Duration(to) * time.Minute)}
			points, err := h.Statistics(context.Background(), account, region, q)
			if errors.Is(err, storetest.ErrInjected) || isInDoubt(err) {
				continue // an update that was to fail was this one's
			}
			if err != nil {
				t.Fatal(err)
			}
			got := map[int]float64{}
			for _, p := range points {
				got[int(p.Time.Sub(start)/time.Minute)] = p.Value
			}
			for minute := from; minute < to; minute++ {
				v, ok := want[point{i, minute}]
				if g, there := got[minute]; there != ok || g != v {
					t.Fatalf("step %d: series %d, minute %d: %v, %v; want %v, %v", step, i, minute, g, there, v, ok)
				}
				if ok {
					fresh++
				}
			}
			if fresh != len(points) {
				t.Fatalf("step %d: %d points, want %d", step, len(points), fresh)
			}
		}
	}
}

func isInDoubt(err error) bool {
	var inDoubt *store.CommitError
	return errors.As(err, &inDoubt)
}

// TestConcurrentPutsAreAllThere has many clients put while the log is folded and hours are swept and read.
func TestConcurrentPutsAreAllThere(t *testing.T) {
	h := open(t)
	at := h.lastHour()
	const clients, puts = 8, 40
	ended := make(chan error, clients)
	for range clients {
		go func() {
			var failed error
			for n := range puts {
				v := float64(n)
				_, err := do[cloudwatch.PutMetricDataOutput](h, "PutMetricData", &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"),
					MetricData: []types.MetricDatum{{MetricName: aws.String("latency"), Timestamp: &at, Value: &v}}})
				failed = errors.Join(failed, err)
			}
			ended <- failed
		}()
	}
	least := 0.0
	for left := clients; left > 0; {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			left--
		default:
		}
		if err := h.fold(t.Context()); err != nil {
			t.Fatal(err)
		}
		if points := h.ask(t, "SampleCount", at, at.Add(time.Minute), time.Minute); len(points) > 0 {
			if points[0].Value < least {
				t.Fatalf("%v points after %v", points[0].Value, least)
			}
			least = points[0].Value
		}
	}
	for _, h := range []*house{h, h.reopen(t)} {
		wantPoints(t, h.ask(t, "SampleCount", at, at.Add(time.Minute), time.Minute), at, map[int]float64{0: clients * puts})
		wantPoints(t, h.ask(t, "Sum", at, at.Add(time.Minute), time.Minute), at, map[int]float64{0: clients * puts * (puts - 1) / 2})
	}
}
