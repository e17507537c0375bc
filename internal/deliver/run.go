package deliver

import (
	"container/heap"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"vigil/internal/store"
)

const (
	// rescanEvery is how often all lanes are looked up in the table, in case a commit that was in doubt had brought something.
	rescanEvery = time.Minute
	// retryAfterFailure is how long the outbox waits when its own database fails.
	retryAfterFailure = time.Second
	// grace is how long attempts may still take when the outbox stops.
	grace = 2 * time.Second
	// slowAttempt is how long an attempt takes, by the machine's clock, that makes a lane a slow one.
	slowAttempt = 2 * time.Second
)

// lane is an endpoint with deliveries waiting. A lane is known as long as it has some.
type lane struct {
	name  string
	next  time.Time // when its first delivery that is not in flight is due; zero when it has none, as far as is known
	place int       // in the queue; -1 when it is not there

	flying map[string]bool // deliveries that are attempted or settled right now
	slow   bool            // its last attempt failed or took long
	held   bool            // it is slow and waits until another slow one is done
}

// queue is the lanes that could begin an attempt, the earliest first.
type queue []*lane

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].place, q[j].place = i, j }
func (q *queue) Push(x any)        { l := x.(*lane); l.place = len(*q); *q = append(*q, l) }
func (q *queue) Pop() any {
	l := (*q)[len(*q)-1]
	*q, l.place = (*q)[:len(*q)-1], -1
	return l
}

// runner is one Run: which lanes there are and what they are doing. Only Run's goroutine uses it.
type runner struct {
	o       *Outbox
	lanes   map[string]*lane
	queue   queue
	flying  int              // in all lanes
	slow    int              // of them, those of slow lanes
	held    []*lane          // slow lanes that wait until another slow one is done
	scanned time.Time        // when all lanes were looked up
	paced   map[string]*pace // lanes that have begun attempts of a limited rate

	attempts sync.WaitGroup
	attempt  context.Context // of attempts: it ends a little after Run's
	results  chan result
	settled  chan []result
}

// Run makes the attempts that are due, until ctx is done. Attempts that are being made then have a moment to end; what they were
// for stays in the outbox.
func (o *Outbox) Run(ctx context.Context) error {
	attempt, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	r := &runner{
		o: o, lanes: make(map[string]*lane), paced: make(map[string]*pace), attempt: attempt,
		results: make(chan result, o.config.MaxInFlight),
		settled: make(chan []result, o.config.MaxInFlight),
	}
	settle, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	settling := make(chan error, 1)
	go func() { settling <- o.settleAll(settle, r.results, r.settled) }()

	err := r.run(ctx, settling)

	hurry := time.AfterFunc(grace, abandon)
	r.attempts.Wait()
	hurry.Stop()
	close(r.results)
	hurry = time.AfterFunc(grace, giveUp)
	defer hurry.Stop()
	if ended := <-settling; err == nil {
		err = ended
	}
	o.inFlight.Store(0)
	return err
}

func (r *runner) run(ctx context.Context, settling chan error) error {
	for {
		if err := r.begin(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrFenced) {
				return err
			}
			r.o.log.Error("The outbox could not be read.", "error", err)
		}
		alarm, silence := r.alarm(ctx)
		select {
		case <-ctx.Done():
			silence()
			return nil
		case err := <-settling: // only when it cannot go on
			silence()
			settling <- err
			return err
		case batch := <-r.settled:
			r.land(batch)
		case <-r.o.wake:
		case <-alarm:
		}
		silence()
	}
}

// alarm tells when the next attempt is due.
func (r *runner) alarm(ctx context.Context) (rings <-chan struct{}, silence func()) {
	at := r.scanned.Add(rescanEvery)
	if len(r.queue) > 0 && r.flying < r.o.config.MaxInFlight && r.queue[0].next.Before(at) {
		at = r.queue[0].next
	}
	ctx, cancel := context.WithCancel(ctx)
	c := make(chan struct{})
	go func() {
		defer close(c)
		_ = r.o.clock.Sleep(ctx, at)
	}()
	return c, func() { cancel(); <-c }
}

// begin begins what can be begun.
func (r *runner) begin(ctx context.Context) error {
	now := r.o.clock.Now()
	if now.Sub(r.scanned) >= rescanEvery {
		r.scanned = now
		if err := r.scan(ctx, now); err != nil {
			r.scanned = now.Add(retryAfterFailure - rescanEvery)
			return err
		}
	}
	r.takeWoken()
	for len(r.queue) > 0 && r.flying < r.o.config.MaxInFlight && !r.queue[0].next.After(now) {
		l := heap.Pop(&r.queue).(*lane)
		if l.slow && r.slow >= r.maxSlow() {
			l.held = true
			r.held = append(r.held, l)
			continue
		}
		if err := r.beginLane(ctx, l, now); err != nil {
			l.next = now.Add(retryAfterFailure)
			r.enqueue(l)
			return err
		}
		r.enqueue(l)
	}
	return nil
}

// maxSlow is how many attempts all slow lanes may make at a time.
func (r *runner) maxSlow() int { return max(1, r.o.config.MaxInFlight/2) }

// free is how many attempts a lane may begin.
func (r *runner) free(l *lane) int {
	if l.slow {
		return 1 - len(l.flying)
	}
	return min(r.o.config.MaxInLane-len(l.flying), r.o.config.MaxInFlight-r.flying)
}

// enqueue puts a lane into the queue, if it could begin an attempt at some time.
func (r *runner) enqueue(l *lane) {
	switch {
	case l.held:
	case l.place >= 0:
		heap.Fix(&r.queue, l.place)
	case !l.next.IsZero() && (len(l.flying) == 0 || !l.slow && len(l.flying) < r.o.config.MaxInLane):
		heap.Push(&r.queue, l)
	case l.next.IsZero() && len(l.flying) == 0:
		delete(r.lanes, l.name)
	}
}

// takeWoken takes what was enqueued.
func (r *runner) takeWoken() {
	r.o.mu.Lock()
	woken := r.o.woken
	r.o.woken = make(map[string]time.Time)
	r.o.mu.Unlock()
	for name, due := range woken {
		r.due(name, due)
	}
}

// due notes that a lane has a delivery that is due at that time.
func (r *runner) due(name string, at time.Time) {
	l := r.lanes[name]
	if l == nil {
		l = &lane{name: name, place: -1, flying: make(map[string]bool)}
		r.lanes[name] = l
	}
	if l.next.IsZero() || at.Before(l.next) {
		l.next = at
	}
	r.enqueue(l)
}

// scan looks all lanes up, and forgets dead letters whose time has passed.
func (r *runner) scan(ctx context.Context, now time.Time) error {
	found := make(map[string]int64)
	var oldestDead int64
	err := r.o.db.View(ctx, func(tx store.Tx) error {
		if err := tx.QueryRow(`SELECT COALESCE(MIN(dead), 0) FROM deliver_delivery WHERE dead > 0`).Scan(&oldestDead); err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT lane, MIN(due) FROM deliver_delivery WHERE dead = 0 GROUP BY lane`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var due int64
			if err := rows.Scan(&name, &due); err != nil {
				return err
			}
			found[name] = due
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	for name, due := range found {
		r.due(name, time.UnixMilli(due))
	}
	maps.DeleteFunc(r.paced, func(_ string, p *pace) bool { return !now.Before(p.until) })
	if kept := now.Add(-keepDead).UnixMilli(); oldestDead > 0 && oldestDead < kept {
		return r.o.db.Update(ctx, func(tx store.Tx) error {
			_, err := tx.Exec(`DELETE FROM deliver_delivery WHERE dead > 0 AND dead < $1`, kept)
			return err
		})
	}
	return nil
}

// beginLane begins the attempts of a lane that are due, as many as are free, and finds out when the next one is.
func (r *runner) beginLane(ctx context.Context, l *lane, now time.Time) error {
	free := r.free(l)
	if free <= 0 {
		return nil
	}
	var begun []*stored
	var next time.Time
	rate := 0
	err := r.o.db.View(ctx, func(tx store.Tx) error {
		due, err := r.dueIn(tx, l, now, free)
		if err != nil {
			return err
		}
		ids := due.ids
		next, rate = due.next, due.rate
		if left, again := r.left(l.name, rate, now); left < len(ids) {
			ids, next = ids[:left], again
		}
		for _, id := range ids {
			s, err := load(tx, id)
			if err != nil {
				return err
			}
			begun = append(begun, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.next = next
	r.pace(l.name, rate, len(begun))
	for _, s := range begun {
		l.flying[s.letter.ID] = true
		r.count(l, 1)
		r.attempts.Go(func() { r.results <- r.o.try(r.attempt, s) })
	}
	return nil
}

// dueNow is what a lane has to begin.
type dueNow struct {
	ids  []string
	next time.Time // when the first delivery after them is due; zero if there is none
	rate int       // of the first of them
}

// dueIn looks up the deliveries of a lane to begin.
func (r *runner) dueIn(tx store.Tx, l *lane, now time.Time, free int) (found dueNow, err error) {
	rows, err := tx.Query(`SELECT id, due, rate FROM deliver_delivery WHERE dead = 0 AND lane = $1 ORDER BY due, id LIMIT $2`,
		l.name, len(l.flying)+free+1)
	if err != nil {
		return found, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var due int64
		var rate int
		if err := rows.Scan(&id, &due, &rate); err != nil {
			return found, err
		}
		at := time.UnixMilli(due)
		switch {
		case l.flying[id]:
		case at.After(now) || len(found.ids) == free:
			found.next = at
			return found, nil
		default:
			if len(found.ids) == 0 {
				found.rate = rate
			}
			found.ids = append(found.ids, id)
		}
	}
	return found, rows.Err()
}

// count counts an attempt of a lane that begins or ends.
func (r *runner) count(l *lane, n int) {
	r.flying += n
	if l.slow {
		r.slow += n
	}
	r.o.inFlight.Store(int64(r.flying))
}

// land takes back what has been settled.
func (r *runner) land(batch []result) {
	for _, res := range batch {
		l := r.lanes[res.stored.lane]
		r.count(l, -1)
		delete(l.flying, res.stored.letter.ID)
		if slow := res.slow(); slow != l.slow && !res.abandoned && !res.expired {
			if slow {
				r.slow += len(l.flying)
			} else {
				r.slow -= len(l.flying)
			}
			l.slow = slow
		}
		if !res.again.IsZero() {
			r.due(l.name, res.again)
		} else {
			r.enqueue(l)
		}
	}
	held := r.held
	r.held = nil
	for _, l := range held {
		l.held = false
		r.enqueue(l)
	}
}
