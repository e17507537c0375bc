package intake

import (
	"context"
	"errors"
	"time"

	"vigil/internal/call"
	"vigil/internal/store"
)

func putSources(tx store.Tx, done []Source, now time.Time) error {
	for _, s := range done {
		records := int64(0)
		if s.Records != nil {
			records = *s.Records
		}
		_, err := tx.Exec(`INSERT INTO intake_source (name, version, records, imported) VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE SET version = excluded.version, records = excluded.records, imported = excluded.imported`,
			*s.Name, *s.Version, records, now.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// ListKnownSourcesInput asks about up to 1,000 sources.
type ListKnownSourcesInput struct {
	Sources []Source
}

// ListKnownSourcesOutput has the names of those that were read to their end, in that version.
type ListKnownSourcesOutput struct {
	Names []string
}

// listKnownSources says which sources need not be read again.
func (i *Intake) listKnownSources(ctx context.Context, c *call.Call, in *ListKnownSourcesInput) (*ListKnownSourcesOutput, error) {
	if err := i.allow(c); err != nil {
		return nil, err
	}
	out := &ListKnownSourcesOutput{Names: []string{}}
	err := i.db.View(ctx, func(tx store.Tx) error {
		for _, s := range in.Sources {
			var version string
			err := tx.QueryRow(`SELECT version FROM intake_source WHERE name = $1`, *s.Name).Scan(&version)
			if errors.Is(err, store.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			if version == *s.Version {
				out.Names = append(out.Names, *s.Name)
			}
		}
		return nil
	})
	return out, err
}

// ListUnknownAccountsInput asks about up to 1,000 accounts.
type ListUnknownAccountsInput struct {
	AccountIds []string
}

// ListUnknownAccountsOutput has those that the server has not.
type ListUnknownAccountsOutput struct {
	AccountIds []string
}

// listUnknownAccounts says which accounts have to be made before anybody can read their history.
func (i *Intake) listUnknownAccounts(_ context.Context, c *call.Call, in *ListUnknownAccountsInput) (*ListUnknownAccountsOutput, error) {
	if err := i.allow(c); err != nil {
		return nil, err
	}
	out := &ListUnknownAccountsOutput{AccountIds: []string{}}
	for _, account := range in.AccountIds {
		if !i.has(account) {
			out.AccountIds = append(out.AccountIds, account)
		}
	}
	return out, nil
}
