package trail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// maxTrails is how many trails an account has in a region at most, shadow trails among them.
const maxTrails = 5

const trailType = "AWS::CloudTrail::Trail"

// aTrail is one trail of an account. What memory has of it does not change; it is replaced.
type aTrail struct {
	id         int64 // never used twice
	account    string
	home       string // region
	name       string
	bucket     string
	prefix     string
	groupARN   string // as it was given: that of all the group's streams. Empty is no group.
	roleARN    string
	kmsKey     string  // the ARN of the key that its log files are encrypted with, or empty
	global     bool    // includes events of global services
	everywhere bool    // is of all regions
	reaches    []reach // in order; what these two were, by time
	topicARN   string
	validFrom  int64 // since when its files are validated; 0 is never
	validUntil int64 // when that was switched off; 0 is not
	deleted    int64
	logging    []period // in order
	choices    []choice // in order; what it takes, by time
	insights   []types.InsightSelector
}

// period is a time in which a trail logs, in milliseconds since 1970. Both bounds are within it, so that the records of
// StartLogging and of StopLogging are in the trail. One that has not ended has end 0.
type period struct{ begin, end int64 }

func (t *aTrail) arn() arn.ARN { return arn.New("cloudtrail", t.home, t.account, "trail/"+t.name) }

// group is the name of the log group that the trail delivers to, which is of the trail's account and home region.
func (t *aTrail) group() string {
	name, _ := groupName(t.groupARN, t.home, t.account)
	return name
}

func (t *aTrail) isLogging() bool {
	n := len(t.logging)
	return n > 0 && t.logging[n-1].end == 0
}

// isIn says whether a region has the trail, as its home or as a shadow trail.
func (t *aTrail) isIn(region string) bool { return t.everywhere || t.home == region }

// logs says whether the trail was logging at a time.
func (t *aTrail) logs(at int64) bool {
	for _, p := range slices.Backward(t.logging) {
		if at >= p.begin && (p.end == 0 || at <= p.end) {
			return true
		}
	}
	return false
}

// trailMigrations are the main database's tables. Times are milliseconds since 1970. A trail that is deleted stays for
// a while, so that what was recorded before is still delivered.
var trailMigrations = []string{
	`CREATE TABLE trail (
		id         BIGINT NOT NULL PRIMARY KEY,
		account    TEXT   NOT NULL,
		home       TEXT   NOT NULL,
		name       TEXT   NOT NULL,
		bucket     TEXT   NOT NULL,
		prefix     TEXT   NOT NULL,
		group_arn  TEXT   NOT NULL,
		role_arn   TEXT   NOT NULL,
		global     BIGINT NOT NULL, -- includes events of global services
		everywhere BIGINT NOT NULL, -- is of all regions
		deleted    BIGINT NOT NULL); -- 0 is not
	CREATE INDEX trail_account ON trail (account, name);

	CREATE TABLE trail_logging (
		trail BIGINT NOT NULL,
		begun BIGINT NOT NULL,
		ended BIGINT NOT NULL, -- 0 is not
		PRIMARY KEY (trail, begun));

	CREATE TABLE trail_tag (
		trail BIGINT NOT NULL,
		name  TEXT   NOT NULL,
		value TEXT   NOT NULL,
		PRIMARY KEY (trail, name));

	CREATE TABLE trail_next (
		one BIGINT NOT NULL PRIMARY KEY,
		id  BIGINT NOT NULL);
	INSERT INTO trail_next (one, id) VALUES (1, 0);`,
	selectorsMigration,
	insightsMigration,
	`ALTER TABLE trail ADD COLUMN topic_arn TEXT NOT NULL DEFAULT '';
	ALTER TABLE trail ADD COLUMN valid_from BIGINT NOT NULL DEFAULT 0;  -- since when its files are validated
	ALTER TABLE trail ADD COLUMN valid_until BIGINT NOT NULL DEFAULT 0; -- when that was switched off; 0 is not
	` + digestKeyMigration,
	`ALTER TABLE trail ADD COLUMN kms_key TEXT NOT NULL DEFAULT ''`,
	reachMigration,
}

// watchMigrations are the watch database's: what became of deliveries, by the region of the events. Status is so per region.
var watchMigrations = []string{
	`CREATE TABLE trail_delivery (
		trail     BIGINT NOT NULL,
		region    TEXT   NOT NULL,
		delivered BIGINT NOT NULL, -- time of the last one; 0 is never
		error     TEXT   NOT NULL, -- of the last one; empty if it succeeded
		PRIMARY KEY (trail, region))`,
	insightsDataMigration,
	fileMigrations,
}

// openTrails prepares what the trails need, and reads them.
func (t *Trail) openTrails(ctx context.Context) error {
	if t.watch == nil || t.putLogs == nil || t.buckets == nil || t.secrets == nil {
		return errors.New("trails: Main needs Watch, PutLogs, Buckets and Secrets")
	}
	if err := t.main.Migrate(ctx, "trail", trailMigrations...); err != nil {
		return fmt.Errorf("trails: %w", err)
	}
	if err := t.watch.Migrate(ctx, "trail_data", watchMigrations...); err != nil {
		return fmt.Errorf("trails: %w", err)
	}
	t.trails = map[string][]*aTrail{}
	return t.main.View(ctx, func(tx store.Tx) error {
		accounts, err := store.Column[string](tx, `SELECT DISTINCT account FROM trail`)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if t.trails[account], err = loadTrails(tx, account); err != nil {
				return err
			}
		}
		t.asked.learn(t.trails)
		return nil
	})
}

// loadTrails reads an account's trails by name, those that are deleted included.
func loadTrails(tx store.Tx, account string) ([]*aTrail, error) {
	trails, err := store.List(tx, func(row store.Scanner) (*aTrail, error) {
		t := &aTrail{account: account}
		var global, everywhere int64
		err := row.Scan(&t.id, &t.home, &t.name, &t.bucket, &t.prefix, &t.groupARN, &t.roleARN, &global, &everywhere, &t.deleted, &t.topicARN, &t.validFrom, &t.validUntil, &t.kmsKey)
		t.global, t.everywhere = global != 0, everywhere != 0
		return t, err
	}, `SELECT id, home, name, bucket, prefix, group_arn, role_arn, global, everywhere, deleted, topic_arn, valid_from, valid_until, kms_key FROM trail WHERE account = $1 ORDER BY name, home, id`, account)
	if err != nil {
		return nil, err
	}
	for _, t := range trails {
		t.logging, err = store.List(tx, func(row store.Scanner) (p period, err error) {
			err = row.Scan(&p.begin, &p.end)
			return p, err
		}, `SELECT begun, ended FROM trail_logging WHERE trail = $1 ORDER BY begun`, t.id)
		if err != nil {
			return nil, err
		}
		if t.choices, err = loadChoices(tx, t.id); err != nil {
			return nil, err
		}
		if t.reaches, err = loadReaches(tx, t.id); err != nil {
			return nil, err
		}
		if t.insights, err = loadInsightSelectors(tx, t.id); err != nil {
			return nil, err
		}
	}
	return trails, nil
}

// save writes all of a trail but when it logs.
func (t *aTrail) save(tx store.Tx) error {
	_, err := tx.Exec(`INSERT INTO trail (id, account, home, name, bucket, prefix, group_arn, role_arn, global, everywhere, deleted, topic_arn, valid_from, valid_until, kms_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (id) DO UPDATE SET bucket = excluded.bucket, prefix = excluded.prefix, group_arn = excluded.group_arn,
			role_arn = excluded.role_arn, global = excluded.global, everywhere = excluded.everywhere, deleted = excluded.deleted,
			topic_arn = excluded.topic_arn, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
			kms_key = excluded.kms_key`,
		t.id, t.account, t.home, t.name, t.bucket, t.prefix, t.groupARN, t.roleARN, truth(t.global), truth(t.everywhere), t.deleted, t.topicARN, t.validFrom, t.validUntil, t.kmsKey)
	return err
}

// refresh has memory know an account's trails as the transaction leaves them.
func (t *Trail) refresh(tx store.Tx, account string) error {
	trails, err := loadTrails(tx, account)
	if err != nil {
		return err
	}
	tx.OnCommit(func() {
		t.trailsMu.Lock()
		defer t.trailsMu.Unlock()
		t.trails[account] = trails
		t.asked.learn(t.trails)
	})
	return nil
}

// trailsOf are the trails that an account has, by name.
func (t *Trail) trailsOf(account string) []*aTrail {
	t.trailsMu.RLock()
	defer t.trailsMu.RUnlock()
	return present(t.trails[account])
}

// present are those of the trails that are not deleted.
func present(trails []*aTrail) (all []*aTrail) {
	for _, one := range trails {
		if one.deleted == 0 {
			all = append(all, one)
		}
	}
	return all
}

// trailName is how a call names a trail.
type trailName struct {
	home, account, name string
	byARN               bool
}

func (n trailName) arn() arn.ARN { return arn.New("cloudtrail", n.home, n.account, "trail/"+n.name) }

func (n trailName) names(t *aTrail) bool {
	return t.account == n.account && t.home == n.home && t.name == n.name
}

// parseTrailName reads a name, which is of a trail of the called region, or an ARN.
func parseTrailName(c *call.Call, text string) (trailName, error) {
	if !strings.HasPrefix(text, "arn:") {
		return trailName{c.Region, c.Account(), text, false}, checkTrailName(text)
	}
	a, err := arn.Parse(text)
	if err != nil || a.Service != "cloudtrail" || a.Region == "" || a.Account == "" || a.Partition != arn.Partition(a.Region) || a.Type() != "trail" || a.ID() == "" {
		return trailName{}, call.Errorf("CloudTrailARNInvalidException", "The trail ARN %s is not valid. Its format is arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME.", text)
	}
	return trailName{a.Region, a.Account, a.ID(), true}, checkTrailName(a.ID())
}

// named finds the trail that a call of an operation names, if the caller may perform that.
func (t *Trail) named(c *call.Call, operation, text string) (*aTrail, error) {
	name, err := parseTrailName(c, text)
	if err != nil {
		return nil, err
	}
	if err := allowTrail(c, operation, name.arn()); err != nil {
		return nil, err
	}
	return findTrail(t.trailsOf(c.Account()), c, text, name)
}

// homed is named for operations that are called only in the trail's home region.
func (t *Trail) homed(c *call.Call, operation, text string) (*aTrail, error) {
	one, err := t.named(c, operation, text)
	if err == nil && one.home != c.Region {
		return nil, call.Errorf("InvalidHomeRegionException", "The home region of trail %s is %s. %s must be called there.", one.arn(), one.home, operation)
	}
	return one, err
}

func findTrail(trails []*aTrail, c *call.Call, text string, name trailName) (*aTrail, error) {
	for _, one := range trails {
		if name.names(one) {
			return one, nil
		}
	}
	return nil, unknownTrail(text, c.Account())
}

func allowTrail(c *call.Call, operation string, trail arn.ARN) error {
	c.Touch(trailType, trail)
	return c.Allow("cloudtrail:"+operation, policy.Resource{ARN: trail.String(), Account: trail.Account}, nil)
}

func unknownTrail(text, account string) error {
	return call.Errorf("TrailNotFoundException", "Unknown trail: %s for the user: %s", text, account)
}
