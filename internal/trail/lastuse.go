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

// uses are the operations of KMS that use a key, as GetKeyLastUsage has it. Only successful calls count, so a dry run does not.
var uses = map[string]string{}

func init() {
	for _, operation := range []string{
		"Decapsulate", "Decrypt", "DeriveSharedSecret", "Encapsulate", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "ReEncrypt", "Sign", "Verify", "VerifyMac",
	} {
		uses[operation] = operation
	}
}

// LastUse says when the key with this ARN was last used successfully for cryptography, and false if it never was. A ReEncrypt uses both of
// its keys. LastUse sees all that was answered before it was called, unless the history lags by more than five seconds.
func (t *Trail) LastUse(ctx context.Context, keyARN string) (Use, bool, error) {
	if err := t.wait(ctx); err != nil {
		return Use{}, false, err
	}
	t.mu.RLock()
	newest, ok := t.tail.lastUse(keyARN)
	t.mu.RUnlock()

	// The tail's use may be the older one: an event may be recorded, or brought in, after later ones.
	err := t.db.View(ctx, func(tx store.Tx) error {
		var u Use
		var at int64
		err := tx.QueryRow(`SELECT time, operation, request_id, event_id FROM history_last_use WHERE key = $1`, keyARN).
			Scan(&at, &u.Operation, &u.RequestID, &u.EventID)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if u.Time = time.UnixMilli(at).UTC(); err == nil && (!ok || u.Time.After(newest.Time)) {
			newest, ok = u, true
		}
		return err
	})
	if err != nil {
		return Use{}, false, fmt.Errorf("last use: %w", err)
	}
	return newest, ok, nil
}

// use is the last use of a key that the tail has. Its memory serves the next one.
type use struct {
	at                 int64
	operation          string
	requestID, eventID []byte
}

// addUse notes the keys that the record uses.
func (t *tail) addUse(at int64, f *facts) {
	if len(f.errorCode) > 0 || string(f.eventSource) != "kms.amazonaws.com" {
		return
	}
	operation, ok := uses[string(f.eventName)]
	if !ok {
		return
	}
	for _, r := range f.resources {
		// A call from another account has an event in both, and the key's own is the one that its owner can find.
		if owner, ok := keyAccount(r.arn); !ok || owner != string(f.account) {
			continue
		}
		u := t.uses[string(r.arn)]
		if u == nil {
			u = new(use)
			t.uses[string(r.arn)] = u
		} else if at < u.at {
			continue
		}
		u.at, u.operation = at, operation
		u.requestID = append(u.requestID[:0], f.requestID...)
		u.eventID = append(u.eventID[:0], f.eventID...)
	}
}

func (t *tail) lastUse(key string) (Use, bool) {
	u := t.uses[key]
	if u == nil {
		return Use{}, false
	}
	return Use{time.UnixMilli(u.at).UTC(), u.operation, string(u.requestID), string(u.eventID)}, true
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
		_, err := tx.Exec(`INSERT INTO history_last_use (key, time, operation, request_id, event_id) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (key) DO UPDATE SET time = excluded.time, operation = excluded.operation,
				request_id = excluded.request_id, event_id = excluded.event_id
			WHERE excluded.time >= history_last_use.time`, key, u.at, u.operation, string(u.requestID), string(u.eventID))
		if err != nil {
			return err
		}
	}
	return nil
}
