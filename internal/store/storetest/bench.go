package storetest

import (
	"context"
	"crypto/rand"
	"slices"
	"syscall"
	"testing"
	"time"

	"vigil/internal/store"
)

// BenchmarkUpdate8K is what a batch of the journal is to a database: one transaction that inserts a row of 8 KB.
// Beside the time that it takes, most of which is the disk's or the server's, it reports this process's CPU time.
func BenchmarkUpdate8K(b *testing.B, db store.DB) {
	ctx := context.Background()
	if err := db.Migrate(ctx, "bench", `CREATE TABLE bench (node BIGINT, number BIGINT, body BYTEA NOT NULL, PRIMARY KEY (node, number))`); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 8<<10)
	rand.Read(body)
	var took []time.Duration
	b.ReportAllocs()
	before := cpuTime()
	for b.Loop() {
		start := time.Now()
		err := db.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`INSERT INTO bench (node, number, body) VALUES ($1, $2, $3)`, 1, len(took), body)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(len(took)), "cpu-µs/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
