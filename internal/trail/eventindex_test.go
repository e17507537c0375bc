package trail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// TestEventIndex puts ids little by little, so that runs are merged more than once, and finds all of them, and hardly anything else.
func TestEventIndex(t *testing.T) {
	trail := newTrail(t, openJournal(t), openDB(t, "history.db"), 1)
	r := rand.New(rand.NewPCG(5, 6))
	places := map[int64][]int64{}
	seq := int64(0)
	for range 150 {
		var some []eventPlace
		for range r.IntN(40) {
			key := eventKey(fmt.Appendf(nil, "id %d", r.IntN(2500))) // some several times
			some = append(some, eventPlace{key, seq})
			places[key] = append(places[key], seq)
			seq++
		}
		if err := trail.db.Update(context.Background(), func(tx store.Tx) error { return putEvents(tx, some) }); err != nil {
			t.Fatal(err)
		}
	}
	err := trail.db.View(context.Background(), func(tx store.Tx) error {
		runs, err := eventRuns(tx)
		if err != nil {
			return err
		}
		if len(runs) > 3*mergeRuns {
			t.Errorf("there are %d runs", len(runs))
		}
		var keys []int64
		for i := range 5000 {
			keys = append(keys, eventKey(fmt.Appendf(nil, "id %d", i)))
		}
		slices.Sort(keys)
		found := map[int64][]int64{}
		if err := trail.findEvents(tx, keys, func(e eventPlace) { found[e.key] = append(found[e.key], e.seq) }); err != nil {
			return err
		}
		for key, want := range places {
			slices.Sort(found[key])
			if !slices.Equal(found[key], want) {
				t.Errorf("%d is at %v, want %v", key, found[key], want)
			}
		}
		if len(found) != len(places) {
			t.Errorf("%d ids were found, want %d", len(found), len(places))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFindEvents finds the records of events by ids of every kind, wherever they are, once what was appended before is followed.
func TestFindEvents(t *testing.T) {
	j := openJournal(t)
	trail := newTrail(t, j, openDB(t, "history.db"), 30)
	start(t, trail.Run)
	records := newTraffic(3).records(500, time.Now().Add(-1000*time.Hour))
	rand.New(rand.NewPCG(1, 9)).Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	var ids []string
	for some := range slices.Chunk(records, 50) {
		commit(t, j, some, 10)
		for _, r := range some {
			parsed, err := vigil.ParseRecord(r.Data)
			if err != nil {
				parsed = new(vigil.Record)
			}
			ids = append(ids, parsed.EventID)
		}
		found, err := trail.FindEvents(context.Background(), append(ids, "no such event"))
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if id != "" && !slices.ContainsFunc(found[i], func(seq int64) bool { return ofEvent(t, j, seq, id) }) {
				t.Errorf("event %s of %d is not found", id, len(ids))
			}
		}
		if len(found[len(ids)]) > 0 {
			t.Errorf("an event that does not exist is found at %v", found[len(ids)])
		}
	}
}

func ofEvent(t *testing.T, j *journal.Journal, seq int64, id string) bool {
	entries, err := j.Get(context.Background(), []int64{seq})
	if err != nil || len(entries) != 1 {
		t.Fatalf("record %d: %d, %v", seq, len(entries), err)
	}
	r, err := vigil.ParseRecord(entries[0].Data)
	return err == nil && r.EventID == id
}
