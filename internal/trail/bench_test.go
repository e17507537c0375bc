package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// load is the traffic of a busy server: one account, a thousand keys of which some are used far more than others, a rate of
// several thousand calls a second in batches of 64, and one key with 60 uses in all.
type load struct {
	*rand.Rand
	zipf *rand.Zipf
	keys []string
	rare string
	at   time.Time
	step time.Duration
}

func newLoad(from time.Time, step time.Duration) *load {
	r := rand.New(rand.NewPCG(1, 2))
	l := &load{Rand: r, zipf: rand.NewZipf(r, 1.2, 8, 999), at: from, step: step}
	for i := range 1001 {
		l.keys = append(l.keys, arn.New("kms", home.region, home.account, fmt.Sprintf("key/%08x-12ab-34cd-56ef-1234567890ab", i)).String())
	}
	l.rare = l.keys[1000]
	return l
}

func (l *load) record(key string) journal.Record {
	l.at = l.at.Add(l.step)
	at := l.at.Add(-time.Duration(l.IntN(3000)) * time.Microsecond)
	names := []string{"Encrypt", "Encrypt", "Encrypt", "Decrypt", "Decrypt", "Decrypt", "Decrypt", "GenerateDataKey", "GenerateDataKey", "DescribeKey"}
	user := fmt.Sprintf("service-%d", l.IntN(8))
	r := vigil.Record{
		EventVersion:        vigil.RecordVersion,
		UserIdentity:        vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAIOSFODNN7EXAMPLE", ARN: "arn:aws:iam::" + home.account + ":user/" + user, AccountID: home.account, AccessKeyID: "AKIAIOSFODNN7" + user, UserName: user},
		EventTime:           at,
		EventSource:         "kms.amazonaws.com",
		EventName:           names[l.IntN(len(names))],
		AWSRegion:           home.region,
		SourceIPAddress:     "192.0.2.1",
		UserAgent:           "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4",
		RequestParameters:   []byte(`{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"` + key + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`),
		AdditionalEventData: []byte(`{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"}`),
		RequestID:           call.NewEventID(at),
		EventID:             call.NewEventID(at),
		ReadOnly:            true,
		Resources:           []vigil.Resource{{AccountID: home.account, Type: "AWS::KMS::Key", ARN: key}},
		EventType:           vigil.AwsAPICall,
		ManagementEvent:     true,
		RecipientAccountID:  home.account,
		EventCategory:       "Management",
	}
	return journal.Record{Time: at, Data: r.AppendJSON(nil)}
}

// commit appends n records in pages of 64. It returns the text of one of them.
func (l *load) commit(t testing.TB, j *journal.Journal, n int) (some string) {
	rare := map[int]bool{}
	for len(rare) < min(60, n) {
		rare[l.IntN(n)] = true
	}
	records := make([]journal.Record, 0, 64)
	for i := range n {
		key := l.keys[l.zipf.Uint64()]
		if rare[i] {
			key = l.rare
		}
		records = append(records, l.record(key))
		if len(records) == cap(records) || i == n-1 {
			commit(t, j, records, 64)
			some = string(records[0].Data)
			records = records[:0]
		}
	}
	return some
}

// BenchmarkRead is what the history reads of a record.
func BenchmarkRead(b *testing.B) {
	record := newLoad(time.Now(), time.Millisecond).record("arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab").Data
	var r vigil.OutlineReader
	var f facts
	b.ReportAllocs()
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		if err := r.Read(record, &f.Outline); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFollow follows a journal from its beginning. It reports the CPU time and the disk space that a record costs.
func BenchmarkFollow(b *testing.B) {
	const n = 200_000
	j := openJournal(b)
	newLoad(time.Now().Add(-time.Hour), 200*time.Microsecond).commit(b, j, n)
	for b.Loop() {
		b.StopTimer()
		db := openDB(b, "history.db")
		trail := newTrail(b, j, db, foldRecords)
		cpu := cpuTime()
		b.StartTimer()
		stop := start(b, trail.Run)
		followed(b, j)
		stop() // folds the rest
		b.StopTimer()
		b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/n, "cpu-ns/record")
		b.ReportMetric(float64(size(b, db))/n, "B/record")
		b.StartTimer()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// size is how many bytes of the database's file are in use.
func size(t testing.TB, db store.DB) (n int64) {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLookUpsAmongAMillion reports how long look-ups take among a million records, of which one key has 60.
func TestLookUpsAmongAMillion(t *testing.T) {
	if os.Getenv("VIGIL_TEST_MILLION") != "1" {
		t.Skip("VIGIL_TEST_MILLION=1 lets this test make a million records, which takes a minute or two")
	}
	const n = 1_000_000
	j := openJournal(t)
	db := openDB(t, "history.db")
	trail := newTrail(t, j, db, foldRecords)
	stop := start(t, trail.Run)
	from := time.Now().Add(-10 * 24 * time.Hour)
	l := newLoad(from, 200*time.Microsecond)
	middle := l.commit(t, j, n/2)
	rare := l.rare
	l.rare = l.keys[0] // all of the rare one's are in the first half, and as many again of another's in the second
	l.commit(t, j, n/2+10_000)
	l.rare = rare
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := j.Wait(ctx, follower); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f bytes of index a record, %d records in the tail", float64(size(t, db))/n, len(trail.tail.times))

	event, err := vigil.ParseRecord([]byte(middle))
	if err != nil {
		t.Fatal(err)
	}
	by := func(key types.LookupAttributeKey, value string) []types.LookupAttribute {
		return []types.LookupAttribute{{AttributeKey: key, AttributeValue: aws.String(value)}}
	}
	past := aws.Time(from.Add(20 * time.Second))
	requests := []struct {
		name  string
		in    cloudtrail.LookupEventsInput
		least int
	}{
		{"a key with 60 records", cloudtrail.LookupEventsInput{LookupAttributes: by("ResourceName", rare)}, 50},
		{"a key with many", cloudtrail.LookupEventsInput{LookupAttributes: by("ResourceName", l.keys[0])}, 50},
		{"no such key", cloudtrail.LookupEventsInput{LookupAttributes: by("ResourceName", "none")}, 0},
		{"an event id", cloudtrail.LookupEventsInput{LookupAttributes: by("EventId", event.EventID)}, 1},
		{"no such event id", cloudtrail.LookupEventsInput{LookupAttributes: by("EventId", call.NewEventID(event.EventTime))}, 0},
		{"everything", cloudtrail.LookupEventsInput{}, 50},
		{"an event name", cloudtrail.LookupEventsInput{LookupAttributes: by("EventName", "DescribeKey")}, 50},
		{"everything, deep in the past", cloudtrail.LookupEventsInput{EndTime: past}, 50},
		{"a user, deep in the past", cloudtrail.LookupEventsInput{EndTime: past, LookupAttributes: by("Username", "service-3")}, 50},
		{"ReadOnly false, of which there is none", cloudtrail.LookupEventsInput{LookupAttributes: by("ReadOnly", "false")}, 0},
	}
	for _, index := range []string{"with a tail", "all folded"} {
		took := make([][]time.Duration, len(requests))
		for range 100 { // the requests take turns, so that none finds in memory what only it needs
			for i, r := range requests {
				in, begin := r.in, time.Now()
				out, err := trail.LookupEvents(context.Background(), caller(home), &in)
				took[i] = append(took[i], time.Since(begin))
				if err != nil || len(out.Events) < r.least {
					t.Fatalf("%s: %d events, %v; want %d", r.name, len(out.Events), err, r.least)
				}
			}
		}
		for i, r := range requests {
			slices.Sort(took[i])
			t.Logf("%-11s %-39s p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms", index, r.name, ms(took[i][50]), ms(took[i][98]), ms(took[i][99]))
		}
		if stop(); index == "with a tail" {
			stop = start(t, trail.Run)
			followed(t, j)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
