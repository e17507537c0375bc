package kms

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"vigil/internal/call"
)

// page is one answer of a list. A list goes on after the name of the last item that was shown; the marker holds that
// name, and a check that it belongs to the same list: another operation's marker, or another key's, is refused.
type page struct {
	limit int
	list  [checkSize]byte // which list it is
}

const checkSize = 8

// newPage is a page of the list that scope names, with at most as many items as the caller wants and the operation
// allows.
func newPage(want *int32, usual, most int, scope ...string) page {
	p := page{limit: usual}
	if want != nil {
		p.limit = min(int(*want), most)
	}
	h := sha256.New()
	for _, s := range scope {
		binary.Write(h, binary.BigEndian, uint32(len(s)))
		h.Write([]byte(s))
	}
	copy(p.list[:], h.Sum(nil))
	return p
}

// marker is the text that a next call goes on with.
func (p page) marker(last string) *string {
	text := base64.RawURLEncoding.EncodeToString(append(p.list[:], last...))
	return &text
}

// after is the name after which the page begins: empty for the first.
func (p page) after(marker *string) (string, error) {
	if marker == nil {
		return "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*marker)
	if err != nil || len(data) <= checkSize || [checkSize]byte(data) != p.list {
		return "", invalidMarker()
	}
	name := string(data[checkSize:])
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) { // no name is like that, and not every database takes it
		return "", invalidMarker()
	}
	return name, nil
}

func invalidMarker() error {
	return call.Errorf("InvalidMarkerException", "The marker is not valid for this request.")
}

// cut shortens a list that was read with one item more than the page's limit, and returns the marker of the rest, if
// there is any.
func cut[T any](p page, items []T, name func(T) string) ([]T, *string) {
	if len(items) <= p.limit {
		return items, nil
	}
	items = items[:p.limit]
	return items, p.marker(name(items[p.limit-1]))
}
