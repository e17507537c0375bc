package alarms_test

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
	openPlace = func(url, name string) (store.DB, error) {
		return postgres.Open(context.Background(), url, "vigil_"+name)
	}
	defer func() { place, openPlace = sqlitePlace, openSQLite }()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"AnAlarmFires", TestAnAlarmFires},
		{"WhatHappenedDuringAPauseIsMadeUpFor", TestWhatHappenedDuringAPauseIsMadeUpFor},
		{"ARestartInTheMiddleOfAnEvaluation", TestARestartInTheMiddleOfAnEvaluation},
		{"SetAlarmState", TestSetAlarmState},
		{"ActionsThatAreDisabledAreNotDone", TestActionsThatAreDisabledAreNotDone},
		{"DescribeAndDelete", TestDescribeAndDelete},
	} {
		t.Run(test.name, test.run)
	}
}
