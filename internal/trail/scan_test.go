package trail

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/keylife"
	"vigil/internal/store"
)

// TestScan compares what Scan visits of each resource with all records, in the tail and in the database.
func TestScan(t *testing.T) {
	records := newTraffic(1).records(3000, time.Now().Add(-400*24*time.Hour))
	for _, test := range []struct {
		name   string
		open   func(t testing.TB, name string) store.DB
		foldAt int
	}{
		{"all in the tail", openDB, len(records) + 1},
		{"most in the database", openDB, 400},
		{"in PostgreSQL", openPostgres, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := openJournal(t)
			trail := newTrail(t, j, test.open(t, "history"), test.foldAt)
			start(t, trail.Run)
			for part := range slices.Chunk(records, 300) {
				commit(t, j, part, 23)
				followed(t, j)
			}
			for resource, want := range byResource(t, j) {
				var got []int64
				if err := trail.Scan(t.Context(), home.account, home.region, resource, func(e journal.Entry) error {
					got = append(got, e.Seq)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: got the records %v, want %v", resource, got, want)
				}
			}
		})
	}
}

// byResource are the indexes of the records of home that name each resource.
func byResource(t *testing.T, j *journal.Journal) map[string][]int64 {
	all := map[string][]int64{}
	var r vigil.OutlineReader
	var f facts
	for seq := range j.Sequenced() {
		entries, err := j.Get(t.Context(), []int64{seq})
		if err != nil {
			t.Fatal(err)
		}
		if r.Read(entries[0].Data, &f.Outline) != nil || !f.management() || string(f.Account) != home.account || string(f.Region) != home.region {
			continue
		}
		for _, one := range f.Resources {
			if list := all[string(one.ARN)]; len(one.ARN) > 0 && (len(list) == 0 || list[len(list)-1] != seq) {
				all[string(one.ARN)] = append(list, seq)
			}
		}
	}
	if len(all) < 3 {
		t.Fatal("the traffic has too few resources")
	}
	return all
}

// BenchmarkScan folds the life of a key that is used in every record: VIGIL_TEST_SCAN_RECORDS of them, or 100,000.
func BenchmarkScan(b *testing.B) {
	n := 100_000
	if asked, err := strconv.Atoi(os.Getenv("VIGIL_TEST_SCAN_RECORDS")); err == nil {
		n = asked
	}
	j := openJournal(b)
	trail := newTrail(b, j, openDB(b, "history"), foldRecords)
	start(b, trail.Run)
	l := newLoad(time.Now(), time.Millisecond)
	records := make([]journal.Record, 0, 256)
	for i := range n {
		if records = append(records, l.record(l.rare)); len(records) == cap(records) || i == n-1 {
			commit(b, j, records, 256)
			records = records[:0]
		}
	}
	followed(b, j)
	for b.Loop() {
		fold := keylife.New(l.rare, time.Now(), 0)
		if err := trail.Scan(b.Context(), home.account, home.region, l.rare, func(e journal.Entry) error {
			fold.Add(e.Data, false)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if got := fold.Life().Records.Count; got != int64(n) {
			b.Fatalf("%d records, want %d", got, n)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
