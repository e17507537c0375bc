package lake

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/lake/presto"
	"vigil/internal/store"
)

// maxConcurrent is how many queries of an account in a region are on their way at most.
const maxConcurrent = 10

// StartQuery starts a query, which sees every event that was answered before. Its statement is read and compiled at once, so that an error
// in it is this call's. The stores are the caller's, or of the account that it names, whose
// resource policies then have to let it in. The bucket of DeliveryS3Uri has to be there, and the caller's own account's. The queries of dashboards
// are refused.
func (l *Lake) StartQuery(ctx context.Context, c *call.Call, in *cloudtrail.StartQueryInput) (*cloudtrail.StartQueryOutput, error) {
	switch {
	case in.QueryAlias != nil || in.QueryParameters != nil:
		return nil, call.NotBuilt("A query of a dashboard (QueryAlias, QueryParameters)")
	case aws.ToString(in.QueryStatement) == "":
		return nil, call.Errorf("InvalidParameterException", "QueryStatement or QueryAlias must be specified.")
	}
	q := &aQuery{id: uuid.NewString(), account: ownerOf(c, in.EventDataStoreOwnerAccountId), region: c.Region, statement: *in.QueryStatement, created: c.Time.UnixMilli()}
	compiled, err := l.compile(ctx, q, func(id string) error {
		return l.allow(ctx, c, arn.New("cloudtrail", c.Region, q.account, "eventdatastore/"+id))
	})
	if err != nil {
		return nil, err
	}
	if err := compiled.check(); err != nil {
		return nil, call.Errorf("InvalidQueryStatementException", "The statement cannot be run: %s", message(err))
	}
	if q.uri = aws.ToString(in.DeliveryS3Uri); q.uri != "" {
		q.recipient, q.delivery = c.Account(), types.DeliveryStatusPending
		if err := l.checkDelivery(ctx, q.recipient, q.uri); err != nil {
			return nil, err
		}
	}
	stores := slices.Sorted(maps.Keys(compiled.stores))
	c.Effect(func(tx store.Tx) error {
		for _, id := range stores {
			s, err := storeOf(tx, q.account, q.region, id)
			if err != nil {
				return err
			}
			if s.deleted > 0 {
				return inactiveStore(id)
			}
		}
		return l.enqueue(tx, q, stores)
	})
	return &cloudtrail.StartQueryOutput{QueryId: &q.id, EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId}, nil
}

func (l *Lake) enqueue(tx store.Tx, q *aQuery, stores []string) error {
	var n int
	if err := tx.QueryRow(`SELECT COUNT(*) FROM lake_query WHERE account = $1 AND region = $2 AND status IN ('QUEUED', 'RUNNING')`, q.account, q.region).Scan(&n); err != nil {
		return err
	}
	if n >= maxConcurrent {
		return call.Errorf("MaxConcurrentQueriesException", "You are already running the maximum number of %d concurrent queries. Wait a minute for some queries to finish, and then run the query again.", maxConcurrent)
	}
	if _, err := tx.Exec(`INSERT INTO lake_query (`+queryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, 0, '', '', $7, $8, $9)`,
		q.id, q.account, q.region, q.statement, q.created, string(types.QueryStatusQueued), q.uri, q.recipient, string(q.delivery)); err != nil {
		return err
	}
	for _, id := range stores {
		if _, err := tx.Exec(`INSERT INTO lake_query_store (query, store) VALUES ($1, $2)`, q.id, id); err != nil {
			return err
		}
	}
	tx.OnCommit(l.wakeRunner)
	return nil
}

// compiled is a query that can be run.
type compiled struct {
	execution
	stores map[string]*dataStore
}

// compile makes a query of its statement. allowed is asked of each store that it reads.
func (l *Lake) compile(ctx context.Context, q *aQuery, allowed func(id string) error) (*compiled, error) {
	made := &compiled{execution: execution{ctx: ctx, journal: l.journal, views: map[string]*view{}}, stores: map[string]*dataStore{}}
	var err error
	made.query, err = presto.Compile(q.statement, time.UnixMilli(q.created), func(id string) (presto.Schema, error) {
		if made.stores[id] != nil {
			return columns, nil
		}
		if !isStoreID(id) {
			return nil, call.Errorf("InvalidQueryStatementException", "Table %s does not exist: FROM takes the ID of an event data store", clip(id))
		}
		if err := allowed(id); err != nil {
			return nil, err
		}
		return columns, l.db.View(ctx, func(tx store.Tx) error {
			s, err := storeOf(tx, q.account, q.region, id)
			if err != nil {
				return err
			}
			if s.deleted > 0 {
				return inactiveStore(id)
			}
			made.stores[id] = s
			return nil
		})
	})
	var bad *presto.Error
	if errors.As(err, &bad) {
		return nil, call.Errorf("InvalidQueryStatementException", "%s", clip(bad.Error()))
	}
	return made, err
}

// clip shortens a text for a message.
func clip(s string) string {
	const most = 900
	s = strings.ReplaceAll(s, "\x00", "") // which not every database takes
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
