package kms

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestCacheKeepsWhatWasRead(t *testing.T) {
	c := newCache[string, int](16)
	reads := 0
	read := func() (int, error) { reads++; return 7, nil }
	for range 3 {
		if v, err := c.get("a", read); v != 7 || err != nil {
			t.Fatalf("%d, %v", v, err)
		}
	}
	if reads != 1 {
		t.Errorf("the value was read %d times", reads)
	}
	c.forget("a")
	c.get("a", read)
	if reads != 2 {
		t.Error("what was forgotten is not read again")
	}
}

func TestCacheKeepsNoFailure(t *testing.T) {
	c := newCache[string, int](16)
	missing := errors.New("missing")
	if _, err := c.get("a", func() (int, error) { return 0, missing }); err != missing {
		t.Fatal(err)
	}
	if v, err := c.get("a", func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

// A reader that saw the database before a change answers with what it saw, but does not leave it behind.
func TestCacheIsNotBehindTheDatabase(t *testing.T) {
	c := newCache[string, int](16)
	v, _ := c.get("a", func() (int, error) {
		c.forget("a") // the change is committed while the reader reads
		return 1, nil
	})
	if v != 1 {
		t.Errorf("the reader got %d", v)
	}
	if v, _ := c.get("a", func() (int, error) { return 2, nil }); v != 2 {
		t.Errorf("after the change the cache says %d", v)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache[int, int](100)
	for i := range 10_000 {
		c.get(i, func() (int, error) { return i, nil })
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].values)
	}
	if n > 100+cacheShards || n < 50 {
		t.Errorf("a cache of 100 values has %d", n)
	}
}

// Under any interleaving, who asks after a change was announced gets it.
func TestCacheUnderConcurrency(t *testing.T) {
	c := newCache[int, int64](4) // small enough that values are evicted too
	const keys = 8
	var database [keys]atomic.Int64
	var announced [keys]atomic.Int64
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := i % keys
				atLeast := announced[key].Load()
				got, _ := c.get(key, func() (int64, error) { return database[key].Load(), nil })
				if got < atLeast {
					t.Errorf("key %d: %d, though %d was announced", key, got, atLeast)
					return
				}
			}
		})
	}
	for version := int64(1); version <= 20_000; version++ {
		key := int(version % keys)
		database[key].Store(version)
		c.forget(key)
		announced[key].Store(version)
	}
	close(stop)
	readers.Wait()
}
