package lake

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/klauspost/compress/zstd"

	"vigil/internal/call"
	"vigil/internal/lake/presto"
	"vigil/internal/store"
)

const (
	pieceRows = 1000    // of a result that are written at once
	pieceSize = 4 << 20 // and their bytes
	maxResult = 1 << 30 // bytes of a result
	maxAnswer = 8 << 20 // bytes of rows in an answer, but for its first row
)

// resultWriter keeps the rows of a result, piece by piece, so that those that a query found before it was ended can be read.
type resultWriter struct {
	lake    *Lake
	ctx     context.Context
	query   string
	rows    [][]string
	size    int
	total   int
	written int64
}

func (w *resultWriter) add(row []string) error {
	w.rows = append(w.rows, row)
	for _, text := range row {
		w.size += len(text)
	}
	if w.total+w.size > maxResult {
		return &presto.Error{Text: "Query result is larger than 1 GiB"}
	}
	if len(w.rows) < pieceRows && w.size < pieceSize {
		return nil
	}
	return w.flush()
}

// flush writes what has not been written, also after the query's time is over.
func (w *resultWriter) flush() error {
	if len(w.rows) == 0 {
		return nil
	}
	body, err := encodeRows(w.rows)
	if err != nil {
		return &internalError{err}
	}
	err = w.lake.watch.Update(context.WithoutCancel(w.ctx), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO lake_result (query, first, count, body) VALUES ($1, $2, $3, $4)
			ON CONFLICT (query, first) DO UPDATE SET count = excluded.count, body = excluded.body`, w.query, w.written, int64(len(w.rows)), body)
		return err
	})
	if err != nil {
		return &internalError{err}
	}
	w.written += int64(len(w.rows))
	w.total += w.size
	w.rows, w.size = nil, 0
	return nil
}

// Rows are stored as a JSON array of arrays of texts, compressed by Zstandard.
func encodeRows(rows [][]string) ([]byte, error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	return rowEncoder().EncodeAll(text, nil), nil
}

func decodeRows(body []byte) (rows [][]string, err error) {
	text, err := rowDecoder().DecodeAll(body, nil)
	if err != nil {
		return nil, err
	}
	return rows, json.Unmarshal(text, &rows)
}

var (
	rowEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic("lake: " + err.Error()) // the options above are constants
		}
		return e
	})
	rowDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic("lake: " + err.Error())
		}
		return d
	})
)

// GetQueryResults answers with the rows of a query's result. There are none until the query has come to its end. A NULL is the text null.
func (l *Lake) GetQueryResults(ctx context.Context, c *call.Call, in *cloudtrail.GetQueryResultsInput) (*cloudtrail.GetQueryResultsOutput, error) {
	//lint:ignore SA1019 clients of before still say it
	q, err := l.asked(ctx, c, in.QueryId, in.EventDataStore, in.EventDataStoreOwnerAccountId)
	if err != nil {
		return nil, err
	}
	from, err := readToken(c, in.NextToken, q.id)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.GetQueryResultsOutput{QueryStatus: q.status, ErrorMessage: unlessEmpty(q.error), QueryResultRows: [][]map[string]string{}}
	total := q.results
	if q.active() || q.status == types.QueryStatusFailed {
		total = 0
	}
	if from < total {
		rows, err := l.rows(ctx, q, from, min(int64(limitOf(in.MaxQueryResults)), total-from))
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			cells := make([]map[string]string, len(row))
			for i, text := range row {
				cells[i] = map[string]string{q.columns[i]: text}
			}
			out.QueryResultRows = append(out.QueryResultRows, cells)
		}
		if next := from + int64(len(rows)); next < total {
			out.NextToken = writeToken(c, next, q.id)
		}
	}
	out.QueryStatistics = &types.QueryStatistics{BytesScanned: &q.bytes, ResultsCount: aws.Int32(int32(len(out.QueryResultRows))), TotalResultsCount: aws.Int32(int32(min(total, 1<<31-1)))}
	return out, nil
}

// rows are n rows of a result, or fewer if they are large.
func (l *Lake) rows(ctx context.Context, q *aQuery, from, n int64) (all [][]string, err error) {
	var damaged error
	err = l.watch.View(ctx, func(tx store.Tx) error {
		all, damaged = nil, nil
		rows, err := tx.Query(`SELECT first, body FROM lake_result WHERE query = $1 AND first < $2 AND first + count > $3 ORDER BY first`, q.id, from+n, from)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; rows.Next() && size < maxAnswer; {
			var first int64
			var body []byte
			if err := rows.Scan(&first, &body); err != nil {
				return err
			}
			piece, err := decodeRows(body)
			if err != nil {
				damaged = err
				return nil
			}
			for i, row := range piece {
				if at := first + int64(i); at < from || at >= from+n || size >= maxAnswer {
					continue
				}
				if len(row) != len(q.columns) {
					damaged = errors.New("a row has other columns than its query")
					return nil
				}
				all = append(all, row)
				for _, text := range row {
					size += len(text)
				}
			}
		}
		return rows.Err()
	})
	if err == nil && len(all) == 0 && damaged == nil {
		damaged = errors.New("rows are missing")
	}
	return all, errors.Join(err, damaged)
}
