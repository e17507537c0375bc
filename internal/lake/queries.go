package lake

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// history is for how long a query and its result are kept.
const history = 7 * day

// aQuery is a query that was started.
type aQuery struct {
	id, account, region string
	statement           string
	created             int64
	status              types.QueryStatus
	took                int64 // milliseconds
	scanned, matched    int64 // events
	bytes, results      int64
	columns             []string
	error               string
	uri, recipient      string // where its result goes, and the account whose bucket that is; empty is nowhere
	delivery            types.DeliveryStatus
	stores              []string // ids
}

const queryColumns = `id, account, region, statement, created, status, took, scanned, matched, bytes, results, columns, error, uri, recipient, delivery`

// queries reads those that a condition is true of.
func queries(tx store.Tx, where string, args ...any) ([]*aQuery, error) {
	found, err := store.List(tx, func(row store.Scanner) (*aQuery, error) {
		q := &aQuery{}
		var status, columns, delivery string
		if err := row.Scan(&q.id, &q.account, &q.region, &q.statement, &q.created, &status, &q.took, &q.scanned, &q.matched, &q.bytes, &q.results, &columns, &q.error, &q.uri, &q.recipient, &delivery); err != nil {
			return nil, err
		}
		if q.status, q.delivery = types.QueryStatus(status), types.DeliveryStatus(delivery); columns == "" {
			return q, nil
		}
		return q, json.Unmarshal([]byte(columns), &q.columns)
	}, `SELECT `+queryColumns+` FROM lake_query WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	for _, q := range found {
		q.stores, err = store.Column[string](tx, `SELECT store FROM lake_query_store WHERE query = $1 ORDER BY store`, q.id)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// active says whether the query is still to come to its end.
func (q *aQuery) active() bool {
	return q.status == types.QueryStatusQueued || q.status == types.QueryStatusRunning
}

func queryOf(tx store.Tx, account, region, id string) (*aQuery, error) {
	found, err := queries(tx, `id = $1 AND account = $2 AND region = $3`, id, account, region)
	if err == nil && len(found) == 0 {
		err = unknownQuery(id)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func unknownQuery(id string) error {
	return call.Errorf("QueryIdNotFoundException", "The query ID %s does not exist or does not map to a query.", id)
}

// asked finds the query that a call names, if the caller may perform its operation on all the stores that it reads.
func (l *Lake) asked(ctx context.Context, c *call.Call, id, inStore, owner *string) (*aQuery, error) {
	account := ownerOf(c, owner)
	var q *aQuery
	err := l.db.View(ctx, func(tx store.Tx) (err error) {
		q, err = queryOf(tx, account, c.Region, aws.ToString(id))
		return err
	})
	var unknown *call.Error
	if errors.As(err, &unknown) { // who may ask about no store is not told what there is
		if denied := l.allow(ctx, c, arn.New("cloudtrail", c.Region, account, "eventdatastore/*")); denied != nil {
			return nil, denied
		}
	}
	if err != nil {
		return nil, err
	}
	for _, id := range q.stores {
		if err := l.allow(ctx, c, arn.New("cloudtrail", c.Region, account, "eventdatastore/"+id)); err != nil {
			return nil, err
		}
	}
	if inStore == nil {
		return q, nil
	}
	a, err := storeName(c, *inStore)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(q.stores, a.ID()) {
		return nil, unknownQuery(q.id)
	}
	return q, nil
}

// ownerOf is whose stores a query reads: the caller's, unless it says otherwise. A query of another account's stores is among that account's queries.
func ownerOf(c *call.Call, owner *string) string {
	if owner != nil {
		return *owner
	}
	return c.Account()
}

// DescribeQuery tells how a query of the last seven days is getting on.
func (l *Lake) DescribeQuery(ctx context.Context, c *call.Call, in *cloudtrail.DescribeQueryInput) (*cloudtrail.DescribeQueryOutput, error) {
	if in.QueryAlias != nil || in.RefreshId != nil {
		return nil, call.NotBuilt("A query of a dashboard (QueryAlias, RefreshId)")
	}
	if in.QueryId == nil {
		return nil, call.Errorf("InvalidParameterException", "QueryId or QueryAlias must be specified.")
	}
	//lint:ignore SA1019 clients of before still say it
	q, err := l.asked(ctx, c, in.QueryId, in.EventDataStore, in.EventDataStoreOwnerAccountId)
	if err != nil {
		return nil, err
	}
	return &cloudtrail.DescribeQueryOutput{
		DeliveryS3Uri: unlessEmpty(q.uri), DeliveryStatus: q.delivery, ErrorMessage: unlessEmpty(q.error), EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId, QueryId: &q.id, QueryString: &q.statement, QueryStatus: q.status,
		QueryStatistics: &types.QueryStatisticsForDescribeQuery{BytesScanned: &q.bytes, CreationTime: at(q.created), EventsMatched: &q.matched, EventsScanned: &q.scanned,
			ExecutionTimeInMillis: aws.Int32(int32(min(q.took, 1<<31-1)))},
	}, nil
}

func unlessEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// ListQueries lists the queries of the last seven days that read a store, the newest first.
func (l *Lake) ListQueries(ctx context.Context, c *call.Call, in *cloudtrail.ListQueriesInput) (*cloudtrail.ListQueriesOutput, error) {
	s, err := l.named(ctx, c, aws.ToString(in.EventDataStore))
	if err != nil {
		return nil, err
	}
	about := s.id + string(in.QueryStatus)
	begin, end := int64(0), int64(1)<<62
	if in.StartTime != nil {
		begin = in.StartTime.UnixMilli()
		about += in.StartTime.UTC().Format(time.RFC3339Nano)
	}
	if about += "/"; in.EndTime != nil {
		end = in.EndTime.UnixMilli()
		about += in.EndTime.UTC().Format(time.RFC3339Nano)
	}
	if begin > end {
		return nil, call.Errorf("InvalidDateRangeException", "The start time must not be later than the end time.")
	}
	from, err := readToken(c, in.NextToken, about)
	if err != nil {
		return nil, err
	}
	limit := int64(limitOf(in.MaxResults))
	out := &cloudtrail.ListQueriesOutput{Queries: []types.Query{}}
	err = l.db.View(ctx, func(tx store.Tx) error {
		found, err := queries(tx, `id IN (SELECT query FROM lake_query_store WHERE store = $1) AND account = $2 AND created >= $3 AND created <= $4 AND (CAST($5 AS TEXT) = '' OR status = $5)
			ORDER BY created DESC, id LIMIT $6 OFFSET $7`, s.id, s.account, max(begin, c.Time.Add(-history).UnixMilli()), end, string(in.QueryStatus), limit+1, from)
		for _, q := range found {
			out.Queries = append(out.Queries, types.Query{CreationTime: at(q.created), QueryId: &q.id, QueryStatus: q.status})
		}
		return err
	})
	if int64(len(out.Queries)) > limit {
		out.Queries = out.Queries[:limit]
		out.NextToken = writeToken(c, from+limit, about)
	}
	return out, err
}

// CancelQuery ends a query that has not come to its end. What it has found so far can be read.
func (l *Lake) CancelQuery(ctx context.Context, c *call.Call, in *cloudtrail.CancelQueryInput) (*cloudtrail.CancelQueryOutput, error) {
	//lint:ignore SA1019 clients of before still say it
	q, err := l.asked(ctx, c, in.QueryId, in.EventDataStore, in.EventDataStoreOwnerAccountId)
	if err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		now, err := queryOf(tx, q.account, q.region, q.id)
		if err != nil {
			return err
		}
		if !now.active() {
			return call.Errorf("InactiveQueryException", "The query %s cannot be cancelled: its status is %s.", q.id, now.status)
		}
		_, err = tx.Exec(`UPDATE lake_query SET status = $1, delivery = CASE WHEN uri = '' THEN '' ELSE $2 END WHERE id = $3`,
			string(types.QueryStatusCancelled), string(types.DeliveryStatusCancelled), q.id)
		tx.OnCommit(func() { l.cancel(q.id) })
		return err
	})
	return &cloudtrail.CancelQueryOutput{EventDataStoreOwnerAccountId: in.EventDataStoreOwnerAccountId, QueryId: &q.id, QueryStatus: types.QueryStatusCancelled}, nil
}
