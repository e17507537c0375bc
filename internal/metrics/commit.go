package metrics

import (
	"context"
	"errors"
	"sync"

	"vigil/internal/store"
)

// queue gathers what clients put while a transaction is being made durable into the next one.
type queue struct {
	mu      sync.Mutex
	waiting *group
	busy    bool // somebody commits groups
}

// group is committed as one page.
type group struct {
	batches []*batch
	done    chan struct{} // closed when err is known
	err     error
}

// commit makes a batch durable, together with those of others that wait at the same time.
func (m *Metrics) commit(ctx context.Context, b *batch) error {
	m.queue.mu.Lock()
	g := m.queue.waiting
	if g == nil {
		g = &group{done: make(chan struct{})}
		m.queue.waiting = g
	}
	g.batches = append(g.batches, b)
	if !m.queue.busy {
		m.queue.busy = true
		go m.commitGroups()
	}
	m.queue.mu.Unlock()

	select {
	case <-g.done:
		return g.err
	case <-ctx.Done(): // the client has gone; what it put may still be stored
		return ctx.Err()
	}
}

// commitGroups commits groups until none waits.
func (m *Metrics) commitGroups() {
	for {
		m.queue.mu.Lock()
		g := m.queue.waiting
		m.queue.waiting = nil
		m.queue.busy = g != nil
		m.queue.mu.Unlock()
		if g == nil {
			return
		}
		g.err = m.commitGroup(context.Background(), g)
		close(g.done)
	}
}

func (m *Metrics) commitGroup(ctx context.Context, g *group) error {
	var id pageID
	err := m.db.Update(ctx, func(tx store.Tx) (err error) {
		id, err = m.write(tx, g.batches...)
		return err
	})
	var inDoubt *store.CommitError
	if !errors.As(err, &inDoubt) {
		return err
	}
	m.pages.doubts.Add(1)
	defer m.pages.doubts.Add(-1)
	happened, lookErr := m.has(ctx, id)
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if !happened {
		return inDoubt.Err // no doubt is left
	}
	if err := m.upToDate(ctx); err != nil {
		m.log.Error("Points are stored that cannot be read yet.", "error", err) // whoever asks for them tries again
	}
	return nil
}

// has says whether a page is durable.
func (m *Metrics) has(ctx context.Context, id pageID) (bool, error) {
	var nonce int64
	err := m.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT nonce FROM metrics_page WHERE id = $1`, id.number).Scan(&nonce)
	})
	if errors.Is(err, store.ErrNoRows) {
		return false, nil
	}
	return err == nil && nonce == id.nonce, err
}
