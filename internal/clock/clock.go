// Package clock is the server's time. All of Vigil asks a Clock, so that a test or
// `vigil clock advance` can let eight days pass through the front door.
package clock

import (
	"context"
	"sync"
	"time"
)

// Clock tells the server's time, which never goes back while the process lives.
type Clock interface {
	// Now is the server's time, in UTC.
	Now() time.Time
	// Sleep waits until the server's time is t or later, or until ctx is done, whose error it then returns.
	Sleep(ctx context.Context, t time.Time) error
}

// Wall is the machine's own clock.
type Wall struct{}

// Now implements Clock.
func (Wall) Now() time.Time { return time.Now().UTC() }

// Sleep implements Clock.
func (w Wall) Sleep(ctx context.Context, t time.Time) error { return sleep(ctx, t.Sub(w.Now()), nil) }

// Movable is the machine's clock with an offset that only grows.
type Movable struct {
	mu     sync.Mutex
	offset time.Duration
	moved  chan struct{} // closed and replaced at each Advance
}

// NewMovable returns a clock that is already offset ahead of the machine's.
func NewMovable(offset time.Duration) *Movable {
	return &Movable{offset: offset, moved: make(chan struct{})}
}

// Now implements Clock.
func (m *Movable) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().UTC().Add(m.offset)
}

// Offset is how far the clock is ahead of the machine's.
func (m *Movable) Offset() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offset
}

// Advance moves the clock by d, which must not be negative, and wakes whoever sleeps past its time.
func (m *Movable) Advance(d time.Duration) {
	if d < 0 {
		panic("clock: time does not go back")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset += d
	close(m.moved)
	m.moved = make(chan struct{})
}

// Sleep implements Clock.
func (m *Movable) Sleep(ctx context.Context, t time.Time) error {
	for {
		m.mu.Lock()
		left, moved := t.Sub(time.Now().UTC().Add(m.offset)), m.moved
		m.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, left, moved); err != nil {
			return err
		}
	}
}

// sleep waits for d, for wake to be closed, or for ctx to be done.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
