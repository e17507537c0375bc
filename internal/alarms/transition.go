package alarms

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"vigil/internal/store"
)

// transition is an alarm's change from one state to another.
type transition struct {
	alarm    *alarm
	old, new *state
}

// commitSize is how many transitions one transaction has at most: actions take time, and other writers wait for it.
const commitSize = 100

const historyKept = 14 * 24 * time.Hour

// commit makes transitions durable with all that they cause, and moves the cursor with the last of them.
func (a *Alarms) commit(ctx context.Context, changes []transition, cursor time.Time) error {
	for len(changes) > 0 || !cursor.IsZero() {
		some := changes[:min(len(changes), commitSize)]
		changes = changes[len(some):]
		err := a.Watch.Update(ctx, func(tx store.Tx) error {
			for _, t := range some {
				if err := a.transit(tx, t); err != nil {
					return err
				}
			}
			if len(changes) > 0 || cursor.IsZero() {
				return nil
			}
			return a.moveCursor(tx, cursor)
		})
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return nil
		}
	}
	return nil
}

// moveCursor notes a slot as evaluated. On the hour, it also drops what is too old.
func (a *Alarms) moveCursor(tx store.Tx, slot time.Time) error {
	if _, err := tx.Exec(`UPDATE alarms_cursor SET slot = $1 WHERE one = 1`, slot.UnixMilli()); err != nil {
		return err
	}
	if !slot.Equal(slot.Truncate(time.Hour)) {
		return nil
	}
	_, err := tx.Exec(`DELETE FROM alarms_history WHERE at < $1`, slot.Add(-historyKept).UnixMilli())
	return err
}

// transit makes one transition, unless the alarm is no longer what it was evaluated as.
func (a *Alarms) transit(tx store.Tx, t transition) error {
	one := t.alarm
	if a.find(one.alarmID) != one || *a.stateOf(one) != *t.old {
		return nil
	}
	if err := a.write(tx, one, t.new); err != nil {
		return err
	}
	if err := a.note(tx, one, t.new.updated, types.HistoryItemTypeStateUpdate,
		fmt.Sprintf("Alarm updated from %s to %s", t.old.value, t.new.value), t.history()); err != nil {
		return err
	}
	if one.ActionsEnabled {
		for _, action := range one.actions(t.new.value) {
			if err := a.act(tx, t, action); err != nil {
				return err
			}
		}
	}
	return a.Emit(tx, one.account, one.region, t.event())
}

// write writes an alarm's state.
func (a *Alarms) write(tx store.Tx, one *alarm, s *state) error {
	if _, err := tx.Exec(`INSERT INTO alarms_state (id, value, reason, data, updated, transitioned) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (id) DO UPDATE SET value = excluded.value, reason = excluded.reason, data = excluded.data,
			updated = excluded.updated, transitioned = excluded.transitioned`,
		one.id, string(s.value), s.reason, s.data, s.updated, s.transitioned); err != nil {
		return err
	}
	tx.OnCommit(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.states[one.id] = s
	})
	return nil
}

// act does an action and notes how it went. An action that fails leaves nothing behind but its history item.
func (a *Alarms) act(tx store.Tx, t transition, action string) error {
	one, message := t.alarm, string(t.message())
	failed := tx.Savepoint(func(tx store.Tx) error { return a.Act(tx, one.arn(), action, t.subject(), message) })
	result, summary := "Succeeded", "Successfully executed action "+action
	data := map[string]any{"notificationResource": action, "stateUpdateTimestamp": t.new.updated, "publishedMessage": message}
	if failed != nil {
		a.Log.Warn("an alarm's action failed", "alarm", one.arn(), "action", action, "error", failed)
		result, summary = "Failed", "Failed to execute action "+action
		data["error"] = failed.Error()
	}
	data["actionState"] = result
	return a.note(tx, one, t.new.updated, types.HistoryItemTypeAction, summary, marshal(data))
}

// note adds a history item.
func (a *Alarms) note(tx store.Tx, one *alarm, at int64, kind types.HistoryItemType, summary string, data []byte) error {
	var id int64
	if err := tx.QueryRow(`UPDATE alarms_cursor SET next = next + 1 WHERE one = 1 RETURNING next`).Scan(&id); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO alarms_history (id, account, region, name, at, type, summary, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, one.account, one.region, one.name, at, string(kind), summary, string(data))
	return err
}

type historyState struct {
	Value  types.StateValue `json:"stateValue"`
	Reason string           `json:"stateReason"`
	Data   json.RawMessage  `json:"stateReasonData,omitempty"`
}

func (s *state) history() historyState {
	h := historyState{Value: s.value, Reason: s.reason}
	if json.Valid([]byte(s.data)) {
		h.Data = json.RawMessage(s.data)
	}
	return h
}

// history is a StateUpdate item's HistoryData.
func (t transition) history() []byte {
	return marshal(struct {
		Version string       `json:"version"`
		Old     historyState `json:"oldState"`
		New     historyState `json:"newState"`
	}{"1.0", t.old.history(), t.new.history()})
}
