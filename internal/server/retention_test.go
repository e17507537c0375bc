package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil"
	"vigil/internal/notary"
	"vigil/internal/notary/notarytest"
	"vigil/internal/server"
	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// keeping is a server that keeps records for 90 days, which can be stopped and started again.
type keeping struct {
	*house
	config server.Config
}

func (k *keeping) start() {
	k.t.Helper()
	var err error
	if k.running, err = server.Start(context.Background(), k.config); err != nil {
		k.t.Fatal(err)
	}
	if k.profile, err = server.ReadProfile(k.dir, "default"); err != nil {
		k.t.Fatal(err)
	}
}

// TestRetention has a server whose records become too old: they go, the log and the rest stay, and verify knows what went.
func TestRetention(t *testing.T) {
	const day = 24 * time.Hour
	for engine, url := range map[string]func() string{"sqlite": func() string { return "" }, "postgres": func() string { return storetest.Postgres(t) }} {
		t.Run(engine, func(t *testing.T) {
			dir := t.TempDir()
			k := &keeping{house: &house{t: t, dir: dir}, config: server.Config{Listen: "127.0.0.1:0", Data: dir, Region: region, TestClock: true, Retention: 90 * day, Database: url()}}
			k.start()
			t.Cleanup(func() { k.running.Stop() })
			key := k.key("")
			encrypt := func(n int) {
				t.Helper()
				client := kms.NewFromConfig(k.house.config())
				for range n {
					if _, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}); err != nil {
						t.Fatal(err)
					}
				}
			}
			encrypt(300)
			r := k.reader()
			k.sealed()
			r.Visit(t)
			k.advance(89 * day)
			encrypt(20)
			if dropped := k.dropped(); dropped != 0 {
				t.Fatalf("%d records are dropped after 89 days", dropped)
			}
			k.advance(3 * day)
			k.eventually("old records are dropped", func() bool { return k.dropped() >= 302 })
			first := k.dropped()
			if first > 304 {
				t.Errorf("%d records are dropped", first)
			}
			k.sealed()
			r.Visit(t)
			found, err := cloudtrail.NewFromConfig(k.house.config()).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
			if err != nil || len(found.Events) < 20 {
				t.Errorf("%d events are found: %v", len(found.Events), err)
			}

			k.running.Stop()
			report := k.check()
			if !report.Good() || report.Dropped != first || report.Retention == nil || report.Retention.Before != first {
				t.Errorf("%d records are said to be dropped: %+v; found is %q", report.Dropped, report.Retention, report.Findings)
			}
			k.forge(`DELETE FROM journal_page WHERE EXISTS (SELECT 1 FROM journal_order o WHERE o.node = journal_page.node AND o.number = journal_page.number AND o.first < 310)`,
				`UPDATE journal_dropped SET next = 310`)
			if report := k.check(); report.Good() || !strings.Contains(strings.Join(report.Findings, "\n"), "is missing") {
				t.Errorf("more records than retention has dropped are gone, and found is %q", report.Findings)
			}
			k.start()
		})
	}
}

// TestRetentionIsAskedFor has a server that keeps everything, as it is by itself, and is then told not to.
func TestRetentionIsAskedFor(t *testing.T) {
	const day = 24 * time.Hour
	dir := t.TempDir()
	k := &keeping{house: &house{t: t, dir: dir}, config: server.Config{Listen: "127.0.0.1:0", Data: dir, Region: region, TestClock: true}}
	k.start()
	t.Cleanup(func() { k.running.Stop() })
	key := k.key("")
	k.advance(100 * day)
	if _, err := kms.NewFromConfig(k.house.config()).Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	k.sealed()
	if dropped := k.dropped(); dropped != 0 {
		t.Errorf("without --retention %d records are dropped", dropped)
	}
	k.config.Retention = 50 * day
	k.running.Stop()
	k.start()
	k.eventually("old records are dropped", func() bool { return k.dropped() >= 2 })
	k.running.Stop()
	if r := k.check(); !r.Good() || r.Dropped < 2 {
		t.Errorf("%d records are dropped, and found is %q", r.Dropped, r.Findings)
	}
	k.start()
}

// TestRetentionOfEventDataStores has records that are past --retention and in an event data store, which keeps them longer: until the store is gone.
func TestRetentionOfEventDataStores(t *testing.T) {
	const day = 24 * time.Hour
	dir := t.TempDir()
	k := &keeping{house: &house{t: t, dir: dir}, config: server.Config{Listen: "127.0.0.1:0", Data: dir, Region: region, TestClock: true, Retention: 30 * day}}
	k.start()
	t.Cleanup(func() { k.running.Stop() })
	k.key("") // before the store: it is not in it
	k.advance(2 * day)
	lake := cloudtrail.NewFromConfig(k.house.config())
	made, err := lake.CreateEventDataStore(t.Context(), &cloudtrail.CreateEventDataStoreInput{Name: new("long"), RetentionPeriod: aws.Int32(100), TerminationProtectionEnabled: aws.Bool(false)})
	if err != nil {
		t.Fatal(err)
	}
	k.key("")
	k.sealed()
	kept := k.running.Journal().Sequenced() - 1 // the index of the key's record
	holds := func(when string) {
		t.Helper()
		id := (*made.EventDataStoreArn)[strings.LastIndexByte(*made.EventDataStoreArn, '/')+1:]
		started, err := lake.StartQuery(t.Context(), &cloudtrail.StartQueryInput{QueryStatement: new("SELECT count(*) FROM " + id + " WHERE eventName = 'CreateKey'")})
		if err != nil {
			t.Fatal(err)
		}
		var out *cloudtrail.GetQueryResultsOutput
		k.eventually("the query is answered", func() bool {
			if out, err = lake.GetQueryResults(t.Context(), &cloudtrail.GetQueryResultsInput{QueryId: started.QueryId}); err != nil {
				t.Fatal(err)
			}
			return out.QueryStatus == types.QueryStatusFinished
		})
		if n, dropped := out.QueryResultRows[0][0]["_col0"], k.dropped(); n != "1" || dropped > kept {
			t.Errorf("%s %s keys are found in the store, and %d records are dropped; the store's own is record %d", when, n, dropped, kept)
		}
	}
	k.advance(60 * day)
	k.eventually("what is in no store is dropped", func() bool { return k.dropped() > 0 })
	holds("after 60 days")
	k.advance(33 * day)
	holds("after 93 days")

	if _, err := lake.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: made.EventDataStoreArn}); err != nil {
		t.Fatal(err)
	}
	k.advance(3 * day) // it can still be taken back
	if _, err := lake.RestoreEventDataStore(t.Context(), &cloudtrail.RestoreEventDataStoreInput{EventDataStore: made.EventDataStoreArn}); err != nil {
		t.Fatal(err)
	}
	holds("when its deletion was taken back")
	if _, err := lake.DeleteEventDataStore(t.Context(), &cloudtrail.DeleteEventDataStoreInput{EventDataStore: made.EventDataStoreArn}); err != nil {
		t.Fatal(err)
	}
	k.advance(8 * day)
	k.eventually("the store is gone", func() bool {
		_, err := lake.GetEventDataStore(t.Context(), &cloudtrail.GetEventDataStoreInput{EventDataStore: made.EventDataStoreArn})
		return err != nil
	})
	k.advance(time.Hour)
	k.eventually("what was in the store is dropped", func() bool { return k.dropped() > kept })
	k.running.Stop()
	if r := k.check(); !r.Good() {
		t.Errorf("found is %q", r.Findings)
	}
	k.start()
}

func TestAShortRetentionIsRefused(t *testing.T) {
	for _, retention := range []time.Duration{time.Second, 23 * time.Hour, -time.Hour} {
		s, err := server.Start(t.Context(), server.Config{Listen: "127.0.0.1:0", Data: t.TempDir(), Region: region, Retention: retention})
		if err == nil {
			s.Stop()
			t.Errorf("records are kept for %v", retention)
		} else if !strings.Contains(err.Error(), "--retention") {
			t.Errorf("%v: %v", retention, err)
		}
	}
}

func (k *keeping) sealed() {
	k.t.Helper()
	if err := k.running.Journal().Wait(k.t.Context(), notary.Follower); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeping) dropped() int64 {
	k.t.Helper()
	dropped, err := k.running.Journal().Dropped(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	return dropped
}

// reader is an independent reader of the log.
func (k *keeping) reader() *notarytest.Reader {
	return notarytest.NewReader(k.t, k.running.LogKey(), func(resource string) []byte {
		resp, err := http.Get(k.running.URL() + notary.Prefix + resource)
		if err != nil {
			k.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			k.t.Fatalf("%s: %s, %v", resource, resp.Status, err)
		}
		return body
	})
}

func (k *keeping) open(name string) store.DB {
	k.t.Helper()
	var db store.DB
	var err error
	if k.config.Database != "" {
		db, err = postgres.Open(context.Background(), k.config.Database, strings.ReplaceAll(name, "-", "_"))
	} else {
		db, err = sqlite.Open(filepath.Join(k.dir, name+".db"))
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return db
}

// check holds the stopped server's database against its log.
func (k *keeping) check() *notary.Report {
	k.t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(k.dir, name))
		if err != nil {
			k.t.Fatal(err)
		}
		return data
	}
	key, err := vigil.NewVerifier(string(bytes.TrimSpace(read(notary.KeyFile))))
	if err != nil {
		k.t.Fatal(err)
	}
	db := k.open("vigil")
	defer db.Close()
	report, err := notary.Check(k.t.Context(), db, notary.CheckOptions{Key: key, Known: []notary.Known{{From: notary.CheckpointFile, Note: read(notary.CheckpointFile)}}})
	if err != nil {
		k.t.Fatal(err)
	}
	return report
}

func (k *keeping) forge(statements ...string) {
	k.t.Helper()
	db := k.open("vigil")
	defer db.Close()
	if err := db.Update(context.Background(), func(tx store.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
}
