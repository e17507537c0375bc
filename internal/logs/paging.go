package logs

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"vigil/internal/call"
	"vigil/internal/store"
)

// listPage is one answer of a Describe operation. A list goes on behind the last item that was shown; the token holds what orders
// it, and a check that it belongs to the same list.
type listPage struct {
	limit int
	list  [tokenCheck]byte
}

const (
	tokenCheck  = 8
	maxListPage = 50 // and what a caller gets who does not say
)

func newListPage(want *int32, c *call.Call, scope ...string) listPage {
	p := listPage{limit: maxListPage}
	if want != nil {
		p.limit = min(int(*want), maxListPage)
	}
	p.list = listOf(append(scope, c.Operation, c.Account(), c.Region)...)
	return p
}

// listOf tells lists apart.
func listOf(scope ...string) (check [tokenCheck]byte) {
	h := sha256.New()
	for _, s := range scope {
		binary.Write(h, binary.BigEndian, uint32(len(s)))
		h.Write([]byte(s))
	}
	copy(check[:], h.Sum(nil))
	return check
}

func (p listPage) token(last string) *string {
	text := base64.RawURLEncoding.EncodeToString(append(p.list[:], last...))
	return &text
}

// after is what the page begins behind: empty for the first.
func (p listPage) after(token *string) (string, error) {
	if token == nil {
		return "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err != nil || len(data) <= tokenCheck || [tokenCheck]byte(data) != p.list {
		return "", badToken()
	}
	last := string(data[tokenCheck:])
	if !utf8.ValidString(last) || strings.ContainsRune(last, 0) { // no name is like that, and not every database takes it
		return "", badToken()
	}
	return last, nil
}

// cut shortens a list to the page, and returns the token of the rest, if there is any.
func cut[T any](p listPage, items []T, order func(T) string) ([]T, *string) {
	if len(items) <= p.limit {
		return items, nil
	}
	items = items[:p.limit]
	return items, p.token(order(items[p.limit-1]))
}

type scanner interface{ Scan(...any) error }

// list is what a query finds.
func list[T any](tx store.Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}
