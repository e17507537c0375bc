package alarms

import (
	"context"
	"time"
)

// EvaluateAt evaluates all alarms at a slot, with the cursor made durable.
func (a *Alarms) EvaluateAt(ctx context.Context, slot time.Time) error {
	var all []*alarm
	a.mu.RLock()
	for _, one := range a.alarms {
		all = append(all, one)
	}
	a.mu.RUnlock()
	return a.evaluateAll(ctx, all, slot, slot)
}
