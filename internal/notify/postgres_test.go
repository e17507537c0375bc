package notify_test

import (
	"context"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/storetest"
)

// No statement of the service is SQLite's alone: the tests that run each of them pass on PostgreSQL too.
func TestPostgreSQL(t *testing.T) {
	sqlitePlace := place
	place = func(t testing.TB) string { return storetest.Postgres(t) }
	openPlace = func(url, schema string) (store.DB, error) { return postgres.Open(context.Background(), url, schema) }
	defer func() { place, openPlace = sqlitePlace, openSQLite }()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"UnsubscribeByLinkAndBack", TestUnsubscribeByLinkAndBack},
		{"ConfirmSubscription", TestConfirmSubscription},
		{"TokensAreValidTwoDays", TestTokensAreValidTwoDays},
		{"ARestartKeepsAll", TestARestartKeepsAll},
		{"Lists", TestLists},
		{"TopicAttributesAndTags", TestTopicAttributesAndTags},
	} {
		t.Run(test.name, test.run)
	}
}
