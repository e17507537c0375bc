package journal

import (
	"slices"
	"sort"

	"vigil"
)

// freshPages are the pages that this process has appended, on their way to the followers, which so need not read from the database and decompress
// what was in memory a moment ago. A page comes in when it is durable, waits for its place, and leaves when the followers have passed it.
//
// What is in here will be needed soonest, so nothing newer takes its room: a page that finds none is left to the database. Whatever is
// not in here is there.
type freshPages struct {
	pages  []freshPage // in the order of their numbers, which is that of their places
	placed int         // how many of them, from the first on, have their place
	size   int         // of their records, in bytes
	next   int64       // the lowest number that the sequencer has not come to
}

type freshPage struct {
	number int64
	*page
}

// maxFresh is how many bytes of records wait for followers in memory: what a large import brings while followers are at work on what it
// has brought before.
const maxFresh = 4 * maxFollowSize

// keep has a page that is durable wait in memory for the followers, if any read. It is called in the order of the pages' numbers. It asks for the
// records, of this many bytes, if there is room for them.
func (j *Journal) keep(number int64, size int, records func() []vigil.PageRecord, digests [][32]byte) {
	if size == 0 || !j.isRead() || !j.pages.hasRoom(size) {
		return
	}
	j.pages.add(freshPage{number, &page{records: records(), digests: digests, size: size}})
}

// isRead says whether any follower reads what there is.
func (j *Journal) isRead() bool {
	j.progress.Lock()
	defer j.progress.Unlock()
	return len(j.readers) > 0
}

// reads notes whether a follower reads what there is. One that is idle or has failed holds no fresh page: who knows when it goes on.
func (j *Journal) reads(f Follower, does bool) {
	j.progress.Lock()
	did := j.readers[f.Name]
	if does {
		j.readers[f.Name] = true
	} else {
		delete(j.readers, f.Name)
	}
	j.progress.Unlock()
	if did && !does {
		j.release()
	}
}

// release lets go of the fresh pages that no follower is about to come to. It is called whenever one has moved.
func (j *Journal) release() {
	j.progress.Lock()
	readers := make([]int64, 0, len(j.readers))
	for name := range j.readers {
		readers = append(readers, j.followers[name])
	}
	j.progress.Unlock()
	j.pages.release(readers)
}

func (c *pageCache) hasRoom(size int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh.size+size <= maxFresh
}

func (c *pageCache) add(p freshPage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.number < c.fresh.next { // its commit was in doubt, and meanwhile it was given its place
		return
	}
	c.fresh.pages = append(c.fresh.pages, p)
	c.fresh.size += p.size
}

// place gives fresh pages their places. The sequencer has come to the number next.
func (c *pageCache) place(places []placed, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &c.fresh
	f.next = max(f.next, next)
	waiting := f.pages[f.placed:]
	kept := f.pages[:f.placed]
	for len(waiting) > 0 && waiting[0].number < next {
		p := waiting[0]
		waiting = waiting[1:]
		for len(places) > 0 && places[0].number < p.number {
			places = places[1:]
		}
		if len(places) == 0 || places[0].number != p.number { // the transaction that gave it its place was in doubt
			f.size -= p.size
			continue
		}
		p.first = places[0].first
		kept = append(kept, p)
	}
	f.placed = len(kept)
	kept = append(kept, waiting...)
	clear(f.pages[len(kept):])
	f.pages = kept
}

// release moves the fresh pages that all have passed to those that were read last. Given are the places of those who read, of whom one
// that is behind all fresh pages has to read from the database first, and holds none. If nobody reads, all are let go.
func (c *pageCache) release(readers []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &c.fresh
	if len(readers) == 0 {
		f.pages, f.placed, f.size = nil, 0, 0
		return
	}
	if f.placed == 0 {
		return
	}
	slowest := int64(-1)
	for _, at := range readers {
		if at >= f.pages[0].first && (slowest < 0 || at < slowest) {
			slowest = at
		}
	}
	passed := 0
	for passed < f.placed && f.pages[passed].end() <= slowest {
		passed++
	}
	for _, p := range f.pages[:passed] {
		f.size -= p.size
		c.putLocked(p.page, func(p *page) bool { return slices.Contains(readers, p.first) })
	}
	f.remove(passed)
}

// get is the page with the entry seq, or nil.
func (f *freshPages) get(seq int64) *page {
	i := sort.Search(f.placed, func(i int) bool { return f.pages[i].end() > seq })
	if i == f.placed || f.pages[i].first > seq {
		return nil
	}
	return f.pages[i].page
}

// run is as pageCache's.
func (f *freshPages) run(next int64) (pages []*page) {
	i := sort.Search(f.placed, func(i int) bool { return f.pages[i].first >= next })
	for size := 0; i < f.placed && f.pages[i].first == next && len(pages) < maxFollow && size < maxFollowSize; i++ {
		pages = append(pages, f.pages[i].page)
		next = f.pages[i].end()
		size += f.pages[i].size
	}
	return pages
}

// drop forgets the pages that begin before an index.
func (f *freshPages) drop(before int64) {
	n := sort.Search(f.placed, func(i int) bool { return f.pages[i].first >= before })
	for _, p := range f.pages[:n] {
		f.size -= p.size
	}
	f.remove(n)
}

// remove takes away the first n pages, which have their places.
func (f *freshPages) remove(n int) {
	f.pages = slices.Delete(f.pages, 0, n)
	f.placed -= n
}
