package lake

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
	"vigil/internal/trail/selectors"
)

const (
	storeType = "AWS::CloudTrail::EventDataStore"
	day       = 24 * time.Hour
	// deletion is for how long a store is kept once its deletion was asked for.
	deletion = 7 * day
)

// dataStore is an event data store.
type dataStore struct {
	id         string
	account    string
	region     string // where it is at home
	name       string
	everywhere bool
	retention  int64 // days
	billing    types.BillingMode
	protected  bool
	selectors  []types.AdvancedEventSelector
	created    int64
	updated    int64
	deleted    int64
	stopped    bool
	periods    []period
}

func (s *dataStore) arn() arn.ARN {
	return arn.New("cloudtrail", s.region, s.account, "eventdatastore/"+s.id)
}

func (s *dataStore) status() types.EventDataStoreStatus {
	switch {
	case s.deleted > 0:
		return types.EventDataStoreStatusPendingDeletion
	case s.stopped:
		return types.EventDataStoreStatusStoppedIngestion
	}
	return types.EventDataStoreStatusEnabled
}

const storeColumns = `id, account, region, name, everywhere, retention, billing, protected, selectors, created, updated, deleted, stopped`

// stores reads those that a condition is true of.
func stores(tx store.Tx, where string, args ...any) ([]*dataStore, error) {
	found, err := store.List(tx, func(row store.Scanner) (*dataStore, error) {
		s := &dataStore{}
		var everywhere, protected, stopped int64
		var chosen, billing string
		if err := row.Scan(&s.id, &s.account, &s.region, &s.name, &everywhere, &s.retention, &billing, &protected, &chosen, &s.created, &s.updated, &s.deleted, &stopped); err != nil {
			return nil, err
		}
		s.everywhere, s.protected, s.stopped, s.billing = everywhere != 0, protected != 0, stopped != 0, types.BillingMode(billing)
		return s, json.Unmarshal([]byte(chosen), &s.selectors)
	}, `SELECT `+storeColumns+` FROM lake_store WHERE `+where+` ORDER BY name, id`, args...)
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if err := s.loadPeriods(tx); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *dataStore) loadPeriods(tx store.Tx) (err error) {
	s.periods, err = store.List(tx, func(row store.Scanner) (p period, err error) {
		var everywhere int64
		var chosen string
		if err := row.Scan(&p.begin, &p.end, &everywhere, &chosen); err != nil {
			return p, err
		}
		if everywhere == 0 {
			p.region = s.region
		}
		var list []types.AdvancedEventSelector
		if err := json.Unmarshal([]byte(chosen), &list); err != nil {
			return p, err
		}
		set, err := selectors.Advanced(selectors.EventDataStore, list)
		if err != nil {
			return p, err
		}
		p.takes = set.Takes
		return p, nil
	}, `SELECT begun, ended, everywhere, selectors FROM lake_period WHERE store = $1 ORDER BY begun`, s.id)
	return err
}

// save writes all of a store but when it took events in.
func (s *dataStore) save(tx store.Tx) error {
	chosen, err := json.Marshal(s.selectors)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO lake_store (`+storeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, everywhere = excluded.everywhere, retention = excluded.retention, billing = excluded.billing,
			protected = excluded.protected, selectors = excluded.selectors, updated = excluded.updated, deleted = excluded.deleted, stopped = excluded.stopped`,
		s.id, s.account, s.region, s.name, truth(s.everywhere), s.retention, string(s.billing), truth(s.protected), string(chosen), s.created, s.updated, s.deleted, truth(s.stopped))
	return err
}

// take has the store take events in from a time on, as it is set now.
func (s *dataStore) take(tx store.Tx, from int64) error {
	chosen, err := json.Marshal(s.selectors)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO lake_period (store, begun, ended, everywhere, selectors) VALUES ($1, $2, 0, $3, $4)
		ON CONFLICT (store, begun) DO UPDATE SET ended = 0, everywhere = excluded.everywhere, selectors = excluded.selectors`, s.id, from, truth(s.everywhere), string(chosen))
	return err
}

// leave ends that.
func (s *dataStore) leave(tx store.Tx, at int64) error {
	_, err := tx.Exec(`UPDATE lake_period SET ended = CASE WHEN begun > $1 THEN begun ELSE $1 END WHERE store = $2 AND ended = 0`, at, s.id)
	return err
}

// view is what the store has at a time, of the records before end.
func (s *dataStore) view(at time.Time, end int64) *view {
	return &view{account: s.account, from: at.Add(-time.Duration(s.retention) * day).UnixMilli(), end: end, periods: s.periods}
}

// Since is from when on the journal's records are in some event data store, by the stores' retention, or may be again when its deletion is taken back:
// what drops records keeps these, since a store is nothing but a view over them. It is the zero time when there is no store. Older records that
// were imported stand behind the record of the store's making.
func (l *Lake) Since(ctx context.Context) (time.Time, error) {
	now := l.clock.Now()
	var since time.Time
	err := l.db.View(ctx, func(tx store.Tx) error {
		firsts, err := store.List(tx, func(row store.Scanner) (first time.Time, err error) {
			var retention, begun int64
			err = row.Scan(&retention, &begun)
			first = now.Add(-time.Duration(retention) * day)
			if taken := time.UnixMilli(begun).UTC(); taken.After(first) {
				first = taken
			}
			return first, err
		}, `SELECT s.retention, MIN(p.begun) FROM lake_store s JOIN lake_period p ON p.store = s.id GROUP BY s.id, s.retention`)
		if err == nil && len(firsts) > 0 {
			since = slices.MinFunc(firsts, time.Time.Compare)
		}
		return err
	})
	return since, err
}

// storeName is how a call names a store: by its ARN or by the last part of that. One of another account is named where that may let the caller in.
func storeName(c *call.Call, text string) (arn.ARN, error) {
	a := arn.New("cloudtrail", c.Region, c.Account(), "eventdatastore/"+text)
	if strings.HasPrefix(text, "arn:") {
		var err error
		if a, err = arn.Parse(text); err != nil || a.Service != "cloudtrail" || a.Type() != "eventdatastore" || a.Partition != arn.Partition(a.Region) {
			return a, invalidARN(text)
		}
	}
	if !isStoreID(a.ID()) || a.Region != c.Region || a.Account != c.Account() && !slices.Contains(policyActions, "cloudtrail:"+c.Operation) {
		return a, invalidARN(text)
	}
	return a, nil
}

func isStoreID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		isDash := i == 8 || i == 13 || i == 18 || i == 23
		if isDash != (c == '-') || !isDash && !strings.ContainsRune("0123456789abcdef", c) {
			return false
		}
	}
	return true
}

func invalidARN(text string) error {
	return call.Errorf("EventDataStoreARNInvalidException", "The event data store ARN %s is not valid or does not map to an event data store in your account.", text)
}

func unknownStore(id string) error {
	return call.Errorf("EventDataStoreNotFoundException", "The event data store %s was not found.", id)
}

func inactiveStore(id string) error {
	return call.Errorf("InactiveEventDataStoreException", "The event data store %s is inactive: it is pending deletion.", id)
}

// named finds the store that a call names, if the caller may perform its operation on it.
func (l *Lake) named(ctx context.Context, c *call.Call, text string) (*dataStore, error) {
	a, err := storeName(c, text)
	if err != nil {
		return nil, err
	}
	if err := l.allow(ctx, c, a); err != nil {
		return nil, err
	}
	var found *dataStore
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		found, err = storeOf(tx, a.Account, a.Region, a.ID())
		return err
	})
	return found, err
}

// allowAll is allow for operations that are about no store.
func allowAll(c *call.Call) error {
	return c.Allow("cloudtrail:"+c.Operation, policy.Resource{ARN: "*", Account: c.Account()}, nil)
}

func storeOf(tx store.Tx, account, region, id string) (*dataStore, error) {
	found, err := stores(tx, `id = $1 AND account = $2 AND region = $3`, id, account, region)
	if err == nil && len(found) == 0 {
		err = unknownStore(id)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// GetEventDataStore shows a store, one that is pending deletion too.
func (l *Lake) GetEventDataStore(ctx context.Context, c *call.Call, in *cloudtrail.GetEventDataStoreInput) (*cloudtrail.GetEventDataStoreOutput, error) {
	s, err := l.named(ctx, c, aws.ToString(in.EventDataStore))
	if err != nil {
		return nil, err
	}
	return &cloudtrail.GetEventDataStoreOutput{
		AdvancedEventSelectors: s.selectors, BillingMode: s.billing, CreatedTimestamp: at(s.created), EventDataStoreArn: aws.String(s.arn().String()),
		FederationStatus: types.FederationStatusDisabled, MultiRegionEnabled: &s.everywhere, Name: &s.name, OrganizationEnabled: aws.Bool(false),
		RetentionPeriod: aws.Int32(int32(s.retention)), Status: s.status(), TerminationProtectionEnabled: &s.protected, UpdatedTimestamp: at(s.updated),
	}, nil
}

func at(ms int64) *time.Time {
	t := time.UnixMilli(ms).UTC()
	return &t
}

// maxList is how many items a list answers with at most, and unless it is told otherwise.
const maxList = 1000

// ListEventDataStores names the account's stores in the called region, by name.
func (l *Lake) ListEventDataStores(ctx context.Context, c *call.Call, in *cloudtrail.ListEventDataStoresInput) (*cloudtrail.ListEventDataStoresOutput, error) {
	if err := allowAll(c); err != nil {
		return nil, err
	}
	from, err := readToken(c, in.NextToken, "")
	if err != nil {
		return nil, err
	}
	var all []*dataStore
	err = l.db.View(ctx, func(tx store.Tx) (err error) {
		all, err = stores(tx, `account = $1 AND region = $2`, c.Account(), c.Region)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.ListEventDataStoresOutput{EventDataStores: []types.EventDataStore{}}
	end := from + int64(limitOf(in.MaxResults))
	for i := from; i < min(end, int64(len(all))); i++ {
		out.EventDataStores = append(out.EventDataStores, types.EventDataStore{EventDataStoreArn: aws.String(all[i].arn().String()), Name: &all[i].name})
	}
	if end < int64(len(all)) {
		out.NextToken = writeToken(c, end, "")
	}
	return out, nil
}

func limitOf(n *int32) int32 {
	if n == nil {
		return maxList
	}
	return *n
}
