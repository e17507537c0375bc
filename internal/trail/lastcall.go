package trail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigil/internal/store"
)

// LastCall is the last call that a caller has on record, be it answered with an error or not.
type LastCall struct {
	Time    time.Time // to the millisecond
	Service string    // kms
	Region  string
}

// LastCalls says when callers last called, in whatever region: an access key, but for those of sessions, by its id, and a role, in whichever
// session, by its unique id (AROA…). Those that never called are not among the answers. It sees all that was answered before,
// unless the history lags by more than five seconds.
func (t *Trail) LastCalls(ctx context.Context, ids ...string) (map[string]LastCall, error) {
	if err := t.wait(ctx); err != nil {
		return nil, err
	}
	calls := map[string]LastCall{}
	t.mu.RLock()
	for _, id := range ids {
		if u := t.tail.callers[id]; u != nil {
			calls[id] = lastCall(u.at, string(u.source), string(u.region))
		}
	}
	t.mu.RUnlock()
	err := t.db.View(ctx, func(tx store.Tx) error {
		for _, id := range ids {
			var at int64
			var source, region string
			err := tx.QueryRow(`SELECT time, source, region FROM history_last_call WHERE caller = $1`, id).Scan(&at, &source, &region)
			switch {
			case errors.Is(err, store.ErrNoRows):
				continue
			case err != nil:
				return err
			}
			// The stored call may be the later one, as an event may be recorded after later ones.
			if newer, ok := calls[id]; !ok || newer.Time.UnixMilli() < at {
				calls[id] = lastCall(at, source, region)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("last calls: %w", err)
	}
	return calls, nil
}

// callerUse is the last call of a caller that the tail has. Its memory serves the next one.
type callerUse struct {
	at             int64
	source, region []byte
}

func lastCall(at int64, source, region string) LastCall {
	service, _, _ := strings.Cut(source, ".")
	return LastCall{time.UnixMilli(at).UTC(), service, region}
}

// addCaller notes who called. The record that an owner has of another account's call does not tell.
func (t *tail) addCaller(at int64, f *facts) {
	id := callerID(f)
	if len(id) == 0 {
		return
	}
	u := t.callers[string(id)]
	if u == nil {
		u = new(callerUse)
		t.callers[string(id)] = u
	} else if at < u.at {
		return
	}
	u.at = at
	u.source = append(u.source[:0], f.EventSource...)
	u.region = append(u.region[:0], f.Region...)
}

// callerID is the access key that signed a call, or the role whose session's key did. Other sessions have none.
func callerID(f *facts) []byte {
	if !bytes.HasPrefix(f.AccessKeyID, []byte("ASIA")) {
		return f.AccessKeyID
	}
	if !bytes.HasPrefix(f.PrincipalID, []byte("AROA")) {
		return nil
	}
	role, _, _ := bytes.Cut(f.PrincipalID, []byte(":"))
	return role
}

// putCallers brings the database up to the tail's callers.
func putCallers(tx store.Tx, callers map[string]*callerUse) error {
	for id, u := range callers {
		_, err := tx.Exec(`INSERT INTO history_last_call (caller, time, source, region) VALUES ($1, $2, $3, $4)
			ON CONFLICT (caller) DO UPDATE SET time = excluded.time, source = excluded.source, region = excluded.region
			WHERE excluded.time >= history_last_call.time`, id, u.at, string(u.source), string(u.region))
		if err != nil {
			return err
		}
	}
	return nil
}
