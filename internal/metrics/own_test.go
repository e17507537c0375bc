package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigil"
	"vigil/internal/clock"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

const keyARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

// record is what the door journals of a call of a service.
func record(source, operation, errorCode string, at time.Time, keys ...string) journal.Record {
	r := vigil.Record{EventSource: source, EventName: operation, AWSRegion: region, EventTime: at, EventType: vigil.AwsAPICall,
		ErrorCode: errorCode, RecipientAccountID: account, EventID: "id", EventCategory: "Management",
		RequestParameters: json.RawMessage(`{"note":"kms.amazonaws.com"}`)}
	for _, key := range keys {
		r.Resources = append(r.Resources, vigil.Resource{AccountID: account, Type: "AWS::KMS::Key", ARN: key})
	}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

// ofAnother is a record of a call of Decrypt on another account's key.
func ofAnother(at time.Time, caller, recipient string) journal.Record {
	r := vigil.Record{EventSource: "kms.amazonaws.com", EventName: "Decrypt", AWSRegion: region, EventTime: at, EventType: vigil.AwsAPICall,
		UserIdentity: vigil.UserIdentity{AccountID: caller}, RecipientAccountID: recipient, EventID: "id", SharedEventID: "shared",
		EventCategory: "Management"}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

// TestCallsAreCountedOnce journals calls of KMS and of others, while the follower's transactions fail in each way.
func TestCallsAreCountedOnce(t *testing.T) {
	main, err := sqlite.Open(filepath.Join(t.TempDir(), "vigil.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	log := slog.New(slog.DiscardHandler)
	j, err := journal.Open(t.Context(), main, log)
	if err != nil {
		t.Fatal(err)
	}
	watch := storetest.NewFaultDB(openDB(t))
	m, err := New(t.Context(), Config{Watch: watch, Clock: clock.Wall{}, Journal: j, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 40; n += 3 {
		watch.FailUpdate(n, storetest.Fault(n/3%5))
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- j.Run(ctx) }()
	go func() { ended <- m.Run(ctx) }()
	defer func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	}()

	at := time.Now().UTC().Truncate(time.Hour)
	const rounds = 20
	for range rounds {
		err := j.Commit(t.Context(), nil, func(error) []journal.Record {
			return []journal.Record{
				record("kms.amazonaws.com", "Encrypt", "", at, keyARN),
				record("kms.amazonaws.com", "Encrypt", "", at, keyARN, keyARN),
				record("kms.amazonaws.com", "Encrypt", "DisabledException", at, keyARN),
				record("kms.amazonaws.com", "ListKeys", "", at),
				record("logs.amazonaws.com", "Encrypt", "", at, keyARN),
				ofAnother(at, account, account),
				ofAnother(at, account, "444455556666"),
				ofAnother(at, "444455556666", account),
				{Time: at, Data: []byte(`no JSON, though it says kms.amazonaws.com`)},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Wait(t.Context(), follower); err != nil {
		t.Fatal(err)
	}
	usage := func(operation string) []Dimension {
		return []Dimension{{"Type", "API"}, {"Resource", operation}, {"Service", "KMS"}, {"Class", "None"}}
	}
	key := []Dimension{{"KeyId", "1234abcd-12ab-34cd-56ef-1234567890ab"}, {"Operation", "Encrypt"}}
	for _, test := range []struct {
		namespace, name string
		dimensions      []Dimension
		want            float64
	}{
		{"AWS/Usage", "CallCount", usage("Encrypt"), 3}, {"AWS/Usage", "CallCount", usage("ListKeys"), 1},
		{"Vigil/KMS", "Calls", []Dimension{{"Operation", "Encrypt"}}, 3}, {"Vigil/KMS", "Errors", []Dimension{{"Operation", "Encrypt"}}, 1},
		{"Vigil/KMS", "Calls", key, 3}, {"Vigil/KMS", "Errors", key, 1},
		{"Vigil/KMS", "Calls", []Dimension{{"Operation", "ListKeys"}}, 1}, {"Vigil/KMS", "Errors", []Dimension{{"Operation", "ListKeys"}}, 0},
		{"AWS/Usage", "CallCount", usage("Decrypt"), 1}, {"Vigil/KMS", "Calls", []Dimension{{"Operation", "Decrypt"}}, 1},
	} {
		points, err := m.Statistics(t.Context(), account, region, Query{Namespace: test.namespace, Name: test.name, Dimensions: test.dimensions,
			Stat: "Sum", Period: time.Minute, Start: at, End: at.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		got := 0.0
		if len(points) > 0 {
			got = points[0].Value
		}
		if got != test.want*rounds {
			t.Errorf("%s %s %v is %v, want %v", test.namespace, test.name, test.dimensions, got, test.want*rounds)
		}
	}
}

// TestLatency observes latencies of 1 to 1,000 ms of a key's calls.
func TestLatency(t *testing.T) {
	db := storetest.NewFaultDB(openDB(t))
	h := openOn(t, db, clock.NewMovable(0))
	at := h.clock.Now().Truncate(time.Minute)
	for ms := range 1000 {
		h.Observe(account, region, "Encrypt", keyARN, time.Duration(ms+1)*time.Millisecond)
	}
	h.Observe(account, region, "Encrypt", "", 5*time.Second)
	db.FailUpdate(1, storetest.Failed)
	if h.putLatencies(t.Context(), at) == nil {
		t.Error("latencies were put though the database failed")
	}
	for range 2 { // the second has nothing to put
		if err := h.putLatencies(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		dimensions []Dimension
		stat       string
		want       float64
	}{
		{[]Dimension{{"KeyId", keyID(keyARN)}, {"Operation", "Encrypt"}}, "SampleCount", 1000},
		{[]Dimension{{"Operation", "Encrypt"}}, "SampleCount", 1001},
		{[]Dimension{{"KeyId", keyID(keyARN)}, {"Operation", "Encrypt"}}, "p50", 500},
		{[]Dimension{{"KeyId", keyID(keyARN)}, {"Operation", "Encrypt"}}, "p99", 990},
		{[]Dimension{{"Operation", "Encrypt"}}, "Maximum", 5000},
	} {
		points, err := h.Statistics(t.Context(), account, region, Query{Namespace: "Vigil/KMS", Name: "Latency", Dimensions: test.dimensions, Unit: "Milliseconds",
			Stat: test.stat, Period: time.Minute, Start: at, End: at.Add(time.Minute)})
		if err != nil || len(points) != 1 || math.Abs(points[0].Value-test.want) > 0.035*test.want {
			t.Errorf("%s of %v: %v, %v; want about %v", test.stat, test.dimensions, points, err, test.want)
		}
	}
}

// TestBinsAreNarrow has each bin tell a latency to within 3 %, or half a microsecond.
func TestBinsAreNarrow(t *testing.T) {
	for us := time.Duration(0); us < 100_000_000; us += us/50 + 1 {
		got := middle(binOf(us * time.Microsecond))
		if want := float64(us) / 1000; math.Abs(got-want) > max(0.032*want, 0.00051) {
			t.Fatalf("%d µs is told as %v ms", us, got)
		}
	}
	if bin := binOf(time.Hour); bin != bins-1 {
		t.Errorf("an hour is in bin %d", bin)
	}
	if bin := binOf(-time.Second); bin != 0 {
		t.Errorf("less than nothing is in bin %d", bin)
	}
}

func TestHealth(t *testing.T) {
	h := open(t)
	h.putValue(t, h.lastHour(), 1)
	h.Gauge("vigil_up", "Whether it is up.\nIt is.", func() float64 { return 1 })
	h.Counter("vigil_calls_total", "Calls.", func() float64 { return 1e9 })
	h.GaugeBy("vigil_lag", `Records to be followed.`, "follower", func() map[string]float64 {
		return map[string]float64{"trail": 3, `a "b"`: math.Inf(1)}
	})
	server := httptest.NewServer(h.Health())
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Error(got)
	}
	for _, want := range []string{
		"# HELP vigil_up Whether it is up.\\nIt is.\n# TYPE vigil_up gauge\nvigil_up 1\n",
		"# TYPE vigil_calls_total counter\nvigil_calls_total 1e+09\n",
		"# TYPE vigil_lag gauge\nvigil_lag{follower=\"a \\\"b\\\"\"} +Inf\nvigil_lag{follower=\"trail\"} 3\n",
		"\nvigil_metrics_values_put_total 1\n",
		"\nvigil_metrics_series_in_memory 1\n",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("there is no %q in\n%s", want, body)
		}
	}
	for _, name := range []string{"vigil_up", "", "1st", "a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is registered", name)
				}
			}()
			h.Gauge(name, "", nil)
		}()
	}
	response, err = http.Post(server.URL, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Error(fmt.Sprint("POST is answered with ", response.StatusCode))
	}
}

// TestOldCallsCountInThePeriodTheyAreKeptIn is of records that are imported long after their calls.
func TestOldCallsCountInThePeriodTheyAreKeptIn(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		age  time.Duration
		into time.Duration // 0 when it is not kept
	}{
		{0, time.Minute}, {14 * day, time.Minute}, {16 * day, 5 * time.Minute}, {62 * day, 5 * time.Minute},
		{64 * day, time.Hour}, {454 * day, time.Hour}, {456 * day, 0},
	} {
		at := now.Add(-test.age + 48*time.Minute + 7*time.Second)
		begin, into, kept := periodOf(at, now)
		if into != test.into || kept != (test.into > 0) || kept && !time.Unix(begin, 0).Equal(at.Truncate(into)) {
			t.Errorf("A call of %v ago counts in the %v from %v, %v", test.age, into, time.Unix(begin, 0).UTC(), kept)
		}
	}
}

// TestOldPointsAreWrittenSoon is of what memory holds while points of long ago are put, in ever more hours.
func TestOldPointsAreWrittenSoon(t *testing.T) {
	h := open(t)
	now := h.clock.Now()
	for metric := 0; h.pages.late <= foldLate; metric++ {
		select {
		case <-h.foldNow:
			t.Fatalf("folds at %d hours", h.pages.late)
		default:
		}
		var data []Datum
		for ago := range 5000 {
			data = append(data, Datum{Namespace: "Test", Name: fmt.Sprint("latency", metric), Time: now.Add(time.Duration(ago-5001) * time.Hour), Value: 1})
		}
		if err := h.db.Update(t.Context(), func(tx store.Tx) error { return h.Put(tx, account, region, data) }); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-h.foldNow:
	default:
		t.Fatal("does not fold")
	}
	if err := h.fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.pages.late != 0 || len(h.pages.dirty) != 0 {
		t.Errorf("%d hours are still to be written, %d of them late", len(h.pages.dirty), h.pages.late)
	}
	points, err := h.Statistics(t.Context(), account, region,
		Query{Namespace: "Test", Name: "latency0", Stat: "Sum", Start: now.Add(-24 * time.Hour), End: now, Period: time.Hour})
	if err != nil || len(points) < 22 {
		t.Errorf("of the last day there are %d points, %v", len(points), err)
	}
}

// TestOldCallsAreThereForTheirPeriod imports calls of a month ago, of which minutes are not kept.
func TestOldCallsAreThereForTheirPeriod(t *testing.T) {
	h := open(t)
	begin := h.clock.Now().Add(-30 * 24 * time.Hour).Truncate(time.Hour)
	var entries []journal.Entry
	for minute := range 10 {
		r := record("kms.amazonaws.com", "Encrypt", "", begin.Add(time.Duration(minute)*time.Minute), keyARN)
		entries = append(entries, journal.Entry{Time: r.Time, Data: r.Data, Imported: h.clock.Now()})
	}
	if err := h.db.Update(t.Context(), func(tx store.Tx) error { return h.applyEntries(tx, entries) }); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for period, want := range map[time.Duration]map[int]float64{time.Minute: {}, 5 * time.Minute: {0: 5, 5: 5}, time.Hour: {0: 10}} {
			points, err := h.Statistics(t.Context(), account, region, Query{Namespace: "Vigil/KMS", Name: "Calls", Dimensions: []Dimension{{"Operation", "Encrypt"}},
				Stat: "Sum", Start: begin, End: begin.Add(time.Hour), Period: period})
			if err != nil {
				t.Fatal(err)
			}
			wantPoints(t, points, begin, want)
		}
	}
	check()
	for _, upkeep := range []func(context.Context) error{h.fold, h.retain} {
		if err := upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check()
}
