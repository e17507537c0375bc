package trail_test

import (
	"testing"

	"github.com/google/uuid"

	"vigil"
)

// BenchmarkTrails delivers a journal's records to a log group.
func BenchmarkTrails(b *testing.B) {
	const n = 50_000
	h := open(b)
	h.createGroup(alice, "events")
	h.createTrail(alice, "mine", "events", false)
	h.followed()
	for b.Loop() {
		b.StopTimer()
		h.stopTrails()
		for range n / 64 {
			page := make([]vigil.Record, 64)
			for i := range page {
				page[i] = alice.record(h.clock.Now(), "Encrypt")
				page[i].UserAgent = "aws-sdk-go-v2/1.47.7 ua/2.1 os/linux lang/go#1.26.8 md/GOOS#linux md/GOARCH#amd64 api/kms#1.62.4"
				page[i].RequestParameters = []byte(`{"encryptionContext":{"tenant":"acme","purpose":"invoices"},"keyId":"arn:aws:kms:us-east-1:111122223333:key/` + uuid.NewString() + `","encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`)
				page[i].RequestID = uuid.NewString()
				page[i].SourceIPAddress = "192.0.2.1"
			}
			h.commit(page...)
		}
		b.StartTimer()
		h.begin()
		h.followed()
	}
	b.ReportMetric(n/64*64*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
