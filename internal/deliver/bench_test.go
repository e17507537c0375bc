package deliver_test

import (
	"context"
	"testing"

	"vigil/internal/deliver"
	"vigil/internal/store"
)

// BenchmarkDeliver sends requests of 1.2 KB to an endpoint on this machine, enqueued 100 in a transaction.
func BenchmarkDeliver(b *testing.B) {
	h, e := open(b), newEndpoint(b, nil)
	h.run(b)
	body := make([]byte, 1200)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= 100 {
		err := h.db.Update(context.Background(), func(tx store.Tx) error {
			for range min(left, 100) {
				if err := h.outbox.Enqueue(tx, deliver.Delivery{Kind: deliver.HTTP, URL: e.URL, Body: body}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	eventually(b, "all have arrived", func() bool { return h.stats(b).Delivered == int64(b.N) })
}
