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
