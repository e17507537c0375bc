package deliver_test

import (
	"context"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// No statement of the outbox is SQLite's alone: the tests that run each of them pass on PostgreSQL too.
func TestPostgreSQL(t *testing.T) {
	sqlitePlace := place
	place = func(t testing.TB) string { return storetest.Postgres(t) }
	openPlace = func(url string) (store.DB, error) { return postgres.Open(context.Background(), url, "vigil_watch") }
	defer func() { place, openPlace = sqlitePlace, sqlite.Open }()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"ADeliveryArrivesAsItIs", TestADeliveryArrivesAsItIs},
		{"AnIDIsEnqueuedOnce", TestAnIDIsEnqueuedOnce},
		{"RetriesUntilItArrives", TestRetriesUntilItArrives},
		{"ARestartForgetsNothing", TestARestartForgetsNothing},
		{"DeadLettersAreListed", TestDeadLettersAreListed},
		{"Redrive", TestRedrive},
		{"DeadLettersAreKept14Days", TestDeadLettersAreKept14Days},
		{"ARateIsKept", TestARateIsKept},
		{"WhatIsWrongWithADeliveryIsADeadLetter", TestWhatIsWrongWithADeliveryIsADeadLetter},
	} {
		t.Run(test.name, test.run)
	}
}
