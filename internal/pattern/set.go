package pattern

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Set holds patterns under names of the type T and finds those that match an event. Any number of goroutines may use
// it while others change it: a change is seen by every call of Matches that begins after it.
//
// A change throws the index away, and the next Matches builds it anew, so that many changes one after another cost
// about as much as one.
type Set[T comparable] struct {
	mu      sync.Mutex
	names   []T
	rules   map[T]*Pattern
	current atomic.Pointer[setIndex[T]]
}

type setIndex[T comparable] struct {
	names []T // by the owners of the index's branches
	index
}

// NewSet is a Set without any pattern.
func NewSet[T comparable]() *Set[T] {
	return &Set[T]{rules: map[T]*Pattern{}}
}

// Add puts a pattern into the set, in the place of one that has the same name.
func (s *Set[T]) Add(name T, p *Pattern) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rules[name]; !ok {
		s.names = append(s.names, name)
	}
	s.rules[name] = p
	s.current.Store(nil)
}

// Remove takes a pattern out of the set, if it is there.
func (s *Set[T]) Remove(name T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.rules[name]; !ok {
		return
	}
	delete(s.rules, name)
	i := slices.Index(s.names, name)
	s.names = slices.Delete(s.names, i, i+1)
	s.current.Store(nil)
}

// Len is how many patterns are in the set.
func (s *Set[T]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names)
}

// Matches appends to dst the names of all patterns that match event, each once, in the order in which they were added.
// The event must be a JSON object; an error says only that it isn't, and then dst is as it was.
func (s *Set[T]) Matches(event []byte, dst []T) ([]T, error) {
	ix := s.current.Load()
	if ix == nil {
		ix = s.build()
	}
	v := ix.view()
	defer ix.done(v)
	if err := v.read(&ix.matcher, event); err != nil {
		return dst, err
	}
	for _, owner := range ix.search(v) {
		dst = append(dst, ix.names[owner])
	}
	return dst, nil
}

func (s *Set[T]) build() *setIndex[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ix := s.current.Load(); ix != nil {
		return ix
	}
	patterns := make([][]branch, len(s.names))
	for i, name := range s.names {
		patterns[i] = s.rules[name].branches
	}
	ix := &setIndex[T]{names: slices.Clone(s.names)}
	ix.index.init(patterns)
	s.current.Store(ix)
	return ix
}
