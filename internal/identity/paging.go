package identity

import (
	"encoding/base64"
	"strings"
)

// page is what a list shows of items, which are in order of name: at most maxItems, 100 when it is nil, after the one that the
// marker of the page before names. The marker returned is nil when nothing is left out.
func page[T any](items []T, name func(T) string, marker *string, maxItems *int32) (shown []T, next *string, err error) {
	if marker != nil {
		last, err := base64.RawURLEncoding.Strict().DecodeString(*marker)
		if err != nil {
			return nil, nil, validation("Invalid Marker.")
		}
		for len(items) > 0 && strings.Compare(name(items[0]), string(last)) <= 0 {
			items = items[1:]
		}
	}
	most := 100
	if maxItems != nil {
		most = int(*maxItems)
	}
	if len(items) > most {
		items = items[:most]
		next = new(base64.RawURLEncoding.EncodeToString([]byte(name(items[most-1]))))
	}
	return items, next, nil
}

func itself(name string) string { return name }

// under are the things whose path begins with prefix; nil is all.
func under[T any](items []T, path func(T) string, prefix *string) []T {
	if prefix == nil {
		return items
	}
	var found []T
	for _, item := range items {
		if strings.HasPrefix(path(item), *prefix) {
			found = append(found, item)
		}
	}
	return found
}
