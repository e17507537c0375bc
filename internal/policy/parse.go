package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// MalformedError says what is wrong with the text of a policy, in words that may be shown to who wrote it. They are AWS's
// where AWS's are known.
type MalformedError struct {
	Message string // what AWS says
	full    string // with the place
}

// Error is the message with the place in the policy.
func (e *MalformedError) Error() string { return e.full }

// malformed is an error with a place, such as Statement[0].Action.
func malformed(place, format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	if place == "" {
		return &MalformedError{message, message}
	}
	return &MalformedError{message, message + " (" + place + ")"}
}

// badSyntax is an error for which AWS has one text.
func badSyntax(format string, args ...any) error {
	return &MalformedError{"Syntax errors in policy.", "Syntax errors in policy: " + fmt.Sprintf(format, args...)}
}

// Versions of the policy language. The older one, which is meant when none is given, has no variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// parser reads the policy of one kind.
type parser struct {
	kind kind
	with syntax // what texts may hold: no variables in the older version
}

func parse(text string, kind kind) (*Document, error) {
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	policy, err := root.object("The policy", "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	p := parser{kind: kind, with: wildcards}
	if n, ok := policy["Version"]; ok {
		version, err := n.string("Version")
		if err != nil {
			return nil, err
		}
		if version != version2008 && version != version2012 {
			return nil, &MalformedError{"The policy must contain a valid version string",
				"Syntax errors in policy: Version must be " + version2012 + " or " + version2008}
		}
		if version == version2012 {
			p.with |= variables
		}
	}
	if n, ok := policy["Id"]; ok {
		if _, err := n.string("Id"); err != nil {
			return nil, err
		}
	}
	statements, ok := policy["Statement"]
	if !ok {
		return nil, malformed("", "Missing required field Statement")
	}
	return p.statements(statements)
}

// statements reads one statement, or an array of them.
func (p *parser) statements(n node) (*Document, error) {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	if len(list) == 0 {
		return nil, badSyntax("Statement is empty")
	}
	d := &Document{kind: p.kind}
	sids := make(map[string]bool)
	for i, n := range list {
		where := fmt.Sprintf("Statement[%d]", i)
		fields, err := n.object(where, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
			"Condition")
		if err != nil {
			return nil, err
		}
		s, err := p.statement(where, fields)
		if err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] {
			return nil, &MalformedError{"Statement IDs (SID) in a single policy must be unique.",
				fmt.Sprintf("Statement IDs (SID) in a single policy must be unique. %q is there twice", s.sid)}
		}
		sids[s.sid] = true
		d.principals = append(d.principals, s.principals)
		if !s.actions.given() || !s.resources.given() {
			continue
		}
		if fields["Effect"].text == "Deny" {
			d.denies = append(d.denies, s)
		} else {
			d.allows = append(d.allows, s)
		}
	}
	return d, nil
}

// plainSid is the form that IAM demands of a Sid. A key policy's may be any text.
var plainSid = regexp.MustCompile(`^[0-9A-Za-z]*$`)

func (p *parser) statement(where string, fields map[string]node) (s statement, err error) {
	if n, ok := fields["Sid"]; ok {
		if s.sid, err = n.string(where + ".Sid"); err != nil {
			return s, err
		}
		if (p.kind == identityPolicy || p.kind == trustPolicy) && !plainSid.MatchString(s.sid) {
			return s, malformed(where+".Sid", "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular "+
				"expression [0-9A-Za-z]*")
		}
	}
	effect, ok := fields["Effect"]
	if !ok {
		return s, malformed(where, "Missing required field Effect")
	}
	if effect.kind != '"' || effect.text != "Allow" && effect.text != "Deny" {
		return s, badSyntax("%s.Effect must be Allow or Deny", where)
	}
	if s.principals, err = p.principals(where, fields); err != nil {
		return s, err
	}
	if s.actions, err = p.actions(where, fields); err != nil {
		return s, err
	}
	if s.resources, err = p.resources(where, fields); err != nil {
		return s, err
	}
	if n, ok := fields["Condition"]; ok {
		s.conditions, err = p.conditions(where+".Condition", n)
	}
	return s, err
}

// oneOf is the element name, or its opposite Not + name, whichever the statement has.
func oneOf(where string, fields map[string]node, name string) (n node, element string, not bool, err error) {
	n, yes := fields[name]
	opposite, not := fields["Not"+name]
	switch {
	case yes && not:
		return node{}, "", false, badSyntax("%s has both %s and Not%s", where, name, name)
	case yes:
		return n, name, false, nil
	case not:
		return opposite, "Not" + name, true, nil
	}
	return node{}, "", false, nil
}

func (p *parser) principals(where string, fields map[string]node) (s principalSet, err error) {
	n, element, not, err := oneOf(where, fields, "Principal")
	if err != nil {
		return s, err
	}
	if p.kind == identityPolicy {
		if element != "" {
			return s, malformed(where, "Policy document should not specify a principal.")
		}
		return principalSet{everyone: true}, nil
	}
	s.not = not
	switch {
	case element == "" || n.kind == '{' && len(n.members) == 0:
		return s, p.noPrincipal(where)
	case n.kind == '"' && n.text == "*":
		s.everyone = true
		return s, nil
	case n.kind != '{':
		return s, p.invalidPrincipal(element, n.text, fmt.Sprintf(`%s.%s must be "*" or an object`, where, element))
	}
	for _, m := range n.members {
		place := where + "." + element + "." + m.name
		if _, known := principalForms[m.name]; !known && m.name != "AWS" {
			return s, p.invalidPrincipal(m.name, m.value.text, fmt.Sprintf("%s is not one of %s", place, principalKinds))
		}
		ids, err := m.value.strings(place)
		if err != nil {
			return s, err
		}
		if len(ids) == 0 {
			return s, p.noPrincipal(place)
		}
		for _, id := range ids {
			if !s.add(m.name, id) {
				return s, p.invalidPrincipal(m.name, id, fmt.Sprintf("%s: %q", place, id))
			}
		}
	}
	return s, nil
}

func (p *parser) noPrincipal(place string) error {
	if p.kind == trustPolicy {
		return malformed(place, "Missing required field Principal")
	}
	return malformed(place, "Policy contains a statement with no principal.")
}

// InvalidPrincipal is IAM's refusal of a trust policy that names, as kind (AWS, Service or Federated), someone who does not exist
// or cannot be named.
func InvalidPrincipal(kind, id string) *MalformedError {
	text := fmt.Sprintf(`Invalid principal in policy: "%s":"%s"`, kind, id)
	return &MalformedError{text, text}
}

func (p *parser) invalidPrincipal(kind, id, detail string) error {
	if p.kind == trustPolicy {
		return InvalidPrincipal(kind, id)
	}
	const message = "Policy contains a statement with one or more invalid principals."
	return &MalformedError{message, message + " " + detail}
}

// vendorForm is the service's part of an action.
var vendorForm = regexp.MustCompile(`^([A-Za-z0-9.-]+|\*)$`)

func (p *parser) actions(where string, fields map[string]node) (s actionSet, err error) {
	n, element, not, err := oneOf(where, fields, "Action")
	if err != nil {
		return s, err
	}
	var texts []string
	place := where
	if element != "" {
		place += "." + element
		if texts, err = n.strings(place); err != nil {
			return s, err
		}
	} else if p.kind == keyPolicy {
		return s, nil
	}
	if len(texts) == 0 {
		return s, malformed(place, "Policy statement must contain actions.")
	}
	for _, text := range texts {
		vendor, name, found := strings.Cut(text, ":")
		at := fmt.Sprintf("%s: %q", place, text)
		switch {
		case p.kind == trustPolicy && !strings.EqualFold(vendor, "sts"):
			return s, malformed(at, "AssumeRole policy may only specify STS AssumeRole actions.")
		case text == "*":
		case !found:
			return s, malformed(at, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
		case strings.Contains(name, ":"):
			return s, malformed(at, "Actions/Condition can contain only one colon.")
		case !vendorForm.MatchString(vendor):
			return s, malformed(place, "Vendor %s is not valid", vendor)
		}
		s.patterns = append(s.patterns, compileFolded(text))
	}
	s.not = not
	return s, nil
}

func (a *actionSet) given() bool { return len(a.patterns) > 0 }

func (p *parser) resources(where string, fields map[string]node) (s resourceSet, err error) {
	n, element, not, err := oneOf(where, fields, "Resource")
	switch {
	case err != nil:
		return s, err
	case p.kind == trustPolicy && element != "":
		return s, malformed(where, "Has prohibited field %s", element)
	case p.kind == trustPolicy: // it is the role's that has it
		return resourceSet{patterns: []arnPattern{{any: true}}}, nil
	}
	var texts []string
	place := where
	if element != "" {
		place += "." + element
		if texts, err = n.strings(place); err != nil {
			return s, err
		}
	} else if p.kind == keyPolicy {
		return s, nil
	}
	if len(texts) == 0 {
		return s, malformed(place, "Policy statement must contain resources.")
	}
	for _, text := range texts {
		pattern, ok := compileARNPattern(text, p.with, wildcards)
		if !ok {
			return s, malformed(place, `Resource %s must be in ARN format or "*".`, text)
		}
		s.patterns = append(s.patterns, pattern)
	}
	s.not = not
	return s, nil
}

func (r *resourceSet) given() bool { return len(r.patterns) > 0 }

func (p *parser) conditions(place string, n node) ([]condition, error) {
	if n.kind != '{' {
		return nil, badSyntax("%s must be an object", place)
	}
	var all []condition
	for _, member := range n.members {
		op, form, ok := parseOperator(member.name)
		if !ok {
			return nil, malformed(place, "Invalid Condition type : %s", member.name)
		}
		place := place + "." + member.name
		if member.value.kind != '{' {
			return nil, badSyntax("%s must be an object", place)
		}
		for _, key := range member.value.members {
			c := form
			c.key = strings.ToLower(key.name)
			if text := c.overlyPermissive(); text != "" && p.kind == keyPolicy {
				return nil, malformed("", "%s", text)
			}
			values, err := key.value.scalars(place + "." + key.name)
			if err != nil {
				return nil, err
			}
			if p.kind == keyPolicy && onlyInIAM(c.key) {
				c.key = noKey
			}
			c.take(op, values, p.with)
			all = append(all, c)
		}
	}
	return all, nil
}

// object is the members of an object by name, which must be among known.
func (n node) object(place string, known ...string) (map[string]node, error) {
	if n.kind != '{' {
		return nil, badSyntax("%s must be an object", place)
	}
	members := make(map[string]node, len(n.members))
	for _, m := range n.members {
		ok := false
		for _, name := range known {
			ok = ok || name == m.name
		}
		if !ok {
			return nil, badSyntax("%s has the unknown field %q", place, m.name)
		}
		members[m.name] = m.value
	}
	return members, nil
}

func (n node) string(place string) (string, error) {
	if n.kind != '"' {
		return "", badSyntax("%s must be a string", place)
	}
	return n.text, nil
}

// strings is a string, or an array of strings.
func (n node) strings(place string) ([]string, error) {
	return n.texts(place, "strings", `"`)
}

// scalars is a string, number or Boolean, or an array of them, each as its text.
func (n node) scalars(place string) ([]string, error) {
	return n.texts(place, "strings, numbers and Booleans", `"0tf`)
}

func (n node) texts(place, what, kinds string) ([]string, error) {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	var texts []string
	for _, item := range list {
		if !strings.ContainsRune(kinds, rune(item.kind)) {
			return nil, badSyntax("%s must hold %s only", place, what)
		}
		texts = append(texts, item.text)
	}
	return texts, nil
}
