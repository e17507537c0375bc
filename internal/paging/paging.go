// Package paging is how a list that is too long for one answer goes on in the next: the token in between.
//
// A token has the place where the list goes on, and a check of it and of which list that is. The check guards against mistakes, such as another
// operation's token, another key's, or one with a letter lost. It needs no key: who makes up a token only chooses where in a list of their
// own an answer begins.
package paging

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// List is which list a token belongs to.
type List [sha256.Size]byte

// Of is the list that its scope tells from others: the operation, whose items it has, and by what they are chosen.
func Of(scope ...string) (l List) {
	h := sha256.New()
	for _, s := range scope {
		binary.Write(h, binary.BigEndian, uint32(len(s)))
		h.Write([]byte(s))
	}
	h.Sum(l[:0])
	return l
}

// checkSize is how much of a hash a token has.
const checkSize = 12

func (l List) check(place []byte) []byte {
	sum := sha256.Sum256(append(l[:], place...))
	return sum[:checkSize:checkSize]
}

// Token is the text that the next request for the list goes on with.
func (l List) Token(place []byte) *string {
	text := base64.RawURLEncoding.EncodeToString(append(l.check(place), place...))
	return &text
}

// Place is where a token says that the list goes on, unless it is no token of the list.
func (l List) Place(token string) (place []byte, ok bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) < checkSize || !bytes.Equal(data[:checkSize], l.check(data[checkSize:])) {
		return nil, false
	}
	return data[checkSize:], true
}

// Page is one answer of a list whose items are ordered by a text that no two have in common, such as their names.
type Page struct {
	Limit int // how many items it has at most; one more is read, to see whether the list goes on
	List  List
}

// New is a page with as many items as the caller wants, or the usual number, but no more than most.
func New(want *int32, usual, most int, scope ...string) Page {
	p := Page{Limit: usual, List: Of(scope...)}
	if want != nil {
		p.Limit = min(int(*want), most)
	}
	return p
}

// After is the text after whose item the page begins: empty for the first, which has no token.
func (p Page) After(token *string) (last string, ok bool) {
	if token == nil {
		return "", true
	}
	place, ok := p.List.Place(*token)
	// No name has a NUL or is not UTF-8, and not every database takes such.
	if !ok || len(place) == 0 || !utf8.Valid(place) || strings.ContainsRune(string(place), 0) {
		return "", false
	}
	return string(place), true
}

// Cut shortens what was read to the page, and returns the token of the rest, if there is any.
func Cut[T any](p Page, items []T, order func(T) string) ([]T, *string) {
	if len(items) <= p.Limit {
		return items, nil
	}
	items = items[:p.Limit]
	return items, p.List.Token([]byte(order(items[p.Limit-1])))
}
