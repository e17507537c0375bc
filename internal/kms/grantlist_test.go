package kms

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Of many grants, the candidates for an encryption context are few, and all whose constraints it meets are among them.
func TestCandidatesAreAllThatCanHold(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pairs := func(most int) map[string]string {
		m := map[string]string{}
		for range random.IntN(most + 1) {
			m[fmt.Sprint("n", random.IntN(3))] = fmt.Sprint("v", random.IntN(3))
		}
		return m
	}
	var all []*grant
	for range 300 {
		g := &grant{}
		switch random.IntN(3) {
		case 0:
			g.constraints.EncryptionContextEquals = pairs(3)
		case 1:
			g.constraints.EncryptionContextSubset = pairs(3)
		}
		all = append(all, g)
	}
	list := newGrantList(all)
	for range 200 {
		context := pairs(3)
		fails := func(g *grant) bool { return !holds(&g.constraints, context) }
		want := slices.DeleteFunc(slices.Clone(all), fails)
		found := slices.Collect(list.candidates(types.GrantOperationEncrypt, func() map[string]string { return context }))
		got := slices.DeleteFunc(slices.Clone(found), fails)
		if len(got) != len(want) {
			t.Fatalf("%v: %d of the candidates hold, and %d of all grants", context, len(got), len(want))
		}
		for _, g := range want {
			if !slices.Contains(got, g) {
				t.Fatalf("%v: a grant that holds is no candidate: %+v", context, g.constraints)
			}
		}
	}
	own := &grant{constraints: types.GrantConstraints{EncryptionContextSubset: map[string]string{"n0": "v0", "own": "x"}}}
	list = newGrantList(append(all, own))
	few := slices.Collect(list.candidates(types.GrantOperationEncrypt, func() map[string]string { return map[string]string{"own": "x"} }))
	if len(few) != len(list.unpaired)+1 {
		t.Errorf("%d candidates for a pair that one grant has", len(few)-len(list.unpaired))
	}
	if n := len(slices.Collect(list.candidates(types.GrantOperationDescribeKey, nil))); n != len(all)+1 {
		t.Errorf("%d candidates for an operation without a context", n)
	}
}
