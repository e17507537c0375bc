package metrics

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/clock"
	"vigil/internal/store"
	"vigil/internal/store/sqlite"
)

// batchOf is a request of 1,000 values across 20 metrics, each value a datum of its own.
func batchOf(r *rand.Rand, at time.Time) *cloudwatch.PutMetricDataInput {
	in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("Bench")}
	for i := range 1000 {
		in.MetricData = append(in.MetricData, types.MetricDatum{
			MetricName: aws.String("latency"),
			Dimensions: []types.Dimension{
				{Name: aws.String("Host"), Value: aws.String(fmt.Sprint("host-", i%20))},
				{Name: aws.String("Service"), Value: aws.String("checkout")},
			},
			Timestamp: &at,
			Value:     aws.Float64(r.ExpFloat64() * 10),
			Unit:      types.StandardUnitMilliseconds,
		})
	}
	return in
}

// BenchmarkPut is PutMetricData with 1,000 values across 20 metrics a request, each durable before it is answered.
func BenchmarkPut(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			h := open(b)
			running(b, h)
			r := rand.New(rand.NewPCG(1, 2))
			inputs := make([]*cloudwatch.PutMetricDataInput, 64)
			for i := range inputs {
				inputs[i] = batchOf(r, h.clock.Now())
			}
			var n atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(max(clients/2, 1))
			b.ResetTimer()
			put := func() {
				in := inputs[n.Add(1)%int64(len(inputs))]
				if _, err := h.PutMetricData(context.Background(), h.begin("PutMetricData"), in); err != nil {
					b.Error(err)
				}
			}
			if clients == 1 {
				for range b.N {
					put()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						put()
					}
				})
			}
			b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "values/s")
		})
	}
}

func running(b *testing.B, h *house) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkStatistics is what an alarm asks: five periods of a minute of one of 10,000 metrics.
func BenchmarkStatistics(b *testing.B) {
	const series = 10_000
	h := open(b)
	now := h.clock.Now().Truncate(time.Minute)
	for minute := range 6 {
		err := h.db.Update(context.Background(), func(tx store.Tx) error {
			var data []Datum
			for i := range series {
				data = append(data, Datum{Namespace: "Bench", Name: "calls", Dimensions: []Dimension{{"Key", fmt.Sprint(i)}},
					Time: now.Add(-time.Duration(minute) * time.Minute), Value: float64(i)})
			}
			return h.Put(tx, account, region, data)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, stat := range []string{"Sum", "p99"} {
		b.Run(stat, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				q := Query{Namespace: "Bench", Name: "calls", Dimensions: []Dimension{{"Key", fmt.Sprint(i % series)}},
					Stat: stat, Period: time.Minute, Start: now.Add(-4 * time.Minute), End: now.Add(time.Minute)}
				points, err := h.Statistics(context.Background(), account, region, q)
				if err != nil || len(points) != 5 {
					b.Fatal(points, err)
				}
				i++
			}
		})
	}
}

// BenchmarkDisk is a day of 100 metrics with a value a minute, folded: how many bytes a point takes on disk.
func BenchmarkDisk(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "watch.db")
		db, err := sqlite.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		h := openOn(b, db, clock.NewMovable(0))
		start := h.lastHour().Add(-24 * time.Hour)
		r := rand.New(rand.NewPCG(1, 2))
		points := 0
		for n := range 24 {
			err := db.Update(context.Background(), func(tx store.Tx) error {
				var data []Datum
				for minute := range 60 {
					for i := range 100 {
						data = append(data, Datum{Namespace: "Bench", Name: "latency", Dimensions: []Dimension{{"Key", fmt.Sprint(i)}},
							Time: start.Add(time.Duration(n*60+minute) * time.Minute), Value: r.ExpFloat64()})
						points++
					}
				}
				return h.Put(tx, account, region, data)
			})
			if err == nil {
				err = h.fold(context.Background())
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/float64(points), "bytes/point")
	}
}

// BenchmarkObserve is what the door pays for the latency of a call.
func BenchmarkObserve(b *testing.B) {
	h := open(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Observe(account, region, "Encrypt", "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", 73*time.Microsecond)
		}
	})
}
