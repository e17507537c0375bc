// Package pattern decides which EventBridge rules an event is for, and what their targets are given.
//
// An event pattern is a JSON object in the shape of the events it matches: each field holds an array of alternatives,
// of which one must hold (Amazon EventBridge User Guide, "Event pattern syntax" and "Comparison operators for use in
// event patterns"). Where the guide is silent the rules are those of the engine that AWS publishes (aws/event-ruler),
// and where the two differ, what the service was seen to do: a plain number is compared as a number, so that 300
// matches 300.0.
//
//   - [Parse] reads one pattern and refuses a bad one in EventBridge's words.
//   - [Pattern.Match] tries one pattern on one event.
//   - [Set] finds, among any number of patterns, those that match an event, in a time that does not grow with their
//     number but with how many match.
//   - [Select] and [Transformer] make a target's input from an event (InputPath and InputTransformer).
//
// # What a field holds
//
// A field is named by the keys that lead to it, joined by dots, so {"a":{"b":1}} and {"a.b":1} both hold a.b. Arrays
// disappear: each of their elements is a value of the field, at any depth. A field exists if it has a value that is not
// an object; {} and [] are no value. Two fields match together only in the same element of every array that they have
// in common. Of two equal keys of one object the last one counts, in patterns and in events.
package pattern

import "slices"

// MaxLength is the most characters an event pattern may have (quota "Event pattern size"; the API itself takes 4096).
const MaxLength = 2048

// Pattern is one event pattern. It does not change and may be used by many goroutines.
type Pattern struct {
	text string
	// A pattern without $or is one branch; each $or multiplies them. An event matches if all conditions of a branch
	// hold. They are sorted by field.
	branches []branch
	matcher  matcher
}

type branch []*condition

// A condition names a field and what it may be.
type condition struct {
	field        string
	source       string // the alternatives as they are written, which tells equal conditions
	alternatives []alternative
	// absent is that the field may also not exist at all.
	absent bool
}

// String is the pattern as it was given to Parse.
func (p *Pattern) String() string { return p.text }

// HasWildcard says whether the pattern uses wildcard anywhere: an event bus may have 30 rules with such patterns (quota
// "Rules containing wildcards").
func (p *Pattern) HasWildcard() bool {
	isWildcard := func(a alternative) bool { return a.op == opWildcard }
	for _, c := range p.matcher.conditions {
		for _, a := range c.alternatives {
			if isWildcard(a) || slices.ContainsFunc(a.others, isWildcard) {
				return true
			}
		}
	}
	return false
}

// Match says whether the pattern matches event, which must be a JSON object; an error says only that it isn't.
func (p *Pattern) Match(event []byte) (bool, error) {
	v := p.matcher.view()
	defer p.matcher.done(v)
	if err := v.read(&p.matcher, event); err != nil {
		return false, err
	}
	for i := range p.matcher.branches {
		if v.holds(&p.matcher, &p.matcher.branches[i]) {
			return true, nil
		}
	}
	return false, nil
}
