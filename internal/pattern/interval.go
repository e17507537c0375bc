package pattern

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// point is a number or an IP address as 128 bits that compare alike.
type point [2]uint64

func (p point) compare(q point) int {
	return cmp.Or(cmp.Compare(p[0], q[0]), cmp.Compare(p[1], q[1]))
}

// numberPoint turns the bits of a number so that negative ones come before positive ones.
func numberPoint(f float64) point {
	b := math.Float64bits(f)
	if b>>63 == 1 {
		return point{0, ^b}
	}
	return point{0, b | 1<<63}
}

func addressPoint(addr netip.Addr) point {
	b := addr.As16()
	return point{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// blockPoints are the first and the last address of a masked block.
func blockPoints(block netip.Prefix) (low, high point) {
	low = addressPoint(block.Addr())
	ones := block.Bits()
	if block.Addr().Is4() {
		ones += 96
	}
	high = low
	if ones < 64 {
		high[0] |= math.MaxUint64 >> ones
		ones = 64
	}
	high[1] |= math.MaxUint64 >> (ones - 64)
	return low, high
}

type interval struct {
	low, high point // both belong to it
	branches  []int32
}

// intervals finds those of its intervals that a point is in. They are sorted by their low ends and searched by halves:
// furthest[mid] is the highest end in the part of which mid is the middle.
type intervals struct {
	sorted   []interval
	furthest []point
}

func newIntervals(all []interval) intervals {
	slices.SortFunc(all, func(a, b interval) int { return cmp.Or(a.low.compare(b.low), a.high.compare(b.high)) })
	t := intervals{all, make([]point, len(all))}
	t.measure(0, len(all))
	return t
}

func (t *intervals) measure(low, high int) (furthest point) {
	if low == high {
		return point{}
	}
	mid := int(uint(low+high) / 2)
	furthest = t.sorted[mid].high
	for _, p := range []point{t.measure(low, mid), t.measure(mid+1, high)} {
		if p.compare(furthest) > 0 {
			furthest = p
		}
	}
	t.furthest[mid] = furthest
	return furthest
}

func (t *intervals) empty() bool { return len(t.sorted) == 0 }

func (t *intervals) lookUp(s *search, p point) { t.lookUpIn(s, p, 0, len(t.sorted)) }

func (t *intervals) lookUpIn(s *search, p point, low, high int) {
	for low < high {
		mid := int(uint(low+high) / 2)
		if t.furthest[mid].compare(p) < 0 {
			return
		}
		t.lookUpIn(s, p, low, mid)
		if t.sorted[mid].low.compare(p) > 0 {
			return
		}
		if t.sorted[mid].high.compare(p) >= 0 {
			s.add(t.sorted[mid].branches)
		}
		low = mid + 1
	}
}
