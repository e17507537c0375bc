package logs

import (
	"vigil/internal/call"
	"vigil/internal/paging"
)

// maxListPage is how many items an answer of a Describe operation has at most, and what a caller gets who does not say.
const maxListPage = 50

func newListPage(want *int32, c *call.Call, scope ...string) paging.Page {
	return paging.New(want, maxListPage, maxListPage, append(scope, c.Operation, c.Account(), c.Region)...)
}

// pageAfter is what a page begins behind: empty for the first.
func pageAfter(p paging.Page, token *string) (string, error) {
	last, ok := p.After(token)
	if !ok {
		return "", badToken()
	}
	return last, nil
}
