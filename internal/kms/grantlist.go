package kms

import (
	"iter"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// grantList are the grants of one key with one grantee. A service that keeps a grant for each of its resources, each with a
// constraint of its own, may have tens of thousands, of which a request's encryption context tells the few that can hold.
type grantList struct {
	all         []*grant
	unpaired    []*grant                 // those whose constraints name no pair of an encryption context
	constrained map[contextPair][]*grant // each other one, under one of its pairs: the one that the fewest have
}

// contextPair is a pair of an encryption context.
type contextPair struct{ name, value string }

func newGrantList(all []*grant) *grantList {
	l := &grantList{all: all}
	having := map[contextPair]int{}
	for _, g := range all {
		for name, value := range constrainedContext(&g.constraints) {
			having[contextPair{name, value}]++
		}
	}
	for _, g := range all {
		rarest, fewest := contextPair{}, 0
		for name, value := range constrainedContext(&g.constraints) {
			if pair := (contextPair{name, value}); fewest == 0 || having[pair] < fewest {
				rarest, fewest = pair, having[pair]
			}
		}
		if fewest == 0 {
			l.unpaired = append(l.unpaired, g)
			continue
		}
		if l.constrained == nil {
			l.constrained = map[contextPair][]*grant{}
		}
		l.constrained[rarest] = append(l.constrained[rarest], g)
	}
	return l
}

// candidates are the grants that may give an operation with that encryption context: no other does.
func (l *grantList) candidates(operation types.GrantOperation, context func() map[string]string) iter.Seq[*grant] {
	return func(yield func(*grant) bool) {
		switch operation {
		case types.GrantOperationDescribeKey, types.GrantOperationGetPublicKey, types.GrantOperationCreateGrant, types.GrantOperationRetireGrant:
			for _, g := range l.all { // which have no encryption context
				if !yield(g) {
					return
				}
			}
			return
		}
		for _, g := range l.unpaired {
			if !yield(g) {
				return
			}
		}
		if l.constrained == nil {
			return
		}
		for name, value := range context() {
			for _, g := range l.constrained[contextPair{name, value}] {
				if !yield(g) {
					return
				}
			}
		}
	}
}
