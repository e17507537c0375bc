package trail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vigil/internal/store"
)

// Use is a use of a KMS key.
type Use struct {
	Time      time.Time // to the millisecond
	Operation string
	RequestID string
	EventID   string // of the CloudTrail event
}

// usesKey says whether an operation of KMS is one of those whose success is a use of the key, as GetKeyLastUsage has
// it. A dry run never succeeds.
func usesKey(operation string) bool {
	switch operation {
	case "Decapsulate", "Decrypt", "DeriveSharedSecret", "Encapsulate", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "ReEncrypt", "Sign", "Verify", "VerifyMac":
		return true
	}
	return false
}

// LastUse says when the key with this ARN was last used successfully for cryptography, and false if it never was. A
// ReEncrypt uses both of its keys. LastUse sees all that was answered before it was called, unless the history lags by
// more than five seconds.
func (t *Trail) LastUse(ctx context.Context, keyARN string) (Use, bool, error) {
	if err := t.wait(ctx); err != nil {
		return Use{}, false, err
	}
	t.mu.RLock()
	inTail, own, ok := t.tail.lastUse(keyARN)
	t.mu.RUnlock()
	stored, found, err := t.storedUse(ctx, keyARN)
	if err != nil {
		return Use{}, false, fmt.Errorf("last use: %w", err)
	}
	// The stored use may be the later one, as an event may be recorded, or brought in, after later ones, and it may be the
	// better event of the same call: see addUse.
	if found && (!ok || stored.Time.After(inTail.Time) || !own && stored.Time.Equal(inTail.Time) && stored.RequestID == inTail.RequestID) {
		return stored, true, nil
	}
	return inTail, ok, nil
}

// storedUse is the last use that the database has.
func (t *Trail) storedUse(ctx context.Context, keyARN string) (u Use, ok bool, err error) {
	err = t.db.View(ctx, func(tx store.Tx) error {
		var at int64
		err := tx.QueryRow(`SELECT time, operation, request_id, event_id FROM history_last_use WHERE key = $1`, keyARN).
			Scan(&at, &u.Operation, &u.RequestID, &u.EventID)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		u.Time, ok = time.UnixMilli(at).UTC(), true
		return err
	})
	return u, ok, err
}

// use is the last use of a key that the tail has. Its memory serves the next one.
type use struct {
	at                            int64
	own                           bool // the event is the key's account's, and not that of a caller from another
	operation, requestID, eventID []byte
}

// addUse notes the keys that the record uses. A call from another account may have an event in both accounts. Then the
// one in the key's own counts, which its owner can find.
func (t *tail) addUse(at int64, f *facts) {
	if len(f.ErrorCode) > 0 || string(f.EventSource) != "kms.amazonaws.com" || !usesKey(string(f.EventName)) {
		return
	}
	for _, r := range f.Resources {
		owner, ok := keyAccount(r.ARN)
		if !ok {
			continue
		}
		own := owner == string(f.Account)
		u := t.uses[string(r.ARN)]
		if u == nil {
			u = new(use)
			t.uses[string(r.ARN)] = u
		} else if at < u.at || u.own && !own && string(u.requestID) == string(f.RequestID) {
			continue
		}
		u.at, u.own = at, own
		u.operation = append(u.operation[:0], f.EventName...)
		u.requestID = append(u.requestID[:0], f.RequestID...)
		u.eventID = append(u.eventID[:0], f.EventID...)
	}
}

func (t *tail) lastUse(key string) (last Use, own, ok bool) {
	u := t.uses[key]
	if u == nil {
		return Use{}, false, false
	}
	return Use{time.UnixMilli(u.at).UTC(), string(u.operation), string(u.requestID), string(u.eventID)}, u.own, true
}

// keyAccount is the account of a key, if that is what the ARN names.
func keyAccount(arn []byte) (account string, ok bool) {
	parts := strings.SplitN(string(arn), ":", 6)
	if len(parts) != 6 || parts[2] != "kms" || !strings.HasPrefix(parts[5], "key/") {
		return "", false
	}
	return parts[4], true
}

// putUses brings the database up to the tail's uses.
func putUses(tx store.Tx, uses map[string]*use) error {
	for key, u := range uses {
		// Of a call's two events, the database may have the key's own already.
		_, err := tx.Exec(`INSERT INTO history_last_use (key, time, operation, request_id, event_id) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (key) DO UPDATE SET time = excluded.time, operation = excluded.operation,
				request_id = excluded.request_id, event_id = excluded.event_id
			WHERE excluded.time > history_last_use.time
				OR excluded.time = history_last_use.time AND (excluded.request_id <> history_last_use.request_id OR $6 = 1)`,
			key, u.at, string(u.operation), string(u.requestID), string(u.eventID), truth(u.own))
		if err != nil {
			return err
		}
	}
	return nil
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
