package metrics

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/clock"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

const (
	account = "111122223333"
	region  = "eu-central-1"
)

// house is the service on a real database, with a clock that can be moved.
type house struct {
	*Metrics
	db    store.DB
	clock *clock.Movable
}

func openDB(t testing.TB) store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "watch.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func open(t testing.TB) *house { return openOn(t, openDB(t), clock.NewMovable(0)) }

func openOn(t testing.TB, db store.DB, clk *clock.Movable) *house {
	t.Helper()
	m, err := New(context.Background(), Config{Watch: db, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	return &house{m, db, clk}
}

// reopen is a new process on the same database.
func (h *house) reopen(t testing.TB) *house {
	t.Helper()
	return openOn(t, h.db, h.clock)
}

func (h *house) begin(operation string) *call.Call {
	return &call.Call{
		Principal: call.Principal{Type: "Root", ARN: arn.Root(region, account), Account: account, PrincipalID: account},
		Service:   "cloudwatch", Operation: operation, Region: region, Time: h.clock.Now(),
	}
}

// do calls an operation as the door does.
func do[Out any](h *house, operation string, in any) (*Out, error) {
	for _, op := range h.Service().Operations {
		if op.Name == operation {
			out, err := op.Do(context.Background(), h.begin(operation), in)
			if err != nil {
				return nil, err
			}
			return out.(*Out), nil
		}
	}
	return nil, errors.New("no operation " + operation)
}

func must[Out any](t testing.TB, h *house, operation string, in any) *Out {
	t.Helper()
	out, err := do[Out](h, operation, in)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	return out
}

// refused checks that err is the API's error with this code and text.
func refused(t testing.TB, err error, code, message string) {
	t.Helper()
	var e *call.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v\nwant %s: %s", err, code, message)
		return
	}
	if e.Code != code || e.Message != message {
		t.Errorf("\n got %s: %s\nwant %s: %s", e.Code, e.Message, code, message)
	}
}

// lastHour is the beginning of an hour that is over.
func (h *house) lastHour() time.Time { return h.clock.Now().Truncate(time.Hour).Add(-time.Hour) }

// putValue puts one value into Test/latency.
func (h *house) putValue(t testing.TB, at time.Time, value float64) {
	t.Helper()
	must[cloudwatch.PutMetricDataOutput](t, h, "PutMetricData", &cloudwatch.PutMetricDataInput{
		Namespace:  aws.String("Test"),
		MetricData: []types.MetricDatum{{MetricName: aws.String("latency"), Timestamp: &at, Value: &value}},
	})
}

// ask is Statistics of Test/latency.
func (h *house) ask(t testing.TB, stat string, start, end time.Time, period time.Duration) []Point {
	t.Helper()
	points, err := h.Statistics(context.Background(), account, region,
		Query{Namespace: "Test", Name: "latency", Stat: stat, Start: start, End: end, Period: period})
	if err != nil {
		t.Fatal(err)
	}
	return points
}

// values are those of points, at minutes after a time.
func wantPoints(t testing.TB, points []Point, start time.Time, want map[int]float64) {
	t.Helper()
	got := map[int]float64{}
	for _, p := range points {
		got[int(p.Time.Sub(start)/time.Minute)] = p.Value
	}
	if len(points) != len(got) {
		t.Errorf("a period is there twice: %v", points)
	}
	if !slices.IsSortedFunc(points, func(a, b Point) int { return a.Time.Compare(b.Time) }) {
		t.Errorf("not in order: %v", points)
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for minute, value := range want {
		if v, ok := got[minute]; !ok || v != value {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}
