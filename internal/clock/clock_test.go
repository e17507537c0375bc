package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"vigil/internal/clock"
)

func TestSleepEndsWhenTheClockIsMoved(t *testing.T) {
	c := clock.NewMovable(0)
	slept := make(chan error, 1)
	until := c.Now().Add(8 * 24 * time.Hour)
	go func() { slept <- c.Sleep(context.Background(), until) }()
	c.Advance(time.Hour) // not far enough
	select {
	case err := <-slept:
		t.Fatalf("woke seven days early: %v", err)
	default:
	}
	c.Advance(8 * 24 * time.Hour)
	if err := <-slept; err != nil {
		t.Fatal(err)
	}
	if c.Now().Before(until) {
		t.Errorf("it is %v, before %v", c.Now(), until)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	for name, c := range map[string]clock.Clock{"wall": clock.Wall{}, "movable": clock.NewMovable(time.Hour)} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := c.Sleep(ctx, c.Now().Add(time.Hour)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Sleep returned %v", name, err)
		}
	}
}

func TestMovableStartsAhead(t *testing.T) {
	c := clock.NewMovable(36 * time.Hour)
	if ahead := time.Until(c.Now()); ahead < 35*time.Hour {
		t.Errorf("the clock is %v ahead, want 36h", ahead)
	}
	if c.Offset() != 36*time.Hour {
		t.Errorf("offset %v", c.Offset())
	}
}
