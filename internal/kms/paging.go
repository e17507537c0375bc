package kms

import (
	"vigil/internal/call"
	"vigil/internal/paging"
)

// pageAfter is the name after which a page begins: empty for the first.
func pageAfter(p paging.Page, marker *string) (string, error) {
	last, ok := p.After(marker)
	if !ok {
		return "", invalidMarker()
	}
	return last, nil
}

func invalidMarker() error {
	return call.Errorf("InvalidMarkerException", "The marker is not valid for this request.")
}
