package storetest

import (
	"context"
	"errors"
	"sync"

	"vigil/internal/store"
)

// ErrInjected is, or is within, the error of what a FaultDB fails.
var ErrInjected = errors.New("injected by the test")

// Fault is a way in which an Update fails.
type Fault int

const (
	// None is no fault.
	None Fault = iota
	// Before fails the Update before its function is called.
	Before
	// Failed runs the function, undoes it, and returns an ordinary error: nothing persisted, and the caller knows.
	Failed
	// FailedInDoubt does the same, but returns a *store.CommitError: nothing persisted, and the caller has to find out.
	FailedInDoubt
	// PersistedInDoubt commits, without the OnCommit functions, and returns a *store.CommitError that has them: it did
	// persist, and the caller has to find out.
	PersistedInDoubt
)

// FaultDB is a database whose Updates and Views fail as planned and otherwise are those of the database that it is made of.
// Migrate is never failed, and does not count as an Update.
type FaultDB struct {
	store.DB

	mu      sync.Mutex
	updates faultPlan
	views   faultPlan
}

// faultPlan has faults by how many calls come before theirs.
type faultPlan struct {
	calls int
	at    map[int]Fault
}

func (p *faultPlan) set(n int, fault Fault) {
	if p.at == nil {
		p.at = map[int]Fault{}
	}
	p.at[p.calls+n] = fault
}

func (p *faultPlan) next() Fault {
	p.calls++
	fault := p.at[p.calls]
	delete(p.at, p.calls)
	return fault
}

// NewFaultDB makes one of a real database. Nothing fails until it is told to.
func NewFaultDB(db store.DB) *FaultDB { return &FaultDB{DB: db} }

// FailUpdate plans a fault for the n-th Update from now on. The next one is 1.
func (f *FaultDB) FailUpdate(n int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updates.set(n, fault)
}

// FailView has the n-th View from now on fail before its function is called. The next one is 1.
func (f *FaultDB) FailView(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.views.set(n, Before)
}

// Updates is how many Updates there have been, failed ones too.
func (f *FaultDB) Updates() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.updates.calls
}

// View implements store.DB.
func (f *FaultDB) View(ctx context.Context, fn func(store.Tx) error) error {
	f.mu.Lock()
	fault := f.views.next()
	f.mu.Unlock()
	if fault != None {
		return ErrInjected
	}
	return f.DB.View(ctx, fn)
}

// Update implements store.DB.
func (f *FaultDB) Update(ctx context.Context, fn func(store.Tx) error) error {
	f.mu.Lock()
	fault := f.updates.next()
	f.mu.Unlock()
	if fault == None {
		return f.DB.Update(ctx, fn)
	}
	if fault == Before {
		return ErrInjected
	}

	var hooks hooks
	err := f.DB.Update(ctx, func(tx store.Tx) error {
		if err := fn(heldTx{tx, &hooks}); err != nil {
			return err
		}
		if fault == PersistedInDoubt {
			return nil
		}
		return ErrInjected
	})
	switch {
	case err != nil && !errors.Is(err, ErrInjected): // it has failed by itself, before the fault could happen
		return err
	case fault == Failed:
		return err
	}
	return store.NewCommitError(ErrInjected, hooks)
}

// hooks are OnCommit functions that are held back.
type hooks []func()

// heldTx is a transaction whose OnCommit functions are held back.
type heldTx struct {
	store.Tx
	hooks *hooks
}

// OnCommit implements store.Tx.
func (t heldTx) OnCommit(fn func()) { *t.hooks = append(*t.hooks, fn) }

// Savepoint implements store.Tx.
func (t heldTx) Savepoint(fn func(store.Tx) error) error {
	before, good := len(*t.hooks), false
	defer func() {
		if !good {
			*t.hooks = (*t.hooks)[:before]
		}
	}()
	err := t.Tx.Savepoint(func(tx store.Tx) error { return fn(heldTx{tx, t.hooks}) })
	good = err == nil
	return err
}
