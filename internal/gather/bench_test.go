package gather

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"vigil"
)

// BenchmarkRead reads a log file of 1,000 records.
func BenchmarkRead(b *testing.B) {
	const count = 1000
	text, err := os.ReadFile("../trail/testdata/records.ndjson")
	if err != nil {
		b.Fatal(err)
	}
	records := strings.Split(strings.TrimSpace(string(text)), "\n")
	w := vigil.NewLogFileWriter()
	size := 0
	for i := range count {
		record := records[i%len(records)]
		size += len(record)
		w.Add([]byte(record))
	}
	file, _ := w.Close()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_, err := Read("x.json.gz", bytes.NewReader(file), Taker{Record: func([]byte, Place) error { n++; return nil }})
		if err != nil || n != count {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/record")
}
