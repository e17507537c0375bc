package logs

import (
	"cmp"
	"fmt"
	"math/big"
	"strings"
)

// position is a place among events: before the event that it is of. Events are in the order of their times and, of the same time, in
// that in which they came in. An event's position never changes.
type position struct {
	time  int64 // ms since 1970
	page  int64
	index int64 // in the page
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.time, q.time), cmp.Compare(p.page, q.page), cmp.Compare(p.index, q.index))
}

// next is the position behind the event.
func (p position) next() position { return position{p.time, p.page, p.index + 1} }

const (
	maxTime       = 1<<48 - 1
	indexBits     = 32
	pageBits      = 64
	positionWidth = 56 // digits, as AWS's have
)

// String is the position as a number of 56 decimal digits: an event's id, and in the tokens of GetLogEvents.
func (p position) String() string {
	n := big.NewInt(p.time)
	n.Lsh(n, pageBits).Or(n, big.NewInt(p.page))
	n.Lsh(n, indexBits).Or(n, big.NewInt(p.index))
	return fmt.Sprintf("%0*s", positionWidth, n.String())
}

func parsePosition(text string) (position, bool) {
	if len(text) != positionWidth || strings.Trim(text, "0123456789") != "" {
		return position{}, false
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return position{}, false
	}
	low := func(bits uint) int64 {
		part := new(big.Int).And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1)))
		n.Rsh(n, bits)
		ok = ok && part.IsInt64()
		return part.Int64()
	}
	var p position
	p.index = low(indexBits)
	p.page = low(pageBits)
	p.time = low(pageBits)
	return p, ok && n.Sign() == 0 && p.time <= maxTime
}

// token is a position and the direction in which a reader goes on from it, as GetLogEvents writes it.
func token(p position, forward bool) *string {
	direction := "b/"
	if forward {
		direction = "f/"
	}
	return new(direction + p.String() + "/s")
}

func parseToken(text string) (p position, forward bool, err error) {
	direction, rest, _ := strings.Cut(text, "/")
	number, end, _ := strings.Cut(rest, "/")
	p, ok := parsePosition(number)
	if !ok || end != "s" || direction != "f" && direction != "b" {
		return position{}, false, badToken()
	}
	return p, direction == "f", nil
}
