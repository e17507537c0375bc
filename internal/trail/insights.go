package trail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
	"vigil/internal/trail/insights"
)

// insightsMigration is a step of the main database: what trails want, and the Insights events that are in the journal.
const insightsMigration = `CREATE TABLE trail_insight_selector (
	trail    BIGINT NOT NULL PRIMARY KEY,
	document TEXT   NOT NULL); -- a JSON list of types.InsightSelector

CREATE TABLE trail_insight_event (
	id      TEXT   NOT NULL PRIMARY KEY,
	account TEXT   NOT NULL,
	region  TEXT   NOT NULL,
	second  BIGINT NOT NULL, -- eventTime, in seconds since 1970
	number  BIGINT NOT NULL, -- in the order of the journal
	source  TEXT   NOT NULL,
	name    TEXT   NOT NULL,
	record  TEXT   NOT NULL);
CREATE INDEX trail_insight_event_time ON trail_insight_event (account, region, second, number);`

// insightsDataMigration is a step of the watch database: what the models have learned, as of an index of the journal, and the events that
// they have made, as long as it is not known that those are in the journal.
const insightsDataMigration = `CREATE TABLE trail_insight_model (
	account  TEXT NOT NULL,
	region   TEXT NOT NULL,
	document TEXT NOT NULL, -- insights.Model as JSON
	PRIMARY KEY (account, region));

CREATE TABLE trail_insight_cursor (
	one  BIGINT NOT NULL PRIMARY KEY,
	next BIGINT NOT NULL); -- the first record that the models do not know

CREATE TABLE trail_insight_pending (
	id       TEXT   NOT NULL PRIMARY KEY,
	number   BIGINT NOT NULL,
	account  TEXT   NOT NULL,
	region   TEXT   NOT NULL,
	record   TEXT   NOT NULL)`

// loadInsightSelectors reads what insights a trail wants.
func loadInsightSelectors(tx store.Tx, trail int64) (wanted []types.InsightSelector, err error) {
	var text string
	err = tx.QueryRow(`SELECT document FROM trail_insight_selector WHERE trail = $1`, trail).Scan(&text)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &wanted)
	}
	return wanted, err
}

// PutInsightSelectors says which insights a trail wants, in its home region; an empty list is none. The events that are looked at are the
// management events of the account, in the regions of the trail, from now on, and the first insights come after 24 hours of them. A trail that
// is to have insights of calls must take write management events, and one that is to have those of errors any management events.
func (t *Trail) PutInsightSelectors(_ context.Context, c *call.Call, in *cloudtrail.PutInsightSelectorsInput) (*cloudtrail.PutInsightSelectorsOutput, error) {
	if in.EventDataStore != nil || in.InsightsDestination != nil {
		return nil, call.NotBuilt("Insights of event data stores")
	}
	if in.TrailName == nil {
		return nil, call.Errorf("InvalidParameterException", "TrailName is required.")
	}
	found, err := t.homed(c, "PutInsightSelectors", *in.TrailName)
	if err != nil {
		return nil, err
	}
	if err := checkInsights(found, in.InsightSelectors); err != nil {
		return nil, err
	}
	text, err := json.Marshal(in.InsightSelectors)
	if err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, changed *aTrail, _ []*aTrail) error {
		if len(in.InsightSelectors) == 0 {
			_, err := tx.Exec(`DELETE FROM trail_insight_selector WHERE trail = $1`, changed.id)
			return err
		}
		_, err := tx.Exec(`INSERT INTO trail_insight_selector (trail, document) VALUES ($1, $2)
			ON CONFLICT (trail) DO UPDATE SET document = excluded.document`, changed.id, string(text))
		return err
	})
	return &cloudtrail.PutInsightSelectorsOutput{TrailARN: aws.String(found.arn().String()), InsightSelectors: in.InsightSelectors}, nil
}

func checkInsights(t *aTrail, list []types.InsightSelector) error {
	invalid := func(format string, args ...any) error {
		return call.Errorf("InvalidInsightSelectorsException", format, args...)
	}
	seen := map[types.InsightType]bool{}
	for _, s := range list {
		switch {
		case s.InsightType != types.InsightTypeApiCallRateInsight && s.InsightType != types.InsightTypeApiErrorRateInsight:
			return invalid("The insight type %q is not valid. The types are ApiCallRateInsight and ApiErrorRateInsight.", s.InsightType)
		case seen[s.InsightType]:
			return invalid("The insight type %s is in the selectors more than once.", s.InsightType)
		case slices.Contains(s.EventCategories, types.SourceEventCategoryData):
			return call.NotBuilt("Insights of data events")
		}
		seen[s.InsightType] = true
		set := t.latest().set
		if !set.TakesManagement(false) && (s.InsightType == types.InsightTypeApiCallRateInsight || !set.TakesManagement(true)) {
			return invalid("The trail does not log the management events that %s is about.", s.InsightType)
		}
	}
	return nil
}

// GetInsightSelectors shows which insights a trail wants.
func (t *Trail) GetInsightSelectors(_ context.Context, c *call.Call, in *cloudtrail.GetInsightSelectorsInput) (*cloudtrail.GetInsightSelectorsOutput, error) {
	if in.EventDataStore != nil {
		return nil, call.NotBuilt("Insights of event data stores")
	}
	if in.TrailName == nil {
		return nil, call.Errorf("InvalidParameterException", "TrailName is required.")
	}
	found, err := t.named(c, "GetInsightSelectors", *in.TrailName)
	if err != nil {
		return nil, err
	}
	if len(found.insights) == 0 {
		return nil, call.Errorf("InsightNotEnabledException",
			"Trail %s does not have Insights enabled. Edit the trail settings to enable Insights, and then try the operation again.", found.name)
	}
	return &cloudtrail.GetInsightSelectorsOutput{TrailARN: aws.String(found.arn().String()), InsightSelectors: found.insights}, nil
}

// wants says whether a trail has insights of a kind.
func (t *aTrail) wants(kind string) bool {
	return slices.ContainsFunc(t.insights, func(s types.InsightSelector) bool { return string(s.InsightType) == kind })
}

// Finding them.

const (
	insightsRound = time.Second      // between two looks at what happened
	insightsGrace = 30 * time.Second // for what has happened in a minute to come into the journal
)

// finder looks for insights. What it has learned is in memory, and in the watch database as of some index of the journal; a new process reads
// again what came after that.
type finder struct {
	*Trail
	models map[scope]*insights.Model
	next   int64 // the first record that they do not know
	saved  time.Time
	reader vigil.OutlineReader
}

// RunInsights finds insights for the trails that want them, until ctx is done. Its events are records of the journal, each once, and so
// go wherever records go. It is called once, and only when the trails are configured.
func (t *Trail) RunInsights(ctx context.Context) error {
	f := &finder{Trail: t}
	for {
		if err := f.round(ctx); err != nil {
			f.models = nil // what is in memory may be more than what is known to be kept
			if ctx.Err() == nil {
				f.log.Warn("insights: a look at the journal failed, and is tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(insightsRound):
		}
	}
}

// round takes in what has happened since the last one, judges the minutes that are over, and records what is unusual.
func (f *finder) round(ctx context.Context) error {
	if f.models == nil {
		if err := f.load(ctx); err != nil {
			return err
		}
	}
	if err := f.publish(ctx); err != nil { // what an earlier process left
		return err
	}
	wanted := f.insightScopes()
	now := f.clock.Now()
	if !f.follow(wanted, now) {
		f.next = f.journal.Sequenced()
		return nil
	}
	if err := f.read(ctx, f.journal.Sequenced()); err != nil {
		return err
	}
	over := now.Add(-insightsGrace).Unix() / 60
	found := map[scope][]insights.Event{}
	for s, m := range f.models {
		for _, e := range m.Close(over) {
			if wanted[s][string(e.Details.InsightType)] {
				found[s] = append(found[s], e)
			}
		}
	}
	if len(found) == 0 && now.Sub(f.saved).Abs() < time.Minute {
		return nil
	}
	if err := f.save(ctx, found); err != nil {
		return err
	}
	f.saved = now
	return f.publish(ctx)
}

// insightScopes are the accounts and regions that insights are wanted of, and which.
func (t *Trail) insightScopes() map[scope]map[string]bool {
	t.trailsMu.RLock()
	defer t.trailsMu.RUnlock()
	wanted := map[scope]map[string]bool{}
	for account, trails := range t.trails {
		for _, one := range present(trails) {
			if !one.isLogging() {
				continue
			}
			region := one.home
			if one.everywhere {
				region = everyRegion
			}
			for _, s := range one.insights {
				at := scope{account: account, region: region}
				if wanted[at] == nil {
					wanted[at] = map[string]bool{}
				}
				wanted[at][string(s.InsightType)] = true
			}
		}
	}
	return wanted
}

// everyRegion stands for the regions of a trail of all regions. Each has a model of its own, once something has happened there.
const everyRegion = "*"

// follow has a model for each region that is wanted, and none for others. It says whether there is anything to follow.
func (f *finder) follow(wanted map[scope]map[string]bool, now time.Time) bool {
	for s := range f.models {
		of := map[string]bool{}
		for _, region := range []string{s.region, everyRegion} {
			for kind := range wanted[scope{account: s.account, region: region}] {
				of[kind] = true
			}
		}
		if len(of) == 0 {
			delete(f.models, s)
		} else {
			wanted[s] = of
		}
	}
	for s := range wanted {
		if s.region != everyRegion && f.models[s] == nil {
			f.models[s] = insights.New(now.Unix() / 60)
		}
	}
	return len(wanted) > 0
}

// read takes in the records up to end.
func (f *finder) read(ctx context.Context, end int64) error {
	wanted := f.insightScopes()
	var o vigil.Outline
	for f.next < end {
		seqs := make([]int64, min(loadRecords, end-f.next))
		for i := range seqs {
			seqs[i] = f.next + int64(i)
		}
		entries, err := f.journal.Get(ctx, seqs)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Imported.IsZero() || f.reader.Read(e.Data, &o) != nil {
				continue // what was done elsewhere says nothing of the rates here
			}
			s := scope{account: string(o.Account), region: string(o.Region)}
			m := f.models[s]
			if m == nil && len(wanted[scope{account: s.account, region: everyRegion}]) > 0 {
				m = insights.New(o.Second / 60)
				f.models[s] = m
			}
			if m != nil {
				m.Add(&o)
			}
		}
		f.next = seqs[len(seqs)-1] + 1
	}
	return nil
}

// load reads what was learned. Who has learned nothing yet begins with what happens now.
func (f *finder) load(ctx context.Context) error {
	models, next := map[scope]*insights.Model{}, f.journal.Sequenced()
	err := f.watch.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT next FROM trail_insight_cursor WHERE one = 1`).Scan(&next)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT account, region, document FROM trail_insight_model`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s scope
			var text string
			if err := rows.Scan(&s.account, &s.region, &text); err != nil {
				return err
			}
			m := new(insights.Model)
			if err := json.Unmarshal([]byte(text), m); err != nil {
				return fmt.Errorf("model of %s in %s: %w", s.account, s.region, err)
			}
			models[s] = m
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	f.models, f.next = models, next
	return nil
}

// save keeps what was learned, with the events that came of it.
func (f *finder) save(ctx context.Context, found map[scope][]insights.Event) error {
	return f.watch.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM trail_insight_model`); err != nil {
			return err
		}
		for s, m := range f.models {
			text, err := json.Marshal(m)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`INSERT INTO trail_insight_model (account, region, document) VALUES ($1, $2, $3)`, s.account, s.region, string(text)); err != nil {
				return err
			}
		}
		number := 0
		for s, events := range found {
			for _, e := range events {
				record, err := e.Record(s.account, s.region)
				if err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO trail_insight_pending (id, number, account, region, record) VALUES ($1, $2, $3, $4, $5)`,
					e.EventID, number, s.account, s.region, string(record)); err != nil {
					return err
				}
				number++
			}
		}
		_, err := tx.Exec(`INSERT INTO trail_insight_cursor (one, next) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET next = excluded.next`, f.next)
		return err
	})
}

// publish makes records of the events that wait to be ones.
func (f *finder) publish(ctx context.Context) error {
	type pending struct {
		id     string
		in     scope
		record []byte
	}
	var waiting []pending
	err := f.watch.View(ctx, func(tx store.Tx) (err error) {
		waiting, err = store.List(tx, func(row store.Scanner) (p pending, err error) {
			var text string
			err = row.Scan(&p.id, &p.in.account, &p.in.region, &text)
			p.record = []byte(text)
			return p, err
		}, `SELECT id, account, region, record FROM trail_insight_pending ORDER BY number, id`)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range waiting {
		if err := f.record(ctx, p.id, p.in, p.record); err != nil {
			return err
		}
		err := f.watch.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE FROM trail_insight_pending WHERE id = $1`, p.id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// record puts an Insights event into the journal, unless it is there: an earlier round may not have seen that it had put it there.
func (f *finder) record(ctx context.Context, id string, in scope, record []byte) error {
	var known int64
	err := f.main.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM trail_insight_event WHERE id = $1`, id).Scan(&known)
	})
	if err != nil || known > 0 {
		return err
	}
	var o vigil.Outline
	if err := new(vigil.OutlineReader).Read(record, &o); err != nil {
		return err
	}
	now := f.clock.Now()
	return f.journal.Commit(ctx, func(tx store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) + 1 FROM trail_insight_event`).Scan(&n); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM trail_insight_event WHERE second < $1`, now.Add(-window-24*time.Hour).Unix()); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO trail_insight_event (id, account, region, second, number, source, name, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			id, in.account, in.region, o.Second, n, string(o.EventSource), string(o.EventName), string(record))
		return err
	}, func(err error) []journal.Record {
		if err != nil {
			return nil
		}
		return []journal.Record{{Time: now, Data: record}}
	})
}

// lookupInsights is LookupEvents for Insights events, of which there are few: they are in a table of their own.
func (t *Trail) lookupInsights(ctx context.Context, q query, after position, n int) (events []found, err error) {
	if t.main == nil {
		return nil, nil
	}
	column := map[kind]string{everything: "CAST($5 AS TEXT)", eventID: "id", eventName: "name", eventSource: "source"}[q.kind]
	err = t.main.View(ctx, func(tx store.Tx) error {
		events, err = store.List(tx, func(row store.Scanner) (e found, err error) {
			var id, source, name, record string
			err = row.Scan(&e.hit.second, &e.hit.seq, &id, &source, &name, &record)
			e.event = types.Event{EventId: &id, EventSource: &source, EventName: &name, CloudTrailEvent: &record,
				EventTime: aws.Time(time.Unix(e.hit.second, 0).UTC()), Resources: []types.Resource{}}
			return e, err
		}, `SELECT second, number, id, source, name, record FROM trail_insight_event
			WHERE account = $1 AND region = $2 AND second BETWEEN $3 AND $4 AND `+column+` = $5 AND (second < $6 OR second = $6 AND number < $7)
			ORDER BY second DESC, number DESC LIMIT $8`,
			q.scope.account, q.scope.region, q.from, q.to, q.value, after.last.second, after.last.seq, n)
		return err
	})
	return events, err
}
