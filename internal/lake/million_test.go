package lake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
)

// load writes n CloudTrail records of 1.2 KB to the journal, as clients of KMS cause them, on pages of 500.
func load(t testing.TB, j *journal.Journal, n int) {
	random := rand.New(rand.NewPCG(5, 6))
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = "arn:aws:kms:us-east-1:111122223333:key/" + uuid.NewString()
	}
	at := queryNow.Add(-24 * time.Hour)
	record := func() vigil.Record {
		at = at.Add(80 * time.Millisecond)
		arn, user := keys[random.IntN(len(keys))], fmt.Sprint("service-", random.IntN(20))
		return vigil.Record{
			EventVersion:        vigil.RecordVersion,
			UserIdentity:        vigil.UserIdentity{Type: "IAMUser", PrincipalID: "AIDAIOSFODNN7EXAMPLE", ARN: "arn:aws:iam::111122223333:user/" + user, AccountID: "111122223333", AccessKeyID: "AKIAIOSFODNN7EXAMPLE", UserName: user},
			EventTime:           at,
			EventSource:         "kms.amazonaws.com",
			EventName:           []string{"Encrypt", "Decrypt", "GenerateDataKey", "DescribeKey"}[random.IntN(4)],
			AWSRegion:           "us-east-1",
			SourceIPAddress:     fmt.Sprint("192.0.2.", random.IntN(256)),
			UserAgent:           "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4",
			RequestParameters:   []byte(`{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"` + arn + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`),
			AdditionalEventData: []byte(`{"keyMaterialId":"96083e4fb6dbc41d77578c213a6b6669c044dd4c143e96755396d2bf11fd6068"}`),
			RequestID:           uuid.NewString(),
			EventID:             call.NewEventID(at),
			ReadOnly:            true,
			Resources:           []vigil.Resource{{AccountID: "111122223333", Type: "AWS::KMS::Key", ARN: arn}},
			EventType:           vigil.AwsAPICall,
			ManagementEvent:     true,
			RecipientAccountID:  "111122223333",
			EventCategory:       "Management",
		}
	}
	for range n / 500 {
		batch := make([]vigil.Record, 500)
		for i := range batch {
			batch[i] = record()
		}
		write(t, j, batch...)
	}
	if err := j.WaitSequenced(context.Background()); err != nil {
		t.Fatal(err)
	}
}

var loadQueries = []struct{ name, statement string }{
	{"by event name", "SELECT eventName, COUNT(*) AS n FROM {A} GROUP BY eventName ORDER BY n DESC"},
	{"an hour by user", "SELECT userIdentity.userName, COUNT(*) FROM {A} WHERE eventTime > '2026-03-15 08:00:00' AND eventTime <= '2026-03-15 09:00:00' GROUP BY userIdentity.userName"},
	{"of one user", "SELECT eventID, eventTime FROM {A} WHERE userIdentity.userName = 'service-7' AND sourceIPAddress = '192.0.2.7'"},
	{"by key", "SELECT element_at(requestParameters, 'keyId') AS k, COUNT(*) AS n, MAX(eventTime) FROM {A} GROUP BY element_at(requestParameters, 'keyId') ORDER BY n DESC LIMIT 10"},
	{"a pattern", "SELECT COUNT(*) FROM {A} WHERE userAgent LIKE '%Windows%'"},
	{"joined", "SELECT COUNT(*) FROM {A} x JOIN (SELECT eventID AS id FROM {A}) y ON x.eventID = y.id"},
	{"each row", "SELECT eventID FROM {A} WHERE eventName LIKE 'Enc%' ORDER BY eventID DESC LIMIT 5"},
}

// BenchmarkQuery is queries over 20,000 records.
func BenchmarkQuery(b *testing.B) {
	const n = 20_000
	l := newLab(b)
	load(b, l.journal, n)
	l.views[storeA].end = l.journal.Sequenced()
	for _, q := range loadQueries {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.run(context.Background(), fill(q.statement)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// TestAMillion reports how long queries over a million records take.
func TestAMillion(t *testing.T) {
	if os.Getenv("VIGIL_TEST_MILLION") != "1" {
		t.Skip("VIGIL_TEST_MILLION=1 lets this test make a million records, which takes a minute or two")
	}
	l := newLab(t)
	load(t, l.journal, 1_000_000)
	l.views[storeA].end = l.journal.Sequenced()
	for _, q := range loadQueries {
		var took []time.Duration
		var rows []string
		used := processorTime()
		for range 3 {
			begun := time.Now()
			var err error
			if rows, err = l.run(context.Background(), fill(q.statement)); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		t.Logf("%-16s %6d rows, the last %s  min %v  median %v  processor time %v each", q.name, len(rows)-1, rows[len(rows)-1],
			took[0].Round(time.Millisecond), took[1].Round(time.Millisecond), ((processorTime() - used) / 3).Round(time.Millisecond))
	}
}

// processorTime is what this process has used, which says more than how long something took when the machine has other work too.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
