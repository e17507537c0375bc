package alarms

import (
	"context"
	"errors"
	"time"

	"vigil/internal/store"
)

// Alarms of periods of a minute and more are evaluated at each full minute, others every ten seconds.
const (
	longSlot  = time.Minute
	shortSlot = 10 * time.Second
)

// catchUp is how far behind a pause's beginning slots are made up for one by one: longer than any evaluation range, so that all
// that was put before the pause has been seen from every slot. Behind that nothing changes until the pause's end.
const catchUp = 26 * time.Hour

const retryAfter = time.Second

func slotOf(one *alarm) time.Duration {
	if one.period() < time.Minute {
		return shortSlot
	}
	return longSlot
}

// Run evaluates alarms until ctx is done. Slots are evaluated in order; those that passed while nothing ran are made up for.
func (a *Alarms) Run(ctx context.Context) error {
	cursor, err := a.cursor(ctx)
	if err != nil {
		return err
	}
	for {
		if cursor, err = a.evaluateDue(ctx, cursor); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFenced) {
				return err
			}
			a.Log.Error("alarms are not evaluated", "error", err)
			if err := a.Clock.Sleep(ctx, a.Clock.Now().Add(retryAfter)); err != nil {
				return err
			}
			continue
		}
		if err := a.sleep(ctx, cursor.Add(shortSlot)); err != nil {
			return err
		}
	}
}

// cursor is the newest slot that was evaluated. Where there has been none it begins with now, durably: what is put from now on is seen even
// if the process ends before the first slot.
func (a *Alarms) cursor(ctx context.Context) (time.Time, error) {
	var ms int64
	err := a.Watch.View(ctx, func(tx store.Tx) error { return tx.QueryRow(`SELECT slot FROM alarms_cursor WHERE one = 1`).Scan(&ms) })
	if err != nil || ms != 0 {
		return time.UnixMilli(ms).UTC(), err
	}
	now := a.Clock.Now().Truncate(shortSlot)
	return now, a.commit(ctx, nil, now)
}

// sleep waits until a time, or until there is something fresh.
func (a *Alarms) sleep(ctx context.Context, until time.Time) error {
	sleeping, wake := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-a.wake:
			wake()
		case <-sleeping.Done():
		}
	}()
	_ = a.Clock.Sleep(sleeping, until) // why it ended does not matter: what is due is looked for anyway
	wake()
	<-watched
	return ctx.Err()
}

// evaluateDue evaluates fresh alarms, and all alarms at the slots since the cursor. It returns the new cursor.
func (a *Alarms) evaluateDue(ctx context.Context, cursor time.Time) (time.Time, error) {
	now := a.Clock.Now().Truncate(shortSlot)
	pauseSeen := cursor.Add(catchUp)
	for slot := cursor.Add(shortSlot); !slot.After(now); slot = slot.Add(shortSlot) {
		if last := now.Truncate(longSlot); slot.After(pauseSeen) && slot.Before(last) {
			slot = last
		}
		if err := a.evaluateAll(ctx, a.due(slot), slot, slot); err != nil {
			return cursor, err
		}
		cursor = slot
	}
	fresh := a.takeFresh()
	if err := a.evaluateAll(ctx, fresh, now, time.Time{}); err != nil {
		a.giveBack(fresh)
		return cursor, err
	}
	return cursor, nil
}

// due are the alarms to evaluate at a slot: those that were there before it.
func (a *Alarms) due(slot time.Time) (due []*alarm) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	minute := slot.Equal(slot.Truncate(longSlot))
	for _, one := range a.alarms {
		if (minute || slotOf(one) == shortSlot) && one.created <= slot.UnixMilli() {
			due = append(due, one)
		}
	}
	return due
}

func (a *Alarms) takeFresh() (fresh []*alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.fresh {
		if one := a.alarms[id]; one != nil {
			fresh = append(fresh, one)
		}
	}
	clear(a.fresh)
	return fresh
}

func (a *Alarms) giveBack(fresh []*alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range fresh {
		a.fresh[one.alarmID] = true
	}
}

// evaluateAll evaluates alarms at a slot, makes their transitions durable and, unless it is zero, the cursor with the last of them.
func (a *Alarms) evaluateAll(ctx context.Context, due []*alarm, slot, cursor time.Time) error {
	var changes []transition
	for _, one := range due {
		t, changed, err := a.evaluate(ctx, one, slot)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // the other alarms are not to suffer
			a.Log.Error("an alarm is not evaluated", "alarm", one.arn(), "error", err)
			continue
		}
		if changed {
			changes = append(changes, t)
		}
	}
	return a.commit(ctx, changes, cursor)
}

// evaluate evaluates one alarm over the periods that end at its newest slot. Slots are on its grid whenever it is evaluated, so that a
// minute's points are judged when the minute is over.
func (a *Alarms) evaluate(ctx context.Context, one *alarm, at time.Time) (transition, bool, error) {
	end := at.Truncate(slotOf(one))
	n, period := one.rangeOf(), one.period()
	start := end.Add(-time.Duration(n) * period)
	q := Query{Namespace: one.Namespace, Name: one.MetricName, Dimensions: one.Dimensions, Unit: string(one.Unit), Stat: one.stat(),
		Period: period, Start: start, End: end}
	points, err := a.Query(ctx, one.account, one.region, q)
	if err != nil {
		return transition{}, false, err
	}
	slots := make([]slot, n)
	for i := range slots {
		slots[i].time = start.Add(time.Duration(i) * period)
	}
	for i := range points {
		if at := int(points[i].Time.Sub(start) / period); at >= 0 && at < n {
			slots[at].point = &points[i]
		}
	}
	old := a.stateOf(one)
	v := one.config.evaluate(slots)
	if v.state == "" || v.state == old.value {
		return transition{}, false, nil
	}
	now := a.Clock.Now()
	return transition{one, old, &state{v.state, one.reason(old.value, v), string(one.reasonData(slots, v, now)), now.UnixMilli(), now.UnixMilli()}}, true, nil
}
