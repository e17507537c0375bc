package trail

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// Scan calls visit with every record, of however long ago, that names a resource in the history of an account in a region, in the order of the
// journal. It may call it with others as well, as terms are hashes. It sees what LookupEvents sees. An error of visit ends it.
func (t *Trail) Scan(ctx context.Context, account, region, resource string, visit func(journal.Entry) error) error {
	return t.scan(ctx, scope{account, region}, resourceName, resource, visit)
}

// ScanKey is Scan for a KMS key, and calls visit after that with the records that name the key otherwise: calls that were refused are often on record without
// resources, and so are some that KMS makes itself; others are on record in another Region of the account. LookupEvents does not find these by the key there.
func (t *Trail) ScanKey(ctx context.Context, account, region, key string, visit func(journal.Entry) error) error {
	for _, k := range []kind{resourceName, namedKey} {
		if err := t.scan(ctx, scope{account, region}, k, key, visit); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trail) scan(ctx context.Context, s scope, k kind, value string, visit func(journal.Entry) error) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	t.mu.RLock()
	tail := t.tail.view(s, k, value)
	t.mu.RUnlock()

	var end int64
	if err := t.db.View(ctx, func(tx store.Tx) (err error) {
		end, _, err = indexed(tx)
		return err
	}); err != nil {
		return err
	}
	if end < tail.span.first {
		return fmt.Errorf("%w: it ends at record %d, not at %d", errDamaged, end, tail.span.first)
	}

	seqs := make([]int64, 0, loadRecords)
	take := func(seq int64) error {
		if seqs = append(seqs, seq); len(seqs) < loadRecords {
			return nil
		}
		err := t.visit(ctx, seqs, visit)
		seqs = seqs[:0]
		return err
	}
	if err := t.eachPosting(ctx, t.term(s, k, value), end, take); err != nil {
		return err
	}
	for _, n := range tail.postings {
		if seq := tail.span.first + int64(n); seq >= end {
			if err := take(seq); err != nil {
				return err
			}
		}
	}
	return t.visit(ctx, seqs, visit)
}

func (t *Trail) visit(ctx context.Context, seqs []int64, visit func(journal.Entry) error) error {
	entries, err := t.journal.Get(ctx, seqs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := visit(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// eachPosting calls take with the records of a term before end that are in the database, in order.
func (t *Trail) eachPosting(ctx context.Context, term, end int64, take func(seq int64) error) error {
	const rowsAtOnce = 64
	for after := int64(-1); ; {
		var rows []*row
		if err := t.db.View(ctx, func(tx store.Tx) (err error) {
			rows, err = rowsAfter(tx, term, after, rowsAtOnce)
			return err
		}); err != nil {
			return err
		}
		for _, r := range rows {
			for _, run := range r.runs {
				for seq := run.first; seq <= run.last && seq < end; seq++ {
					if err := take(seq); err != nil {
						return err
					}
				}
			}
			after = r.first
		}
		if len(rows) < rowsAtOnce {
			return nil
		}
	}
}

// rowsAfter are a term's first n rows that begin behind an index.
func rowsAfter(tx store.Tx, term, after int64, n int) ([]*row, error) {
	rows, err := tx.Query(`SELECT first, last, runs FROM history_posting WHERE term = $1 AND first > $2 ORDER BY first LIMIT $3`, term, after, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*row
	for rows.Next() {
		var first, last int64
		var data []byte
		if err := rows.Scan(&first, &last, &data); err != nil {
			return nil, err
		}
		runs, err := decodeRuns(first, last, data)
		if err != nil {
			return nil, err
		}
		all = append(all, &row{first, last, runs})
	}
	return all, rows.Err()
}

// Since is the time of the first record in the history of an account in a region, and false if there is none.
func (t *Trail) Since(ctx context.Context, account, region string) (time.Time, bool, error) {
	s := scope{account, region}
	t.mu.RLock()
	tail := t.tail.view(s, everything, "")
	t.mu.RUnlock()
	var first []*row
	if err := t.db.View(ctx, func(tx store.Tx) (err error) {
		first, err = rowsAfter(tx, t.term(s, everything, ""), -1, 1)
		return err
	}); err != nil {
		return time.Time{}, false, err
	}
	var seqs []int64
	switch {
	case len(first) > 0:
		seqs = []int64{first[0].first}
	case len(tail.postings) > 0:
		seqs = []int64{tail.span.first + int64(tail.postings[0])}
	}
	entries, err := t.journal.Get(ctx, seqs)
	if err != nil || len(entries) == 0 {
		return time.Time{}, false, err
	}
	return entries[0].Time, true, nil
}

// aliasDepth is how many of the newest records of KMS are looked through for one that names a key by an alias that nothing else tells of.
const aliasDepth = 20_000

// KeyOfAlias is the ARN of the key that an alias last stood for in an account and region, by what is on record, whether alias and key are there
// still or not; empty if it is not on record. alias is its name, such as alias/app.
func (t *Trail) KeyOfAlias(ctx context.Context, partition, account, region, alias string) (string, error) {
	if err := t.wait(ctx); err != nil {
		return "", err
	}
	prefix := fmt.Sprintf("arn:%s:kms:%s:%s:", partition, region, account)
	q := query{scope: scope{account, region}, from: -maxSecond, to: maxSecond}
	for _, way := range []struct {
		kind  kind
		value string
		tells func(*vigil.Record) bool
	}{
		{resourceName, prefix + alias, func(r *vigil.Record) bool { return r.EventName == "CreateAlias" || r.EventName == "UpdateAlias" }},
		{eventSource, "kms.amazonaws.com", func(r *vigil.Record) bool { return keyParameter(r) == alias || keyParameter(r) == prefix+alias }},
	} {
		q.kind, q.value = way.kind, way.value
		for after, looked := beginning, 0; looked < aliasDepth; {
			events, walked, err := t.find(ctx, q, after, loadRecords)
			if err != nil {
				return "", err
			}
			for _, e := range events {
				r, err := vigil.ParseRecord([]byte(aws.ToString(e.event.CloudTrailEvent)))
				if err != nil || r.ErrorCode != "" || !way.tells(r) {
					continue
				}
				for _, one := range r.Resources {
					if strings.HasPrefix(one.ARN, prefix+"key/") {
						return one.ARN, nil
					}
				}
			}
			if len(events) < loadRecords {
				break
			}
			after, looked = walked, looked+len(events)
		}
	}
	return "", nil
}

// keyParameter is what a call named its key by.
func keyParameter(r *vigil.Record) string {
	var p struct {
		KeyID            string `json:"keyId"`
		DestinationKeyID string `json:"destinationKeyId"`
	}
	_ = json.Unmarshal(r.RequestParameters, &p) // whatever it is then, it is no alias
	if p.KeyID == "" {
		return p.DestinationKeyID
	}
	return p.KeyID
}
