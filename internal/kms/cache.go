package kms

import (
	"hash/maphash"
	"sync"
)

// How much is kept at hand. A key takes some 2 KB, more if its policy is long.
const (
	maxCachedKeys    = 10_000
	maxCachedAliases = 10_000
)

// cache keeps what was read from the database, and is never behind it: a commit that changes a value makes the cache
// forget it before the commit is answered, and a reader that looked at the database before then does not put the old
// value back. What does not exist is not kept. When a shard is full, any one of its values makes room.
type cache[K comparable, V any] struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard[K, V]
	max    int // values in a shard
}

const cacheShards = 16

type cacheShard[K comparable, V any] struct {
	mu         sync.RWMutex
	values     map[K]V
	generation uint64 // how often something was forgotten
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed(), max: (size + cacheShards - 1) / cacheShards}
	for i := range c.shards {
		c.shards[i].values = make(map[K]V)
	}
	return c
}

// get returns the value of key, which read reads from the database if it is not at hand.
func (c *cache[K, V]) get(key K, read func() (V, error)) (V, error) {
	s := c.shard(key)
	s.mu.RLock()
	value, ok := s.values[key]
	generation := s.generation
	s.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := read()
	if err == nil {
		s.put(key, value, generation, c.max)
	}
	return value, err
}

// forget is for OnCommit.
func (c *cache[K, V]) forget(key K) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	s.generation++
}

// put keeps a value that was read since generation, unless something has been forgotten after that: it could have been
// this.
func (s *cacheShard[K, V]) put(key K, value V, generation uint64, max int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return
	}
	if len(s.values) >= max {
		for other := range s.values {
			delete(s.values, other)
			break
		}
	}
	s.values[key] = value
}

func (c *cache[K, V]) shard(key K) *cacheShard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%cacheShards]
}
