package keylife

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigil/internal/arn"
)

// PolicyDiff says what became of a key policy, statement by statement. Statements are as JSON, with names in order.
type PolicyDiff struct {
	Default     bool              `json:"default,omitempty"`           // none was given: it is the default policy, whose text is not in the record
	NotOnRecord bool              `json:"notOnRecord,omitempty"`       // the record has not the text
	Unreadable  bool              `json:"unreadable,omitempty"`        // the text is no policy
	First       bool              `json:"beforeNotOnRecord,omitempty"` // the policy before is not known: all statements are added
	Added       []json.RawMessage `json:"added,omitempty"`
	Removed     []json.RawMessage `json:"removed,omitempty"`
	Changed     []StatementChange `json:"changed,omitempty"`
	Other       []string          `json:"other,omitempty"` // changes outside of the statements
	Same        int               `json:"unchanged"`       // how many statements are as they were
}

// StatementChange is a statement that is not as it was.
type StatementChange struct {
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
	Lines  []string        `json:"changes"` // "Action + kms:Encrypt", a value each
}

// policyDocument is a policy, read as far as it can be.
type policyDocument struct {
	version, id string
	statements  []statement
}

// statement is what a statement says: by element, its values in order, each once.
type statement struct {
	sid      string
	elements map[string][]string
	raw      json.RawMessage
}

// defaultPolicy is what AWS gives a key that is made without a policy, as the KMS developer guide has it.
func defaultPolicy(key string) *policyDocument {
	a, err := arn.Parse(key)
	if err != nil {
		return nil
	}
	d, _ := readPolicy(fmt.Sprintf(`{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow",`+
		`"Principal":{"AWS":"arn:%s:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}`, a.Partition, a.Account))
	return d
}

// maxStatements is how many statements a policy of KMS's 32 KiB could have at the very most. Others are no policies.
const maxStatements = 1024

func readPolicy(text string) (*policyDocument, bool) {
	var p object
	if json.Unmarshal([]byte(text), &p) != nil || p == nil {
		return nil, false
	}
	d := &policyDocument{version: p.text("Version"), id: p.text("Id")}
	var all []any
	switch s := p["Statement"].(type) {
	case []any:
		all = s
	case map[string]any:
		all = []any{s}
	}
	if len(all) > maxStatements {
		return nil, false
	}
	for _, one := range all {
		m, ok := one.(map[string]any)
		if !ok {
			return nil, false
		}
		d.statements = append(d.statements, readStatement(m))
	}
	return d, true
}

func readStatement(m object) statement {
	s := statement{sid: m.text("Sid"), elements: map[string][]string{}, raw: plainJSON(map[string]any(m))}
	for name, value := range m {
		var values []string
		switch name {
		case "Sid":
			continue
		case "Principal", "NotPrincipal":
			values = principals(value)
		case "Condition":
			values = conditions(value)
		default:
			values = scalars(value)
		}
		slices.Sort(values)
		s.elements[name] = slices.Compact(values)
	}
	return s
}

func plainJSON(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what was decoded can be encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// scalars are a value, or those of a list, as text.
func scalars(value any) []string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	all := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		} else {
			all = append(all, string(plainJSON(v)))
		}
	}
	return all
}

func principals(value any) (all []string) {
	kinds, ok := value.(map[string]any)
	if !ok {
		return scalars(value)
	}
	for kind, who := range kinds {
		for _, s := range scalars(who) {
			if kind != "AWS" {
				s = kind + " " + s
			}
			all = append(all, s)
		}
	}
	return all
}

func conditions(value any) (all []string) {
	operators, ok := value.(map[string]any)
	if !ok {
		return scalars(value)
	}
	for operator, keys := range operators {
		byKey, ok := keys.(map[string]any)
		if !ok {
			all = append(all, operator+" "+joined(scalars(keys)))
			continue
		}
		for key, values := range byKey {
			texts := scalars(values)
			slices.Sort(texts)
			all = append(all, operator+" "+key+" = "+strings.Join(texts, " or "))
		}
	}
	return all
}

func joined(texts []string) string { return strings.Join(texts, ", ") }

// equal says that two statements say the same, in whatever order and form.
func (s statement) equal(o statement) bool {
	return s.sid == o.sid && maps.EqualFunc(s.elements, o.elements, slices.Equal)
}

// likeness is the share of what two statements say that both say, from 0 to 1.
func (s statement) likeness(o statement) float64 {
	if !slices.Equal(s.elements["Effect"], o.elements["Effect"]) {
		return 0
	}
	both, all := 0, 0
	for name, values := range s.elements {
		for _, v := range values {
			all++
			if _, ok := slices.BinarySearch(o.elements[name], v); ok {
				both++
			}
		}
	}
	for _, values := range o.elements {
		all += len(values)
	}
	return float64(both) / float64(max(1, all-both))
}

// diffPolicy says how a policy's text differs from the policy before, which is nil if that is not on record, and returns it read.
func diffPolicy(before *policyDocument, text string) (*PolicyDiff, *policyDocument) {
	now, ok := readPolicy(text)
	if !ok {
		return &PolicyDiff{Unreadable: true}, nil
	}
	d := &PolicyDiff{}
	if before == nil {
		d.First = true
		for _, s := range now.statements {
			d.Added = append(d.Added, s.raw)
		}
		return d, now
	}
	for _, m := range []struct{ name, old, new string }{{"Version", before.version, now.version}, {"Id", before.id, now.id}} {
		if m.old != m.new {
			d.Other = append(d.Other, difference(m.name, m.old, m.new)...)
		}
	}
	old, new := slices.Clone(before.statements), slices.Clone(now.statements)
	old, new = pair(old, new, statement.equal, func(statement, statement) { d.Same++ })
	changed := func(a, b statement) {
		d.Changed = append(d.Changed, StatementChange{a.raw, b.raw, differences(a, b)})
	}
	old, new = pair(old, new, func(a, b statement) bool { return a.sid != "" && a.sid == b.sid }, changed)
	old, new = pair(old, new, func(a, b statement) bool { return a.likeness(b) >= 0.5 }, changed)
	for _, s := range old {
		d.Removed = append(d.Removed, s.raw)
	}
	for _, s := range new {
		d.Added = append(d.Added, s.raw)
	}
	return d, now
}

// pair takes out of both lists what belongs together.
func pair(old, new []statement, together func(a, b statement) bool, found func(a, b statement)) (oldRest, newRest []statement) {
	for _, a := range old {
		i := slices.IndexFunc(new, func(b statement) bool { return together(a, b) })
		if i < 0 {
			oldRest = append(oldRest, a)
			continue
		}
		found(a, new[i])
		new = slices.Delete(new, i, i+1)
	}
	return oldRest, new
}

// elementOrder is the order in which people read a statement.
var elementOrder = []string{"Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}

func elementNames(all ...statement) []string {
	var names []string
	seen := map[string]bool{}
	for _, s := range all {
		for name := range s.elements {
			seen[name] = true
		}
	}
	for _, name := range elementOrder {
		if seen[name] {
			names = append(names, name)
			delete(seen, name)
		}
	}
	return append(names, sorted(seen)...)
}

func differences(a, b statement) (lines []string) {
	if a.sid != b.sid {
		lines = difference("Sid", a.sid, b.sid)
	}
	for _, name := range elementNames(a, b) {
		for _, v := range a.elements[name] {
			if _, ok := slices.BinarySearch(b.elements[name], v); !ok {
				lines = append(lines, name+" - "+v)
			}
		}
		for _, v := range b.elements[name] {
			if _, ok := slices.BinarySearch(a.elements[name], v); !ok {
				lines = append(lines, name+" + "+v)
			}
		}
	}
	return lines
}

func difference(name, old, new string) (lines []string) {
	if old != "" {
		lines = append(lines, name+" - "+old)
	}
	if new != "" {
		lines = append(lines, name+" + "+new)
	}
	return lines
}

// statementLines are a policy's statements for people.
func statementLines(policy string) (lines []string) {
	d, ok := readPolicy(policy)
	if !ok {
		return []string{"(a text that is no policy)"}
	}
	for _, s := range d.statements {
		lines = append(lines, s.lines()...)
	}
	return lines
}

// rawLines are a statement's lines.
func rawLines(raw json.RawMessage) []string {
	var m object
	if json.Unmarshal(raw, &m) != nil {
		return []string{string(raw)}
	}
	return readStatement(m).lines()
}

// lines are a statement as people read it: who may do what, on what, if what.
func (s statement) lines() []string {
	e := s.elements
	head := joined(e["Effect"])
	if who := e["Principal"]; len(who) > 0 {
		head += " " + joined(who)
	}
	if who := e["NotPrincipal"]; len(who) > 0 {
		head += " all but " + joined(who)
	}
	does := " to "
	if what := e["NotAction"]; len(what) > 0 {
		does += "all but " + joined(what)
	} else {
		does += joined(e["Action"])
	}
	if on := e["Resource"]; len(on) > 0 && !slices.Equal(on, []string{"*"}) {
		does += ", on " + joined(on)
	}
	if on := e["NotResource"]; len(on) > 0 {
		does += ", on all but " + joined(on)
	}
	lines := []string{head + does}
	for _, c := range e["Condition"] {
		lines = append(lines, "  if "+c)
	}
	for _, name := range elementNames(s) {
		if !slices.Contains(elementOrder, name) {
			lines = append(lines, "  "+name+": "+joined(e[name]))
		}
	}
	if s.sid != "" {
		lines[0] = fmt.Sprintf("%q: %s", s.sid, lines[0])
	}
	return lines
}
