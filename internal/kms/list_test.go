package kms_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
)

// walk follows a list to its end, page by page, and returns the items of all pages by name.
func walk(t *testing.T, limit int32, page func(limit, marker *string) (names []string, next *string, truncated bool)) (all []string) {
	t.Helper()
	var marker *string
	for range 1000 {
		names, next, truncated := page(new(fmt.Sprint(limit)), marker)
		if len(names) > int(limit) {
			t.Fatalf("a page has %d items, the limit is %d", len(names), limit)
		}
		if truncated != (next != nil) {
			t.Fatalf("Truncated %v, NextMarker %v", truncated, next)
		}
		all = append(all, names...)
		if next == nil {
			return all
		}
		if len(*next) > 1024 {
			t.Fatalf("a marker of %d characters; the API takes 1024", len(*next))
		}
		marker = next
	}
	t.Fatal("the list does not end")
	return nil
}

func TestListsPageByPage(t *testing.T) {
	h := open(t)
	const n = 23
	var ids, aliases, tagNames []string
	m := h.symmetric(t, alice)
	ids = append(ids, *m.KeyId)
	other := h.symmetric(t, alice)
	ids = append(ids, *other.KeyId)
	for i := range n {
		aliases = append(aliases, fmt.Sprintf("alias/%c%d", 'a'+i%5, i))
		h.alias(t, alice, aliases[i], *m.KeyId)
		tagNames = append(tagNames, fmt.Sprintf("ключ %c%d", 'a'+i%5, i))
		h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: m.KeyId, Tags: tags(tagNames[i], "v")})
	}
	h.alias(t, alice, "alias/other", *other.KeyId)
	for range n {
		ids = append(ids, *h.symmetric(t, alice).KeyId)
	}
	h.symmetric(t, bob)

	number := func(text *string) *int32 {
		var n int32
		fmt.Sscan(*text, &n)
		return &n
	}
	lists := map[string]struct {
		want []string
		page func(limit, marker *string) ([]string, *string, bool)
	}{
		"ListKeys": {ids, func(limit, marker *string) (names []string, _ *string, _ bool) {
			out := must[awskms.ListKeysOutput](t, h, alice, "ListKeys", &awskms.ListKeysInput{Limit: number(limit), Marker: marker})
			for _, k := range out.Keys {
				if *k.KeyArn != alice.arn("key/"+*k.KeyId) {
					t.Errorf("KeyArn %s of %s", *k.KeyArn, *k.KeyId)
				}
				names = append(names, *k.KeyId)
			}
			return names, out.NextMarker, out.Truncated
		}},
		"ListAliases": {append([]string{"alias/other"}, aliases...), func(limit, marker *string) (names []string, _ *string, _ bool) {
			out := must[awskms.ListAliasesOutput](t, h, alice, "ListAliases", &awskms.ListAliasesInput{Limit: number(limit), Marker: marker})
			for _, a := range out.Aliases {
				names = append(names, *a.AliasName)
			}
			return names, out.NextMarker, out.Truncated
		}},
		"ListAliases of a key": {aliases, func(limit, marker *string) (names []string, _ *string, _ bool) {
			out := must[awskms.ListAliasesOutput](t, h, alice, "ListAliases",
				&awskms.ListAliasesInput{KeyId: m.Arn, Limit: number(limit), Marker: marker})
			for _, a := range out.Aliases {
				names = append(names, *a.AliasName)
			}
			return names, out.NextMarker, out.Truncated
		}},
		"ListResourceTags": {tagNames, func(limit, marker *string) (names []string, _ *string, _ bool) {
			out := must[awskms.ListResourceTagsOutput](t, h, alice, "ListResourceTags",
				&awskms.ListResourceTagsInput{KeyId: m.KeyId, Limit: number(limit), Marker: marker})
			for _, tag := range out.Tags {
				names = append(names, *tag.TagKey)
			}
			return names, out.NextMarker, out.Truncated
		}},
		"ListKeyPolicies": {[]string{"default"}, func(limit, marker *string) (names []string, _ *string, _ bool) {
			out := must[awskms.ListKeyPoliciesOutput](t, h, alice, "ListKeyPolicies",
				&awskms.ListKeyPoliciesInput{KeyId: m.KeyId, Limit: number(limit), Marker: marker})
			return out.PolicyNames, out.NextMarker, out.Truncated
		}},
	}
	for name, list := range lists {
		slices.Sort(list.want)
		for _, limit := range []int32{1, 7, int32(len(list.want)), 1000} {
			if got := walk(t, limit, list.page); !reflect.DeepEqual(got, list.want) {
				t.Errorf("%s by %d: %v, want %v", name, limit, got, list.want)
			}
		}
	}
}

func TestListsOfNothing(t *testing.T) {
	h := open(t)
	keys := must[awskms.ListKeysOutput](t, h, alice, "ListKeys", &awskms.ListKeysInput{})
	aliases := must[awskms.ListAliasesOutput](t, h, alice, "ListAliases", &awskms.ListAliasesInput{})
	tags := must[awskms.ListResourceTagsOutput](t, h, alice, "ListResourceTags",
		&awskms.ListResourceTagsInput{KeyId: h.symmetric(t, alice).KeyId})
	if keys.Keys == nil || aliases.Aliases == nil || tags.Tags == nil || keys.Truncated || aliases.Truncated || tags.Truncated {
		t.Error("an empty list is not an empty list")
	}
}

// Without a limit, and with one that is too high, a page has what the operation's reference says.
func TestPageSizes(t *testing.T) {
	h := open(t)
	var keys []string
	for range 3 {
		m := h.symmetric(t, alice)
		keys = append(keys, *m.KeyId)
		for i := range 40 {
			h.alias(t, alice, fmt.Sprintf("alias/%s-%d", *m.KeyId, i), *m.KeyId)
		}
	}
	for limit, want := range map[*int32]int{nil: 50, new(int32(100)): 100, new(int32(1000)): 100} {
		out := must[awskms.ListAliasesOutput](t, h, alice, "ListAliases", &awskms.ListAliasesInput{Limit: limit})
		if len(out.Aliases) != want {
			t.Errorf("%d aliases, want %d", len(out.Aliases), want)
		}
	}
	_, c, err := h.call(alice, "ListAliases", &awskms.ListAliasesInput{KeyId: &keys[0]})
	if err != nil || len(c.Resources()) != 0 {
		t.Errorf("ListAliases touches %v, %v", touched(c), err)
	}
}

// A marker belongs to one list: of an operation, an account and region, and a key.
func TestMarkersOfOtherLists(t *testing.T) {
	h := open(t)
	a, b := h.symmetric(t, alice), h.symmetric(t, alice)
	for _, m := range []string{*a.KeyId, *b.KeyId} {
		h.alias(t, alice, "alias/1-"+m, m)
		h.alias(t, alice, "alias/2-"+m, m)
		h.do(t, alice, "TagResource", &awskms.TagResourceInput{KeyId: &m, Tags: tags("1", "", "2", "")})
	}
	one := new(int32(1))
	markers := map[string]*string{
		"garbage":    new("garbage"),
		"not base64": new("!"),
		"empty":      new(""),
		"ListKeys":   must[awskms.ListKeysOutput](t, h, alice, "ListKeys", &awskms.ListKeysInput{Limit: one}).NextMarker,
		"ListAliases": must[awskms.ListAliasesOutput](t, h, alice, "ListAliases",
			&awskms.ListAliasesInput{Limit: one}).NextMarker,
		"ListAliases of a": must[awskms.ListAliasesOutput](t, h, alice, "ListAliases",
			&awskms.ListAliasesInput{Limit: one, KeyId: a.KeyId}).NextMarker,
		"ListResourceTags of a": must[awskms.ListResourceTagsOutput](t, h, alice, "ListResourceTags",
			&awskms.ListResourceTagsInput{Limit: one, KeyId: a.KeyId}).NextMarker,
	}
	for from, marker := range markers {
		for to, in := range map[string]any{
			"ListKeys":              &awskms.ListKeysInput{Marker: marker},
			"ListAliases":           &awskms.ListAliasesInput{Marker: marker},
			"ListAliases of a":      &awskms.ListAliasesInput{Marker: marker, KeyId: a.Arn},
			"ListAliases of b":      &awskms.ListAliasesInput{Marker: marker, KeyId: b.KeyId},
			"ListResourceTags of a": &awskms.ListResourceTagsInput{Marker: marker, KeyId: a.Arn},
			"ListResourceTags of b": &awskms.ListResourceTagsInput{Marker: marker, KeyId: b.KeyId},
			"ListKeyPolicies":       &awskms.ListKeyPoliciesInput{Marker: marker, KeyId: a.KeyId},
		} {
			op, _, _ := strings.Cut(to, " ")
			_, _, err := h.call(alice, op, in)
			if from == to {
				if err != nil {
					t.Errorf("its own marker: %s: %v", to, err)
				}
				continue
			}
			refused(t, to+" with the marker of "+from, err, "InvalidMarkerException", "The marker is not valid for this request.")
		}
	}
	err := h.try(alice.in("eu-west-1"), "ListKeys", &awskms.ListKeysInput{Marker: markers["ListKeys"]})
	refused(t, "another region", err, "InvalidMarkerException", "The marker is not valid for this request.")
}

func FuzzMarkers(f *testing.F) {
	h := open(f)
	h.symmetric(f, alice)
	h.symmetric(f, alice)
	f.Add(*must[awskms.ListKeysOutput](f, h, alice, "ListKeys", &awskms.ListKeysInput{Limit: new(int32(1))}).NextMarker)
	f.Add("")
	f.Fuzz(func(t *testing.T, marker string) {
		err := h.try(alice, "ListKeys", &awskms.ListKeysInput{Marker: &marker})
		if err != nil {
			refused(t, marker, err, "InvalidMarkerException", "The marker is not valid for this request.")
		}
	})
}
