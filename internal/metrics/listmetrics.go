package metrics

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

const (
	maxMetrics   = 500 // of an answer
	listed       = 14 * 24 * time.Hour
	recent       = 3 * time.Hour
	metricsBlock = 2000 // series read at a time
)

// ListMetrics lists the metrics of the caller's account and region that points were put into in the last two weeks (in the last three
// hours, with RecentlyActive), at most 500 an answer, as the CloudWatch API reference describes it. They are in the order of namespace and
// name. Other accounts' metrics are not built: with IncludeLinkedAccounts there are none of them.
func (m *Metrics) ListMetrics(ctx context.Context, c *call.Call, in *cloudwatch.ListMetricsInput) (*cloudwatch.ListMetricsOutput, error) {
	if err := c.Allow("cloudwatch:ListMetrics", policy.Resource{ARN: "*", Account: c.Account()}, nil); err != nil {
		return nil, err
	}
	place, err := readListToken(c, in)
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.ListMetricsOutput{Metrics: []types.Metric{}}
	if owner := aws.ToString(in.OwningAccount); owner != "" && owner != c.Account() {
		return out, nil
	}
	if err := m.upToDate(ctx); err != nil {
		return nil, err
	}
	since := c.Time.Add(-listed)
	if in.RecentlyActive != "" {
		since = c.Time.Add(-recent)
	}
	for more := true; more; {
		var rows []listRow
		if rows, err = m.listRows(ctx, c, in, place); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
		more = len(rows) == metricsBlock
		for i := range rows {
			if !m.listed(c, in, &rows[i], since.UnixMilli()) {
				continue
			}
			if len(out.Metrics) == maxMetrics {
				out.NextToken = writeListToken(c, in, place)
				return out, nil
			}
			out.Metrics = append(out.Metrics, rows[i].metric())
			if aws.ToBool(in.IncludeLinkedAccounts) {
				out.OwningAccounts = append(out.OwningAccounts, c.Account())
			}
			place = rows[i].listPlace
		}
		if len(rows) > 0 {
			place = rows[len(rows)-1].listPlace
		}
	}
	return out, nil
}

// listPlace is a series' place in the order of the list.
type listPlace struct {
	namespace, name string
	id              int64
}

type listRow struct {
	listPlace
	dimensions string
	active     int64
}

// listRows reads series of the namespace and name asked for, behind a place.
func (m *Metrics) listRows(ctx context.Context, c *call.Call, in *cloudwatch.ListMetricsInput, after listPlace) ([]listRow, error) {
	query := `SELECT namespace, name, id, dimensions, active FROM metrics_series
		WHERE account = $1 AND region = $2 AND (namespace, name, id) > ($3, $4, $5)`
	args := []any{c.Account(), c.Region, after.namespace, after.name, after.id}
	if in.Namespace != nil {
		args = append(args, *in.Namespace)
		query += fmt.Sprintf(` AND namespace = $%d`, len(args))
	}
	if in.MetricName != nil {
		args = append(args, *in.MetricName)
		query += fmt.Sprintf(` AND name = $%d`, len(args))
	}
	args = append(args, metricsBlock)
	query += fmt.Sprintf(` ORDER BY namespace, name, id LIMIT $%d`, len(args))

	var all []listRow
	err := m.db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r listRow
			var dimensions []byte
			if err := rows.Scan(&r.namespace, &r.name, &r.id, &dimensions, &r.active); err != nil {
				return err
			}
			r.dimensions = string(dimensions)
			all = append(all, r)
		}
		return rows.Err()
	})
	return all, err
}

// listed says whether a series is asked for: it has the dimensions, and points since a time, in ms.
func (m *Metrics) listed(c *call.Call, in *cloudwatch.ListMetricsInput, r *listRow, since int64) bool {
	dimensions := parseDimensions(r.dimensions)
	for i := range in.Dimensions {
		if !hasDimension(dimensions, &in.Dimensions[i]) {
			return false
		}
	}
	if r.active >= since {
		return true
	}
	// What the database has of this is only as new as the last fold.
	s := m.cached([]byte(identity{c.Account(), c.Region, r.namespace, r.name, r.dimensions}.key()))
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active >= since
}

func hasDimension(dimensions []Dimension, filter *types.DimensionFilter) bool {
	for _, d := range dimensions {
		if d.Name == aws.ToString(filter.Name) {
			return filter.Value == nil || d.Value == *filter.Value
		}
	}
	return false
}

func (r *listRow) metric() types.Metric {
	metric := types.Metric{Namespace: aws.String(r.namespace), MetricName: aws.String(r.name), Dimensions: []types.Dimension{}}
	for _, d := range parseDimensions(r.dimensions) {
		metric.Dimensions = append(metric.Dimensions, types.Dimension{Name: aws.String(d.Name), Value: aws.String(d.Value)})
	}
	return metric
}

func writeListToken(c *call.Call, in *cloudwatch.ListMetricsInput, p listPlace) *string {
	place := binary.AppendVarint(nil, p.id)
	place = append(place, p.namespace+"\x00"+p.name...)
	return listOf(c, listRequest(in)).Token(place)
}

func readListToken(c *call.Call, in *cloudwatch.ListMetricsInput) (listPlace, error) {
	if in.NextToken == nil {
		return listPlace{}, nil
	}
	place, err := readToken(c, listRequest(in), *in.NextToken)
	if err != nil {
		return listPlace{}, err
	}
	var p listPlace
	var size int
	if p.id, size = binary.Varint(place); size <= 0 || bytes.IndexByte(place[size:], 0) < 0 {
		return p, errToken(c)
	}
	p.namespace, p.name, _ = strings.Cut(string(place[size:]), "\x00")
	return p, nil
}

func listRequest(in *cloudwatch.ListMetricsInput) any {
	return []any{in.Namespace, in.MetricName, in.Dimensions, in.RecentlyActive, in.OwningAccount, in.IncludeLinkedAccounts}
}
