package metrics

import (
	"context"
	"sync"
	"time"
)

// stopTime is how long a stopping process may take to write what is only in the log; what it does not write is read again
// at the next start.
const stopTime = 5 * time.Second

// retainPause is how often points are looked for that have come of age.
const retainPause = time.Hour

// Run follows the journal, puts latencies each minute, folds the log and merges and drops old points, until ctx is done.
func (m *Metrics) Run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	var failed error
	if m.journal != nil {
		parts.Go(func() {
			failed = m.Follow(running)
			stop() // a follower that ends ends all
		})
	}
	var upkeep sync.Mutex // one of minutes and folds at a time
	parts.Go(func() { m.minutes(running, &upkeep) })
	parts.Go(func() { m.folds(running, &upkeep) })
	parts.Wait()
	m.end(ctx)
	return failed
}

// minutes does what is due by the server's clock.
func (m *Metrics) minutes(ctx context.Context, upkeep *sync.Mutex) {
	var folded, retained time.Time
	for {
		minute := m.clock.Now().Truncate(time.Minute)
		if m.clock.Sleep(ctx, minute.Add(time.Minute)) != nil {
			return
		}
		now := m.clock.Now()
		upkeep.Lock()
		m.try(m.putLatencies(ctx, minute))
		if now.Sub(folded) >= foldPause || now.Sub(retained) >= retainPause {
			m.try(m.fold(ctx))
			folded = now
		}
		if now.Sub(retained) >= retainPause {
			m.try(m.retain(ctx))
			retained = now
		}
		upkeep.Unlock()
	}
}

// folds folds the log whenever it has become long.
func (m *Metrics) folds(ctx context.Context, upkeep *sync.Mutex) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.foldNow:
		}
		upkeep.Lock()
		m.try(m.fold(ctx))
		upkeep.Unlock()
	}
}

// end puts and writes what there is when the process stops.
func (m *Metrics) end(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	m.try(m.putLatencies(ctx, m.clock.Now()))
	m.try(m.fold(ctx))
}

// try notes what failed. All of it is tried again, and nothing is lost meanwhile: points are in the log.
func (m *Metrics) try(err error) {
	if err != nil {
		m.log.Error("The upkeep of metrics failed and will be tried again.", "error", err)
	}
}
