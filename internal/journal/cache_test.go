package journal

import (
	"testing"

	"vigil"
)

// TestPageCache is of how much is kept in memory when a follower is behind the others, and when none is.
func TestPageCache(t *testing.T) {
	const size = maxPageCache / 4
	c := newPageCache()
	next := int64(0) // of the follower that is behind
	for n := range int64(maxNextPages/size) + 4 {
		if n == 8 && (len(c.run(0)) != maxFollowSize/size || c.size != 8*size) {
			t.Errorf("A round finds %d pages of the %d that the follower needs", len(c.run(0)), len(c.pages))
		}
		c.put(&page{first: n, size: size, records: make([]vigil.PageRecord, 1)}, func(p *page) bool { return p.first == next })
	}
	if c.size > maxNextPages {
		t.Errorf("A follower that is far behind keeps %d bytes in memory", c.size)
	}
	c.put(&page{first: 100, size: size, records: make([]vigil.PageRecord, 1)}, func(*page) bool { return false })
	if c.size > maxPageCache || len(c.run(100)) != 1 {
		t.Errorf("When none is behind, %d bytes are in memory", c.size)
	}
}

// TestFreshPages is of which pages wait for followers, and for how long.
func TestFreshPages(t *testing.T) {
	const size = maxFresh / 8
	c := newPageCache()
	add := func(number int64) {
		if c.hasRoom(size) {
			c.add(freshPage{number, &page{size: size, records: make([]vigil.PageRecord, 10)}})
		}
	}
	// Page 0 has its place before it comes in, which is no other's loss.
	c.place([]placed{{0, 0}}, 1)
	for n := range int64(10) {
		add(n)
	}
	if got := len(c.fresh.pages); got != 8 || c.fresh.pages[0].number != 1 {
		t.Fatalf("%d pages wait where there is room for 8 from the first on", got)
	}
	if c.get(10) != nil || len(c.run(10)) != 0 {
		t.Error("A page is there before it has its place")
	}
	// Pages 4 and 5 were given theirs in a transaction of which it was not known that it happened. Between 2 and 3 there is another process's.
	c.place([]placed{{1, 10}, {2, 20}, {3, 70}}, 4)
	c.place([]placed{{6, 100}, {7, 110}}, 8)
	if c.fresh.placed != 5 || len(c.fresh.pages) != 6 || c.fresh.size != 6*size {
		t.Fatalf("%d of %d pages, of %d bytes, have their place", c.fresh.placed, len(c.fresh.pages), c.fresh.size)
	}
	for next, want := range map[int64]int{0: 0, 10: 2, 15: 0, 20: 1, 30: 0, 70: 1, 100: 2, 110: 1, 120: 0} {
		if got := c.run(next); len(got) != want {
			t.Errorf("A round from record %d on finds %d pages, want %d", next, len(got), want)
		}
	}
	for seq, there := range map[int64]bool{9: false, 10: true, 29: true, 30: false, 69: false, 79: true, 119: true, 120: false} {
		if got := c.get(seq); (got != nil) != there || there && (seq < got.first || seq >= got.end()) {
			t.Errorf("For record %d there is %v", seq, got)
		}
	}

	held := func(want int) {
		t.Helper()
		if len(c.fresh.pages) != want || c.fresh.size != want*size {
			t.Errorf("%d pages of %d bytes wait, want %d pages", len(c.fresh.pages), c.fresh.size, want)
		}
	}
	c.release([]int64{110, 10})
	held(6)
	c.release([]int64{110, 20})
	held(5)
	if c.get(10) == nil {
		t.Error("What all have passed is not there for look-ups")
	}
	c.release([]int64{110, 5}) // from 5 on there is something to read from the database first
	held(2)
	c.release([]int64{5})
	held(2)
	c.drop(110)
	held(2)
	c.drop(111)
	held(1)
	c.release(nil)
	held(0)
}
