package trail

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
)

// TestSearchOrder searches among few records whose times are in any order, with the border between database and tail
// anywhere, and compares each page with the records sorted.
func TestSearchOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	j := openJournal(t)
	for range 60 {
		trail := newTrail(t, j, openDB(t, "history.db"), 1000)
		trail.walkPatience = []int{walkPatience, 3}[r.IntN(2)]
		var all []hit
		var read vigil.OutlineReader
		start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		n := 1 + r.IntN(25)
		for seq := range n {
			if r.IntN(8) == 0 {
				if err := trail.db.Update(context.Background(), trail.fold); err != nil {
					t.Fatal(err)
				}
			}
			at := start.Add(time.Duration(seq) * time.Second)
			if r.IntN(3) == 0 {
				at = at.Add(time.Duration(r.IntN(20)-10) * time.Second)
			}
			event := vigil.Record{EventTime: at, RecipientAccountID: home.account, AWSRegion: home.region}
			trail.add(&read, []journal.Entry{{Seq: int64(seq), Time: at.Add(time.Duration(r.IntN(1000)) * time.Millisecond), Data: event.AppendJSON(nil)}})
			all = append(all, hit{at.Unix(), int64(seq)})
		}
		slices.SortFunc(all, func(a, b hit) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		for range 20 {
			from := start.Unix() + int64(r.IntN(n+20)-10)
			q := query{scope: home, from: from, to: from + int64(r.IntN(n+5))}
			want := slices.DeleteFunc(slices.Clone(all), func(h hit) bool { return h.second < q.from || h.second > q.to })
			var got []hit
			size := 1 + r.IntN(6)
			for at, done := beginning, false; !done; {
				hits, next, last, err := trail.search(context.Background(), q, at, size)
				if err != nil {
					t.Fatal(err)
				}
				if len(hits) < size && !last {
					t.Fatalf("%d hits of %d, and there are more", len(hits), size)
				}
				got, at, done = append(got, hits...), next, last
			}
			if !slices.Equal(got, want) {
				t.Fatalf("from %d to %d, by %d: %v, want %v", q.from, q.to, size, got, want)
			}
		}
	}
}
