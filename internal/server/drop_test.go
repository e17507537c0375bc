package server

import (
	"context"
	"testing"
	"time"

	"vigil/internal/notary"
)

// TestAStatedDropIsDone breaks a drop off behind its statement, as a crash would: the next start does what was stated, whatever the retention is by then.
func TestAStatedDropIsDone(t *testing.T) {
	config := Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Region: "us-east-1"}
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Stop() }()
	for range 3 {
		if err := s.journal.Wait(t.Context(), notary.Follower); err != nil {
			t.Fatal(err)
		}
		if err := s.notary.State(t.Context(), 1, s.clock.Now(), s.clock.Now(), s.dropRecord); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := s.journal.Dropped(t.Context()); dropped != 0 || err != nil {
		t.Fatalf("%d records are dropped: %v", dropped, err)
	}
	s.Stop()
	if s, err = Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for dropped := int64(0); dropped != 1; {
		if dropped, err = s.journal.Dropped(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}
