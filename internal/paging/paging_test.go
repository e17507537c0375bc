package paging_test

import (
	"fmt"
	"slices"
	"testing"

	"vigil/internal/paging"
)

// TestPages reads a list page by page.
func TestPages(t *testing.T) {
	var names []string
	for n := range 25 {
		names = append(names, fmt.Sprintf("name %02d", n))
	}
	for _, limit := range []int32{1, 7, 24, 25, 26, 1000} {
		var got []string
		var token *string
		for pages := 0; ; pages++ {
			p := paging.New(&limit, 10, 100, "names")
			after, ok := p.After(token)
			if !ok {
				t.Fatalf("the token %q is refused", *token)
			}
			rest := slices.IndexFunc(names, func(s string) bool { return s > after })
			found := names[rest:]
			if len(found) > p.Limit+1 {
				found = found[:p.Limit+1]
			}
			page, next := paging.Cut(p, found, func(s string) string { return s })
			if len(page) > int(limit) {
				t.Fatalf("a page of %d has %d items", limit, len(page))
			}
			got = append(got, page...)
			if token = next; token == nil {
				break
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("by %d: %q", limit, got)
		}
	}
}

// TestLimits: the usual number without a wish, and never more than is allowed.
func TestLimits(t *testing.T) {
	for want, limit := range map[int32]int{1: 1, 100: 100, 101: 100} {
		if got := paging.New(&want, 50, 100).Limit; got != limit {
			t.Errorf("who wants %d gets %d", want, got)
		}
	}
	if got := paging.New(nil, 50, 100).Limit; got != 50 {
		t.Errorf("who says nothing gets %d", got)
	}
}

// TestOthersTokens: a token of another list is refused, though its scope has the same letters.
func TestOthersTokens(t *testing.T) {
	token := paging.Of("ListKeys", "1", "2").Token([]byte("x"))
	for _, scope := range [][]string{{"ListKeys", "12"}, {"ListKeys", "12", ""}, {"ListKey", "s1", "2"}, {}} {
		if _, ok := paging.Of(scope...).Place(*token); ok {
			t.Errorf("%q takes it", scope)
		}
	}
	for n := range len(*token) {
		letter := "A"
		if (*token)[n] == 'A' {
			letter = "B"
		}
		if _, ok := paging.Of("ListKeys", "1", "2").Place((*token)[:n] + letter + (*token)[n+1:]); ok {
			t.Errorf("the token is taken with letter %d changed", n)
		}
	}
	if place, ok := paging.Of("ListKeys", "1", "2").Place(*token); !ok || string(place) != "x" {
		t.Errorf("its own list reads %q, %t", place, ok)
	}
}

// FuzzToken: whatever somebody sends, what is taken is what a page would have given.
func FuzzToken(f *testing.F) {
	p := paging.New(nil, 1, 1, "list")
	_, token := paging.Cut(p, []string{"a", "b"}, func(s string) string { return s })
	f.Add(*token)
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		after, ok := p.After(&token)
		if !ok {
			return
		}
		if again := p.List.Token([]byte(after)); *again != token {
			t.Errorf("%q is taken for %q", token, *again)
		}
	})
}
